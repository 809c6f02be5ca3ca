"""Values that a notebook shows live: a panel for each, and the picture that stays beside it. Knows no clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from nbcluster.client.portal import portal
from nbcluster.notebook.panelpage import PanelPage, is_page
from nbcluster.notebook.shownas import ShownAs

ShowParts = Callable[[dict[str, str]], None]


class LiveDesk(Protocol):
    """Keeps one panel true while it is seen. On the client's I/O loop."""

    def open(self) -> None:
        """It is displayed."""

    def take(self, content: dict[str, Any]) -> None:
        """Hear what a view says."""

    async def close(self) -> None:
        """Show nothing more."""


class LivePanels:
    """The values of some types that one notebook shows.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    types : sequence of (str, str)
        The module and the name of each.
    make : callable
        Makes the desk of a value, on the client's loop; None for one that cannot be shown live.
    what : str
        What it is, for front ends without widgets.
    """

    def __init__(
        self,
        shell: Any,
        types: Sequence[tuple[str, str]],
        make: Callable[[Any, ShowParts], LiveDesk | None],
        what: str,
    ) -> None:
        self._shell, self._make, self._what = shell, make, what
        self._as = ShownAs(shell, types, self.show)
        self._open: list[tuple[LiveDesk, PanelPage]] = []

    def install(self) -> None:
        """Show them in this way from now on."""
        self._as.install()

    def uninstall(self) -> None:
        """Show them as anything else is shown, and nothing live any more."""
        self._as.uninstall()
        for desk, page in self._open:
            portal().call(desk.close(), timeout=5)
            page.close()
        self._open.clear()

    def show(self, value: Any) -> None:
        """Display one in the running cell."""
        stays = self._show_live(value) if is_page(self._shell) else ""
        html = value._repr_html_()
        if stays:
            html = f'<div class="{stays}">{html}</div>'
        self._shell.display_pub.publish(data={"text/plain": repr(value), "text/html": html})

    def _show_live(self, value: Any) -> str:
        desks: list[LiveDesk] = []
        page = PanelPage(self._shell, lambda content: desks[0].take(content) if desks else None)

        async def make() -> LiveDesk | None:
            return self._make(value, page.show)

        desk = portal().call(make())
        if desk is None:
            page.close()
            return ""
        desks.append(desk)
        self._open.append((desk, page))
        portal().loop.call_soon_threadsafe(desk.open)
        page.display(self._shell, self._what)
        return page.stays
