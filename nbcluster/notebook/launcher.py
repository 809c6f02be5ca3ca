"""The launcher as users have it: a form that starts a cluster, and a live table of its engines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from nbcluster.client.facades import twin_of
from nbcluster.client.naming import running_shell
from nbcluster.client.portal import portal
from nbcluster.drawing import enginetable
from nbcluster.drawing.panel import connecting_code, static
from nbcluster.drawing.panelstyle import PANEL_CSS
from nbcluster.errors import NBClusterError
from nbcluster.notebook.paneldesk import Desk
from nbcluster.notebook.panelhouse import ClientHouse
from nbcluster.notebook.panelpage import PanelPage, is_page

if TYPE_CHECKING:
    from nbcluster.client.cluster import Cluster

ASK_FOR = 2.0
"""Seconds that the cluster may take to say how it is, for a picture that stays."""


class Launcher:
    """Starts a cluster and shows its engines, live: displayed when it is the last value of a cell.

    What is started or connected to becomes `cluster` in the notebook, and the current cluster. It goes on while cells
    run. Where there are no widgets it is shown as it is at that moment.

    Parameters
    ----------
    cluster : Cluster, optional
        The cluster to show; without one, there is a form that starts one.

    Examples
    --------
    >>> nbcluster.Launcher()  # doctest: +SKIP
    """

    def __init__(self, cluster: Cluster | None = None) -> None:
        self._cluster = cluster
        self._page: PanelPage | None = None
        self._desk: Desk | None = None
        self._is_closed = False

    @property
    def cluster(self) -> Cluster | None:
        """The cluster that it shows; None when it has none, or that has ended."""
        twin = self._desk.twin if self._desk is not None else None
        if twin is None:
            return self._cluster if self._cluster is not None and self._cluster.is_connected else None
        from nbcluster.client.current import known_clusters

        known = [*known_clusters(), *([self._cluster] if self._cluster is not None else [])]
        return next((cluster for cluster in known if twin_of(cluster) is twin), None)

    def close(self) -> None:
        """Take it off the page; the cluster goes on."""
        self._is_closed = True
        desk, self._desk = self._desk, None
        if desk is not None and not portal().is_inside():
            portal().call(desk.close(), timeout=5)
        if self._page is not None:
            self._page.close()
            self._page = None

    # -- shown --------------------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        self.show(running_shell())

    def show(self, shell: Any) -> None:
        """Display it in the running cell."""
        if shell is None:
            return
        stays = self._show_live(shell) if is_page(shell) and not self._is_closed else ""
        html, text = picture(self.cluster or self._cluster, stays)
        shell.display_pub.publish(data={"text/plain": text, "text/html": html})

    def _show_live(self, shell: Any) -> str:
        """Display the widget; return the class of pictures that are not shown beside it."""
        page = self._page
        if page is None:
            page = self._page = PanelPage(shell, self._take)
            self._desk = portal().call(_make(ClientHouse(shell.user_ns), page))
        assert self._desk is not None
        twin = twin_of(self._cluster) if self._cluster is not None and self._desk.twin is None else None
        portal().loop.call_soon_threadsafe(self._desk.open, twin)
        page.display(shell, "A cluster launcher")
        return page.stays

    def _take(self, content: dict[str, Any]) -> None:
        if self._desk is not None:
            self._desk.take(content)

    def __repr__(self) -> str:
        return picture(self.cluster or self._cluster)[1]


async def _make(house: ClientHouse, page: PanelPage) -> Desk:
    return Desk(house, page.show)


def picture(cluster: Cluster | None, kind: str = "") -> tuple[str, str]:
    """A cluster as it is now, as static HTML and as text: they need neither a page nor a kernel.

    Parameters
    ----------
    cluster : Cluster or None
    kind : str
        A class of the HTML.
    """
    style = f'<style>{PANEL_CSS}</style><div class="nbc {kind}">'
    if cluster is None:
        text = "no cluster yet; %cluster start -n 4 starts one, and nbcluster.Launcher() has a form for it"
        return f"{style}<p>{text}</p></div>", text
    at = time.time()
    try:
        engines = portal().call(twin_of(cluster).status(True), timeout=ASK_FOR).engines
    except (NBClusterError, TimeoutError) as error:
        text = f"{cluster!r}\n{error}"
        return f"{style}{static(cluster.name, (), str(error))}</div>", text
    rows = enginetable.rows_of_status(engines, at)
    now = time.strftime("%H:%M:%S", time.localtime(at))
    html = static(cluster.name, rows, f"As it was at {now}.")
    head = f"cluster {cluster.name!r}, {enginetable.counted_states(rows)}"
    code = connecting_code(cluster.name).splitlines()[-1]
    return f"{style}{html}</div>", "\n".join(line for line in (head, enginetable.text(rows), code) if line)
