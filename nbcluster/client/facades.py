"""The two faces of one cluster, for what works on the I/O loop and shows itself to the user. Adds nothing to either."""

from __future__ import annotations

from nbcluster.client.aio import AsyncCluster
from nbcluster.client.cluster import Cluster


def facade_of(twin: AsyncCluster) -> Cluster:
    """The synchronous face of a cluster that was started or found on the portal's loop; it becomes the current one."""
    facade = Cluster.__new__(Cluster)
    facade._adopt(twin)
    return facade


def twin_of(cluster: Cluster) -> AsyncCluster:
    """The asynchronous cluster that a synchronous one speaks for; to be used on the portal's loop."""
    return cluster._twin
