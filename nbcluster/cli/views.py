"""The verbs that look at clusters: list, status, engines, logs. Changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

from msgspec import json, structs, to_builtins

from nbcluster.cli.words import engines_table, engines_words, status_words, which
from nbcluster.client.aio import AsyncCluster
from nbcluster.client.discovery import find_cluster
from nbcluster.errors import ControllerLost, NBClusterError
from nbcluster.notebook.tables import table
from nbcluster.protocol.messages import ClusterStatus
from nbcluster.transport.rendezvous import (
    ConnectionFile,
    connection_path,
    list_clusters,
    read_connection_file,
)

PATIENCE = 3.0
"""Seconds that a controller may take to answer before it is listed as one that does not."""


def print_json(value: Any) -> None:
    """Print a value as JSON, indented for people."""
    print(json.format(json.encode(value), indent=2).decode())


def list_all(arguments: argparse.Namespace) -> int:
    """List the clusters that run, also those that do not answer."""
    found = list_clusters()
    answers = asyncio.run(_ask_all(found))
    if arguments.json:
        print_json([_listed(file, status) for file, status in zip(found, answers, strict=True)])
        return 0
    if not found:
        print("no cluster runs; `nbcluster start -n 4` starts one")
        return 0
    rows = [("cluster", "engines", "clients", "pid", "host")]
    for file, status in zip(found, answers, strict=True):
        engines = "does not answer" if status is None else engines_words(status.engines)
        clients = "" if status is None else str(len(status.clients))
        rows.append((file.name, engines, clients, str(file.pid), file.host))
    print(table(rows))
    return 0


def _listed(file: ConnectionFile, status: ClusterStatus | None) -> dict[str, Any]:
    return {
        "name": file.name,
        "pid": file.pid,
        "host": file.host,
        "connection_file": str(connection_path(file.name)),
        "directory": file.directory,
        "version": file.version,
        "answers": status is not None,
        "engines": None if status is None else len(status.engines),
        "clients": None if status is None else list(status.clients),
    }


async def _ask_all(files: list[ConnectionFile]) -> list[ClusterStatus | None]:
    async def ask(file: ConnectionFile) -> ClusterStatus | None:
        try:
            return await _status(connection_path(file.name), usage=False)
        except (NBClusterError, TimeoutError):
            return None

    return await asyncio.gather(*map(ask, files))


async def _status(path: Path, *, usage: bool) -> ClusterStatus:
    """Ask a cluster, and leave this asker out of its clients."""
    cluster = await AsyncCluster.connect(path, timeout=PATIENCE)
    try:
        own = cluster.connection.label
        status = await cluster.status(usage)
    finally:
        await cluster.close()
    others = list(status.clients)
    others.remove(own)
    return structs.replace(status, clients=tuple(others))


def status(arguments: argparse.Namespace) -> int:
    """Show one cluster."""
    found = asyncio.run(_status(find_cluster(which(arguments.name)), usage=arguments.json))
    if arguments.json:
        print_json(to_builtins(found))
    else:
        print(status_words(found, time.time()))
    return 0


def engines(arguments: argparse.Namespace) -> int:
    """Show the engines of a cluster, with what they use."""
    found = asyncio.run(_status(find_cluster(which(arguments.name)), usage=True))
    if arguments.json:
        print_json(to_builtins(found.engines))
    elif not found.engines:
        print(f"cluster {found.name!r} has no engines; `nbcluster scale N {found.name}` starts some")
    else:
        print(engines_table(found.engines, time.time()))
    return 0


def logs(arguments: argparse.Namespace) -> int:
    """Print the end of a log; that of a controller which does not answer is read from its directory."""
    path = find_cluster(which(arguments.name))
    try:
        text = asyncio.run(_log(path, arguments.engine, arguments.lines))
    except (ControllerLost, TimeoutError):
        text = _read_log(read_connection_file(path), arguments.engine, arguments.lines)
    if text:
        print(text.rstrip("\n"))
    return 0


async def _log(path: Path, engine: int | None, lines: int) -> str:
    cluster = await AsyncCluster.connect(path, timeout=PATIENCE)
    try:
        return await cluster.logs(engine, lines)
    finally:
        await cluster.close()


def _read_log(file: ConnectionFile, engine: int | None, lines: int) -> str:
    name = "controller.log" if engine is None else f"engine-{engine}.log"
    log = Path(file.directory) / name
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:] if lines else [])
    except OSError as error:
        raise ControllerLost(
            f"the controller of {file.name!r} does not answer, and {log} cannot be read: {error.strerror}"
        ) from error
