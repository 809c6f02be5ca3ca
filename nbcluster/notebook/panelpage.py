"""Displays a panel in a notebook: live where there is a page, and a picture that stays. Knows no clusters."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbcluster.client.portal import portal
from nbcluster.notebook.publishers import has_front_end

if TYPE_CHECKING:
    from nbcluster.notebook.panelwidget import PanelWidget


def is_page(shell: Any) -> bool:
    """Whether the running cell is one of a page: who cannot be asked is none."""
    return (
        threading.current_thread() is threading.main_thread()
        and has_front_end(shell)
        and hasattr(shell.display_pub, "session")
        and bool(shell.get_parent().get("content", {}).get("allow_stdin", True))
    )


class PanelPage:
    """A panel's widget. What people do there is heard on the client's I/O loop, where it is shown from.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    told : callable
        Called on that loop with what people do.
    """

    def __init__(self, shell: Any, told: Callable[[dict[str, Any]], None]) -> None:
        from nbcluster.notebook.panelwidget import PanelWidget

        loop = portal().loop
        self._widget: PanelWidget = PanelWidget(
            shell.kernel, shell.get_parent(), lambda content: loop.call_soon_threadsafe(told, content)
        )
        self.stays = f"nbc-stays-{self._widget.model_id}"
        """Class of the pictures that are not shown beside it; they are for files that are looked at later."""
        self._hides = f"<style>.{self.stays},.jp-OutputArea-child:has(.{self.stays}){{display:none}}</style>"

    def show(self, parts: dict[str, str]) -> None:
        """Show these parts and no others."""
        self._widget.show({**parts, "root": parts["root"] + self._hides})

    def display(self, shell: Any, what: str) -> None:
        """Display it in the running cell."""
        shell.display_pub.publish(
            data=self._widget.bundle(f"{what}, which needs a page with widgets. As it is now:")
        )

    def close(self) -> None:
        """Take it off the page."""
        self._widget.close()
