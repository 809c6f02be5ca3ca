"""Shows Futures in a notebook and keeps what is shown true until they are done. Knows no cells and no engines."""

from __future__ import annotations

import html
import threading
import uuid
from concurrent.futures import Future
from typing import Any
from weakref import WeakKeyDictionary

from nbcluster.notebook.operations import Show
from nbcluster.notebook.publishers import send_show
from nbcluster.notebook.shownas import ShownAs

STYLE = "padding-left: 8px; font-size: var(--jp-code-font-size, inherit)"
"""As JupyterLab sets plain text."""

SHOWN_TYPE = ("nbcluster.client.futures", "Future")


class ShownFutures:
    """The Futures that one notebook shows.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._as = ShownAs(shell, (SHOWN_TYPE,), self.show)
        self._lock = threading.Lock()
        self._shown: WeakKeyDictionary[Future[Any], dict[str, str]] = WeakKeyDictionary()

    def install(self) -> None:
        """Show Futures in this way from now on."""
        self._as.install()

    def uninstall(self) -> None:
        """Show them as anything else is shown."""
        self._as.uninstall()

    def show(self, future: Future[Any]) -> None:
        """Display a Future in the running cell."""
        key = f"nbcluster-future-{uuid.uuid4().hex}"
        text = repr(future)
        data = _picture(text, _status(future))
        self._shell.display_pub.publish(data=data, transient={"display_id": key})
        with self._lock:
            self._shown.setdefault(future, {})[key] = text
        future.add_done_callback(self.refresh)

    def refresh(self, future: Future[Any]) -> None:
        """Bring what is shown of a Future up to date. Any thread."""
        text = repr(future)
        with self._lock:
            shown = self._shown.get(future, {})
            stale = [key for key, was in shown.items() if was != text]
            shown.update(dict.fromkeys(stale, text))
            if future.done() and not hasattr(future, "remark"):  # a cell's may grow stale later
                self._shown.pop(future, None)
        for key in stale:
            # A display is found by its id; headless runners listen to the running cell alone.
            update = Show(_picture(text, _status(future)), display_id=key, update=True)
            send_show(self._shell.display_pub, update, self._shell.get_parent())


def _status(future: Future[Any]) -> str:
    return str(getattr(future, "status", ""))


def _picture(text: str, status: str) -> dict[str, str]:
    what, _, more = map(html.escape, text[1:-1].partition(f": {status}"))
    picture = f"<code style='{STYLE}'>{what}: <b>{html.escape(status)}</b>{more}</code>"
    return {"text/plain": text, "text/html": picture}
