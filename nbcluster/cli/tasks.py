"""The verb `tasks`: what a cluster has not finished, whoever sent it. Changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence

from msgspec import to_builtins

from nbcluster.cli.views import PATIENCE, print_json
from nbcluster.cli.words import which
from nbcluster.client.aio import AsyncCluster
from nbcluster.client.discovery import find_cluster
from nbcluster.client.records import Table
from nbcluster.notebook.tables import duration, table
from nbcluster.protocol.calls import TaskRecord


def tasks(arguments: argparse.Namespace) -> int:
    """Show the tasks that are not over."""
    found = asyncio.run(_ask(arguments))
    if arguments.json:
        print_json(to_builtins(list(found)))
    elif not found:
        which_ones = f" is {arguments.state}" if arguments.state else " waits or runs"
        print(f"nothing{which_ones}")
    else:
        print(table(rows(found, time.time())))
    if found.note and not arguments.json:
        print(found.note)
    return 0


async def _ask(arguments: argparse.Namespace) -> Table[TaskRecord]:
    cluster = await AsyncCluster.connect(find_cluster(which(arguments.name)), timeout=PATIENCE)
    try:
        return await cluster.tasks(arguments.state, arguments.limit)
    finally:
        await cluster.close()


def rows(records: Sequence[TaskRecord], now: float) -> list[tuple[str, ...]]:
    """The table's rows, with its head. `now` is epoch seconds."""
    drawn: list[tuple[str, ...]] = [("key", "label", "kind", "state", "engine", "since", "sent by")]
    for record in records:
        since = record.started if record.started is not None else record.submitted
        drawn.append(
            (
                record.key or record.task,
                record.label,
                record.kind,
                record.state,
                "" if record.engine is None else str(record.engine),
                "" if since is None else duration(max(0.0, now - since)),
                record.owner,
            )
        )
    return drawn
