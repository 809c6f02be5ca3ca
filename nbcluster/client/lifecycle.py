"""Has a cluster's processes begin and end, whichever of several clients comes first. Sends no messages."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

from nbcluster.client.startup import start_cluster
from nbcluster.errors import ClusterExists, LauncherError
from nbcluster.transport.rendezvous import ConnectionFile, read_connection_file

NAME_PATIENCE = 15.0
"""Seconds to wait for a cluster of the same name without connection file: it is just starting or ending."""

END_PATIENCE = 15.0
"""Seconds that a cluster's processes may take to end; the supervisor kills what remains before."""


async def ensure_running(
    path: Path, name: str, *, idle_timeout: float | None, ends_with_clients: bool
) -> bool:
    """Start a cluster unless one of its name runs; return whether it was started here."""
    until = time.monotonic() + NAME_PATIENCE
    started = False
    while not path.exists() or read_connection_file(path).is_stale():
        try:
            await asyncio.to_thread(
                start_cluster, name, idle_timeout=idle_timeout, ends_with_clients=ends_with_clients
            )
            started = True
        except ClusterExists:  # another process is faster, or an earlier cluster is just ending
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)
    return started


async def wait_ended(file: ConnectionFile, patience: float = END_PATIENCE) -> None:
    """Wait until nothing of a cluster is left.

    Raises
    ------
    LauncherError
        When something is left after the patience; the message names it.
    """
    directory = Path(file.directory)
    until = time.monotonic() + patience
    while directory.exists() or file.is_supervised():
        if time.monotonic() > until:
            raise LauncherError(
                f"the cluster {file.name!r} did not end within {patience:g} s (supervisor: process "
                f"{file.supervisor}, directory {directory}); `nbcluster clean` ends what is left"
            )
        await asyncio.sleep(0.01)


async def end_processes(file: ConnectionFile) -> None:
    """End a cluster of this host by its supervisor, whether or not its controller answers."""
    if file.is_here():
        with contextlib.suppress(ProcessLookupError):
            os.kill(file.supervisor, signal.SIGTERM)
        await wait_ended(file)
