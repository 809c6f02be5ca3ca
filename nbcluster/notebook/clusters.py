"""What the magics need of the client, and the one place that imports it. Knows no grammar and no drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from nbcluster.notebook.running import CellRun
from nbcluster.protocol.messages import ClusterStatus, EngineStatus


class ClusterLike(Protocol):
    """The part of client.cluster.Cluster that the magics use."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def engines(self) -> Sequence[EngineStatus]:
        """Its engines now."""

    @property
    def last(self) -> Any:
        """The Future of the last cell."""

    def status(self) -> ClusterStatus:
        """Ask for the whole of it."""

    def send_cell(self, **order: Any) -> CellRun:
        """Send a cell."""

    def add(self, n: int, kernel: str = "", tags: Sequence[str] = (), timeout: float = 60) -> list[int]:
        """Start engines."""

    def start_up_to(self, n: int, kernel: str = "", timeout: float = 60) -> list[int]:
        """Start engines until there are n."""

    def scale(self, n: int) -> Any:
        """Have n engines."""

    def restart(self, targets: str = "") -> Any:
        """Restart engines."""

    def interrupt(self, targets: str = "") -> Any:
        """Interrupt engines."""

    def cancel(self) -> Any:
        """Cancel all work of this client."""

    def set_options(self, *, idle_timeout: float | None = None) -> Any:
        """Change options."""

    def stop(self, force: bool = False) -> Any:
        """End it."""

    def complete(self, code: str, cursor_pos: int, targets: str = "", timeout: float = 0.3) -> dict[str, Any]:
        """Ask an engine for completions."""


class Clusters(Protocol):
    """Finds and starts clusters."""

    def current(self) -> ClusterLike:
        """Return the current one, or raise UnknownCluster that says what to do."""

    def use(self, cluster: ClusterLike) -> None:
        """Make one the current one."""

    def connect(self, name: str | None) -> ClusterLike:
        """Join one that runs."""

    def start(self, n: int | None, **options: Any) -> ClusterLike:
        """Start or join one."""

    def running(self) -> Iterable[Any]:
        """Return what is known of those that run: names, or values with a name."""

    def forget(self, name: str) -> None:
        """Let go of one that has ended."""


class ClientClusters:
    """The clusters of this machine, through the client. Connections are kept: one for each cluster."""

    def __init__(self) -> None:
        self._known: dict[str, ClusterLike] = {}

    def current(self) -> ClusterLike:
        """Return the current cluster."""
        from nbcluster.client.current import current_cluster

        cluster: ClusterLike = current_cluster()
        return cluster

    def use(self, cluster: ClusterLike) -> None:
        """Make a cluster the current one."""
        from nbcluster.client.current import use

        self._known[cluster.name] = cluster
        use(cluster)

    def connect(self, name: str | None) -> ClusterLike:
        """Join a cluster that runs; one that is joined already is not joined twice."""
        from nbcluster.client.cluster import Cluster

        if name is not None and name in self._known:
            return self._known[name]
        cluster: ClusterLike = Cluster.connect(name)
        return self._known.setdefault(cluster.name, cluster)

    def start(self, n: int | None, **options: Any) -> ClusterLike:
        """Start or join a cluster, with at least n engines."""
        from nbcluster.client.cluster import Cluster

        cluster: ClusterLike = Cluster(n, **options)
        self._known[cluster.name] = cluster
        return cluster

    def running(self) -> Iterable[Any]:
        """Return the clusters that run."""
        from nbcluster.client.current import running_clusters

        found: Iterable[Any] = running_clusters()
        return found

    def forget(self, name: str) -> None:
        """Let go of a cluster that has ended."""
        self._known.pop(name, None)
