"""Has a cluster stop what it runs, as one more client of it, for a moment. Knows no HTTP."""

from __future__ import annotations

from nbcluster.client.aio import AsyncCluster
from nbcluster.protocol.feed import StopWork
from nbcluster.protocol.messages import Done
from nbcluster.transport.rendezvous import connection_path

PATIENCE = 5.0
"""Seconds that a controller may take to let us in, and again to answer."""


async def stop_work(cluster: str, work: str) -> None:
    """Have a wait stopped as by Ctrl-C in its notebook; with "" all tasks of the cluster are cancelled.

    Parameters
    ----------
    cluster : str
        A name, never a path.
    work : str
        The name of a wait.

    Raises
    ------
    UsageError
        For what cannot be the name of a cluster; also when no notebook waits for work there.
    UnknownCluster
        When there is no such cluster.
    ControllerLost, TimeoutError
        When it does not answer.
    """
    client = await AsyncCluster.connect(connection_path(cluster), timeout=PATIENCE)
    try:
        await client.connection.ask(StopWork(work), Done, timeout=PATIENCE)
    finally:
        await client.close()
