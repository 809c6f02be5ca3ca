"""Which cluster is meant when none is named. Knows names and files, no engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbcluster.errors import ControllerLost, UnknownCluster

if TYPE_CHECKING:
    from nbcluster.client.cluster import Cluster

_known: dict[str, Cluster] = {}
_current: str | None = None


def use(cluster: Cluster) -> None:
    """Make a cluster the current one of this process."""
    global _current
    _known[cluster.name] = cluster
    _current = cluster.name


def current_cluster(name: str | None = None) -> Cluster:
    """The current cluster, or the one of a name; connects to it when this process has not yet.

    Parameters
    ----------
    name : str, optional
        Its name; None is the current one, else the only one that runs.

    Raises
    ------
    UnknownCluster
        When there is none, or several and none was named.
    """
    from nbcluster.client.cluster import Cluster  # it uses this module

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


def known_clusters() -> list[Cluster]:
    """The clusters that this process has used."""
    return list(_known.values())
