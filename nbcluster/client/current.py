"""Which cluster is meant when none is named. Knows names and files, no engines."""

from __future__ import annotations

import os
from threading import RLock
from typing import TYPE_CHECKING

from nbcluster.engine.context import current_task
from nbcluster.errors import ControllerLost, UnknownCluster
from nbcluster.protocol.tasks import CONNECTION

if TYPE_CHECKING:
    from nbcluster.client.cluster import Cluster

_known: dict[str, Cluster] = {}
_current: str | None = None
_connecting = RLock()


def use(cluster: Cluster) -> None:
    """Make a cluster the current one of this process."""
    global _current
    _known[cluster.name] = cluster
    _current = cluster.name


def connect_to(file: str) -> Cluster:
    """Return this process's connection to the cluster of a connection file; does not make it the current one."""
    from nbcluster.client.cluster import Cluster  # it uses this module

    global _current
    with _connecting:
        for known in _known.values():
            if known.is_connected and known.calls.address[1] == file:
                return known
        was_current = _current
        found = Cluster.connect(file)
        _current = was_current
        return found


def own_cluster() -> Cluster | None:
    """Return the cluster of the task that asks, when this process is an engine and none was chosen here."""
    file = os.environ.get(CONNECTION)
    if not file or (_current is not None and current_task() is None):
        return None
    return connect_to(file)


def current_cluster(name: str | None = None) -> Cluster:
    """The current cluster, or the one of a name; connects to it when this process has not yet.

    Inside a task it is the cluster that runs the task, for nested `submit`; an engine connects once.

    Parameters
    ----------
    name : str, optional
        Its name; None is the current one, else that of this engine, else the only one that runs.

    Raises
    ------
    UnknownCluster
        When there is none, or several and none was named.
    """
    from nbcluster.client.cluster import Cluster  # it uses this module

    if name is None and (own := own_cluster()) is not None:
        return own
    wanted = name or _current
    known = _known.get(wanted) if wanted is not None else None
    if known is not None and known.is_connected:
        return known
    was_current = _current
    try:
        found = Cluster.connect(name)
    except UnknownCluster as error:
        if known is not None:
            raise ControllerLost(
                f"the cluster {known.name!r} of this notebook has ended; start it again with `%cluster start`"
            ) from error
        raise
    if name is not None and was_current is not None and was_current != name:
        use(_known[was_current])  # naming a cluster for once does not make it current
    return found


def connected_cluster() -> Cluster | None:
    """The current cluster if this process is connected to it; connects to none."""
    known = _known.get(_current) if _current is not None else None
    return known if known is not None and known.is_connected else None


def known_clusters() -> list[Cluster]:
    """The clusters that this process has used."""
    return list(_known.values())
