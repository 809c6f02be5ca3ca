"""What the magics need of the client, and the one place that imports it. Knows no grammar and no drawing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from nbcluster.client.needs import Needs
from nbcluster.notebook.running import CellRun
from nbcluster.protocol.messages import ClusterStatus, CommSent, EngineStatus, TaskOutput
from nbcluster.protocol.origin import Origin


class ClusterLike(Protocol):
    """The part of client.cluster.Cluster that the magics use."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def engines(self) -> Sequence[EngineStatus]:
        """Its engines now."""

    def status(self) -> ClusterStatus:
        """Ask for the whole of it."""

    def send_cell(
        self,
        code: str,
        targets: str = "",
        *,
        label: str = "",
        allow_stdin: bool = False,
        timeout: float | None = None,
        fail_fast: bool = False,
        startup: bool = False,
        want_value: bool = False,
        origin: Origin | None = None,
        namespace: str = "",
        live: bool = False,
        priority: int = 0,
        retries: int = 0,
        resources: Mapping[str, float] | None = None,
        needs: Needs | None = None,
    ) -> CellRun:
        """Send a cell."""

    @property
    def calls(self) -> Any:
        """Its calls."""

    def on_each(self, targets: str, namespace: str = "", priority: int = 0) -> Any:
        """What is done on each of some engines."""

    def gathered(self, name: str, targets: str, namespace: str = "") -> tuple[Any, int]:
        """Where the parts of a name are, and the axis that joins them."""

    def note_scatter(self, name: str, numbers: Sequence[int], axis: int = 0, namespace: str = "") -> None:
        """Remember where the parts of a name are."""

    def namespace(self, name: str | None = None, on: Any = None) -> Any:
        """The names of engines."""

    def add(self, n: int, *, kernel: str = "", tags: Sequence[str] = ()) -> list[int]:
        """Start engines."""

    def scale(self, n: int) -> list[int]:
        """Have n engines."""

    def restart(self, targets: str = "all") -> list[int]:
        """Restart engines."""

    def interrupt(self, targets: str = "all") -> list[int]:
        """Interrupt engines."""

    def cancel(self, futures: Any = None) -> None:
        """Cancel some work, or all of this client."""

    def set_options(self, *, idle_timeout: float | None = None) -> None:
        """Change options; a negative idle_timeout is never."""

    def stop(self, force: bool = False) -> None:
        """End it."""

    def ui(self) -> Any:
        """A picture of the work of this notebook."""

    def complete(
        self, code: str, cursor_pos: int, targets: str = "", timeout: float = 0.3, namespace: str = ""
    ) -> dict[str, Any]:
        """Ask an engine for completions."""

    def inspect(
        self,
        code: str,
        cursor_pos: int,
        detail_level: int = 0,
        targets: str = "",
        timeout: float = 0.3,
        namespace: str = "",
    ) -> dict[str, Any]:
        """Ask an engine what a name is."""

    def on_comm(
        self,
        listener: Callable[[CommSent, Sequence[Any]], None],
        take_output: Callable[[TaskOutput], bool] | None = None,
    ) -> None:
        """Have the comm messages of engines given to a callback, on the I/O thread, and output that it may take."""

    def send_comm(
        self,
        engine: int,
        msg_type: str,
        content: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[Any] = (),
    ) -> None:
        """Send a comm message to an engine."""


@dataclass(frozen=True)
class RunningCluster:
    """A cluster that runs, as its connection file tells."""

    name: str
    pid: int
    host: str


class Clusters(Protocol):
    """Finds and starts clusters."""

    def current(self, name: str | None = None) -> ClusterLike:
        """Return the current one, or the one of a name, or raise UnknownCluster that says what to do."""

    def use(self, cluster: ClusterLike) -> None:
        """Make one the current one."""

    def connect(self, name: str | None) -> ClusterLike:
        """Join one that runs, or return it when it is joined already."""

    def start(self, n: int | None, **options: Any) -> ClusterLike:
        """Start or join one; without a name, this notebook's."""

    def running(self) -> Sequence[RunningCluster]:
        """Return those that run."""

    def has_open_calls(self, listener: Any) -> bool:
        """Whether calls have not ended whose output a listener shows."""


class ClientClusters:
    """The clusters of this machine, through the client."""

    def current(self, name: str | None = None) -> ClusterLike:
        """Return the current cluster, or the one of a name, which does not become current by that."""
        from nbcluster.client.current import current_cluster

        return current_cluster(name)

    def use(self, cluster: ClusterLike) -> None:
        """Make a cluster the current one."""
        from nbcluster.client.cluster import Cluster
        from nbcluster.client.current import use

        use(cast(Cluster, cluster))

    def connect(self, name: str | None) -> ClusterLike:
        """Join a cluster that runs, and make it the current one."""
        cluster = self.current(name)
        self.use(cluster)
        return cluster

    def start(self, n: int | None, **options: Any) -> ClusterLike:
        """Start or join a cluster, with at least n engines."""
        from nbcluster.client.cluster import Cluster
        from nbcluster.client.naming import default_name

        return Cluster(n, **{**options, "name": options.get("name") or default_name()})

    def running(self) -> Sequence[RunningCluster]:
        """Return the clusters that run."""
        from nbcluster.transport.rendezvous import list_clusters

        return [RunningCluster(found.name, found.pid, found.host) for found in list_clusters()]

    def has_open_calls(self, listener: Any) -> bool:
        """Whether calls have not ended whose output a listener shows."""
        module = sys.modules.get("nbcluster.client.current")
        return module is not None and any(
            cluster.calls.has_open(listener) for cluster in module.known_clusters()
        )
