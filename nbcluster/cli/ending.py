"""Ends a cluster: asks its controller, and when that does not answer ends processes and files. Prints nothing."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import suppress
from pathlib import Path

import psutil

from nbcluster.cli.leftovers import clean_cluster, describe, end_process, processes_of
from nbcluster.client.aio import AsyncCluster
from nbcluster.errors import ControllerLost, NBClusterError, VersionMismatch
from nbcluster.transport import shareddirs
from nbcluster.transport.rendezvous import ConnectionFile, read_connection_file

ANSWER_TIME = 5.0
"""Seconds after which a controller that does not answer counts as hung."""

SUPERVISOR_TIME = 6.0
"""Seconds that a supervisor may take to end engines and remove files when its controller is gone."""


async def end_cluster(path: Path, *, force: bool) -> str:
    """End the cluster of a connection file, in whatever state it is; return what was done, as a sentence.

    Raises
    ------
    ClusterInUse
        When other clients are connected and `force` is false.
    ControllerLost
        When it is on another host and does not answer.
    VersionMismatch
        When it was started by another version of nbcluster and `force` is false.
    """
    file = read_connection_file(path)
    if file.is_stale():
        await asyncio.to_thread(clean_cluster, path)
        return f"cluster {file.name!r} had ended without a word; what it left is removed"
    try:
        cluster = await AsyncCluster.connect(path, timeout=ANSWER_TIME)
        await cluster.stop(force)
    except VersionMismatch:
        if not (force and file.is_here()):
            raise
        ended = await asyncio.to_thread(end_by_force, path, file)
        return f"cluster {file.name!r} is of another version of nbcluster and was killed: {ended}"
    except (ControllerLost, TimeoutError) as error:
        if not path.exists() and not Path(file.directory).exists():
            return f"cluster {file.name!r} is stopped"  # it ended while it was asked
        if not file.is_here():
            raise ControllerLost(
                f"the controller of {file.name!r} on {file.host} does not answer; end its process {file.pid} there"
            ) from error
        ended = await asyncio.to_thread(end_by_force, path, file)
        return f"cluster {file.name!r} did not answer and was killed: {ended}"
    return f"cluster {file.name!r} is stopped"


def end_by_force(path: Path, file: ConnectionFile) -> str:
    """Kill a cluster of this host and remove its traces.

    The controller goes first: its supervisor then ends the engines and removes the files. What is left after that,
    because the supervisor hangs too or is gone, is ended here.

    Parameters
    ----------
    path : Path
        Its connection file.
    file : ConnectionFile
        What was in it.

    Returns
    -------
    str
        What was ended, in a few words.

    Raises
    ------
    NBClusterError
        When the process that the file names is none of this cluster.
    """
    directory = Path(file.directory)
    members = processes_of(directory)
    if not any(process.pid == file.pid for process in members):
        raise NBClusterError(
            f"process {file.pid} does not answer and is no controller of ours (it has no file in {directory} open); "
            "nothing was killed. If you know better, end it and run `nbcluster clean`"
        )
    words = ", ".join(f"process {describe(process, directory)}" for process in members)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(file.pid).kill()
    until = time.monotonic() + SUPERVISOR_TIME
    while (directory.exists() or path.exists()) and time.monotonic() < until:
        time.sleep(0.02)
    for process in processes_of(directory):
        end_process(process, grace=0.2)
    _remove(path, directory)
    for shared in filter(None, (file.shared, file.spill)):
        shareddirs.remove_if_abandoned(Path(shared), time.time())
    return words


def _remove(path: Path, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    for file in (path, path.with_suffix(".lock")):
        file.unlink(missing_ok=True)
