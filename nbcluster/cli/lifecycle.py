"""The verbs that start, scale and stop clusters. Knows the client, and no process but through `ending`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from nbcluster.cli.ending import end_cluster
from nbcluster.cli.words import engines_words, leave_out_own_directory, which
from nbcluster.client.aio import AsyncCluster
from nbcluster.client.discovery import find_cluster
from nbcluster.errors import ClusterExists, UnknownCluster
from nbcluster.transport.rendezvous import connection_path, list_clusters, read_connection_file

LOOK_EVERY = 0.5
"""Seconds between two looks whether a cluster in the foreground still lives."""


def start(arguments: argparse.Namespace) -> int:
    """Start a cluster."""
    leave_out_own_directory()
    return asyncio.run(_start(arguments))


async def _start(arguments: argparse.Namespace) -> int:
    name = arguments.name
    path = connection_path(name)
    if path.exists() and not read_connection_file(path).is_stale():
        raise _exists(name)
    cluster = AsyncCluster(
        arguments.n,
        name=name,
        launcher=arguments.launcher,
        kernel=arguments.kernel,
        tags=arguments.tags,
        idle_timeout=arguments.idle_timeout,
        memory_limit=arguments.memory_limit,
    )
    await cluster.start()
    if not cluster.started_here:
        await cluster.close()
        raise _exists(name)
    connect = "Cluster.connect()" if len(list_clusters()) == 1 else f"Cluster.connect({name!r})"
    print(f"cluster {name!r} is ready with {engines_words(cluster.engines)}")
    print(f"  in a notebook: %load_ext nbcluster and %cluster connect {name}; in Python: {connect}")
    if not arguments.foreground:
        print(f"  it runs until `nbcluster stop {name}`")
        await cluster.close()
        return 0
    print("  Ctrl-C stops it", flush=True)
    return await _stay(cluster)


def _exists(name: str) -> ClusterExists:
    return ClusterExists(
        f"a cluster named {name!r} runs already; see `nbcluster status {name}`, change its size with "
        f"`nbcluster scale N {name}`, or choose another --name"
    )


async def _stay(cluster: AsyncCluster) -> int:
    """Wait for Ctrl-C or for the end of the cluster."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, asked.set)
    while cluster.is_connected and not asked.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await asked.wait()
    if not cluster.is_connected:
        print(f"nbcluster start: the cluster {cluster.name!r} has ended", file=sys.stderr)
        return 1
    await cluster.stop(force=True)
    print(f"cluster {cluster.name!r} is stopped")
    return 0


def scale(arguments: argparse.Namespace) -> int:
    """Start or stop engines until there are as many as asked."""
    leave_out_own_directory()

    async def work() -> int:
        cluster = await AsyncCluster.connect(which(arguments.name))
        await cluster.scale(arguments.n)
        print(f"cluster {cluster.name!r} has {engines_words(cluster.engines)}")
        await cluster.close()
        return 0

    return asyncio.run(work())


def stop(arguments: argparse.Namespace) -> int:
    """End one cluster, or every one."""
    if not arguments.all:
        return asyncio.run(_stop(_path_of(arguments.name), arguments.force))
    running = list_clusters()
    if not running:
        print("no cluster runs")
    code = 0
    for found in running:
        try:
            code = max(code, asyncio.run(_stop(connection_path(found.name), arguments.force)))
        except Exception as error:
            # One that cannot be stopped must not keep the others running.
            print(f"nbcluster stop: {found.name}: {error}", file=sys.stderr)
            code = 1
    return code


def _path_of(name: str | None) -> Path:
    """The connection file of a cluster; one that ended without a word is found too, to be cleaned."""
    if name is not None and "/" not in name and not name.endswith(".json"):
        path = connection_path(name)
        if path.exists():
            return path
    return find_cluster(which(name))


async def _stop(path: Path, force: bool) -> int:
    try:
        print(await end_cluster(path, force=force))
    except UnknownCluster:
        if path.exists():
            raise
        print(f"cluster {path.stem!r} is stopped")  # it ended by itself just now
    return 0
