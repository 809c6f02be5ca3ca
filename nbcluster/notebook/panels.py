"""The launchers of one notebook: one for each cluster, and one for whoever has none yet. Knows names, draws nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from nbcluster.notebook.shownas import ShownAs

if TYPE_CHECKING:
    from nbcluster.client.cluster import Cluster
    from nbcluster.notebook.launcher import Launcher

CLUSTER_TYPE = ("nbcluster.client.cluster", "Cluster")


class Panels:
    """Shows a cluster that is a cell's value as a launcher.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._as = ShownAs(shell, (CLUSTER_TYPE,), self.show)
        self._of_clusters: WeakKeyDictionary[Cluster, Launcher] = WeakKeyDictionary()
        self._free: Launcher | None = None

    def install(self) -> None:
        """Show clusters in this way from now on."""
        self._as.install()

    def uninstall(self) -> None:
        """Show them as anything else is shown, and no launcher any more."""
        self._as.uninstall()
        for launcher in [*self._of_clusters.values(), *([self._free] if self._free else [])]:
            launcher.close()
        self._of_clusters.clear()
        self._free = None

    def show(self, cluster: Cluster) -> None:
        """Display a cluster in the running cell."""
        self._launcher_of(cluster).show(self._shell)

    def show_current(self) -> None:
        """Display the current cluster, or a form that starts one."""
        from nbcluster.client.current import connected_cluster

        cluster = connected_cluster()
        if cluster is not None:
            self.show(cluster)
            return
        if self._free is None:
            from nbcluster.notebook.launcher import Launcher

            self._free = Launcher()
        self._free.show(self._shell)

    def _launcher_of(self, cluster: Cluster) -> Launcher:
        from nbcluster.notebook.launcher import Launcher

        if self._free is not None and self._free.cluster is cluster:
            self._of_clusters[cluster], self._free = self._free, None
        return self._of_clusters.setdefault(cluster, Launcher(cluster))
