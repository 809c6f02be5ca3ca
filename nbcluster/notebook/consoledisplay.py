"""Draws a cell of several engines in a console: live in a widget, then as one static output. Knows no threads.

Text, images and plain tables are in the console; what else is displayed stands below it, as without one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nbcluster.drawing import console as drawing
from nbcluster.drawing.plainhtml import is_plain
from nbcluster.ids import EngineNumber
from nbcluster.notebook.console import Console
from nbcluster.notebook.display import CellDisplay, CellEvent
from nbcluster.notebook.items import Item, Rich, Text, Wipe, read_item
from nbcluster.notebook.labels import engines_phrase
from nbcluster.notebook.operations import Buffers, Operation, Show
from nbcluster.protocol.messages import TaskDone, TaskOutput, TaskPlace

DRAW_EVERY = 0.1
"""Seconds between two drawings, at least."""

BYTES = 150_000
"""Characters a second that are sent to the page; a flood is drawn more seldom."""

LONGEST = 5.0
"""Seconds between two drawings, at most."""

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/svg+xml")
"""What is shown as an image, best first."""


class ConsoleDisplay(CellDisplay):
    """Draws one cell of several engines.

    Parameters
    ----------
    cell : str
        Its id.
    cluster : str
    places : sequence of TaskPlace
        Its tasks.
    make_widget : callable
        Gives the widget of live consoles, None where there can be none.
    """

    def __init__(
        self, cell: str, cluster: str, places: Sequence[TaskPlace], make_widget: Callable[[], Any]
    ) -> None:
        super().__init__(cell, cluster, places, single=False)
        self._key = f"{cell}-console"
        self._make_widget = make_widget
        self._widget: Any = None
        self._console = Console(place.engine for place in places if place.engine is not None)
        self._draw_at = float("-inf")
        self._is_due = self._is_shown = self._is_closed = False
        self._wipe_on_next: set[int] = set()
        self._below: set[int] = set()
        """Engines that have something below the console."""
        self._said: dict[str, str] = {}
        """The text of what is shown as HTML."""

    def apply(self, event: CellEvent, buffers: Buffers, now: float) -> list[Operation]:
        """Return what an event shows at once."""
        if self._is_closed:
            return super().apply(event, buffers, now)
        if isinstance(event, TaskOutput):
            item = read_item(event, buffers)
            if item is not None and self._take(event.engine, item):
                self._is_due = True
                return []
        if isinstance(event, TaskDone) and event.engine is not None:
            self._console.end(event.engine)
            self._is_due = True
        return super().apply(event, buffers, now)

    def tick(self, now: float) -> list[Operation]:
        """Return what time alone brings; bring the console up to date when that is due."""
        drawn = super().tick(now)
        if self._is_due and not self._is_closed and now >= self._draw_at:
            self._is_due = False
            return [*self._draw_console(now), *drawn]
        return drawn

    def finish(self, now: float) -> list[Operation]:
        """Return what is left to show: the console as it stays."""
        if self._is_closed:
            return super().finish(now)
        self._is_closed = True
        stays: list[Operation] = []
        if not self._console.is_empty or self._is_shown:
            parts = self._parts()
            data = {
                "text/html": drawing.html(parts, "cluster.last.output"),
                "text/plain": drawing.text(parts, "cluster.last.output"),
            }
            self._emit((), Show(data, display_id=self._key, update=self._is_shown))
            stays = self._taken()
        if self._widget is not None:
            self._widget.clear()
        return [*stays, *super().finish(now)]

    def _draw_console(self, now: float) -> list[Operation]:
        if self._console.is_empty and not self._is_shown:
            return []
        if self._widget is None:
            self._widget = self._make_widget()
            if self._widget is None:
                return []
            self._widget.begin()
        size = self._widget.update(self._console, now)
        self._draw_at = now + min(LONGEST, max(DRAW_EVERY, size / BYTES))
        if self._is_shown:
            return []
        self._is_shown = True
        self._emit((), Show(self._widget.bundle(drawing.text(self._parts())), display_id=self._key))
        return self._taken()

    def _take(self, engine: EngineNumber, item: Item) -> bool:
        """Put an item on the engine's screen, if it is for that."""
        if engine in self._wipe_on_next:
            self._wipe_on_next.discard(engine)
            self._console.wipe(engine)
        match item:
            case Text(stream, text):
                self._console.write(engine, stream, text)
            case Rich() if item.is_text and not item.update:
                self._console.write(engine, "stdout", f"{item.data['text/plain']}\n")
            case Rich() if not item.update and item.display_id is None and (source := _image(item)):
                self._console.show_image(engine, source)
                if not drawing.is_image(source):
                    self._said[source] = str(item.data.get("text/plain", "(a table)"))
            case Wipe(wait):
                if wait:
                    self._wipe_on_next.add(engine)
                else:
                    self._console.wipe(engine)
                return engine not in self._below
            case _:
                self._below.add(engine)
                return False
        return True

    def _parts(self) -> list[drawing.Said]:
        parts = []
        for engines in self._console.same:
            screen = self._console.screens[engines[0]]
            of, images = engines_phrase(engines), tuple(screen.images)
            parts.append(
                drawing.Said(of, screen.texts, screen.left_out, images, screen.images_left_out, self._said)
            )
        return parts


def _image(item: Rich) -> str:
    """The image of a bundle as a data URL, or its HTML when that is plain; "" when it is something else, or richer."""
    html = item.data.get("text/html")
    if html is not None or "application/vnd.jupyter.widget-view+json" in item.data:
        is_alone = not set(item.data) - {"text/html", "text/plain", *IMAGES}
        return html if is_alone and isinstance(html, str) and is_plain(html) else ""
    for kind in IMAGES:
        found = item.data.get(kind)
        if isinstance(found, str):
            source = _data_url(kind, found)
            return source if drawing.is_image(source) else ""
    return ""


def _data_url(kind: str, text: str) -> str:
    from base64 import b64encode

    encoded = b64encode(text.encode()).decode() if kind == "image/svg+xml" else "".join(text.split())
    return f"data:{kind};base64,{encoded}"


class Consoles:
    """The consoles of one notebook: one after the other, in one widget.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._widget: Any = None

    def display(self, cell: str, cluster: str, places: Sequence[TaskPlace]) -> ConsoleDisplay:
        """What draws a cell that begins now; live when a page shows it."""
        content = self._shell.get_parent().get("content", {})
        # Who cannot be asked is no page, and what captures outputs wants those that stay.
        is_live = content.get("allow_stdin", True) and hasattr(self._shell.display_pub, "session")
        return ConsoleDisplay(cell, cluster, places, self._make if is_live else lambda: None)

    def close(self) -> None:
        """Show nothing any more."""
        if self._widget is not None:
            self._widget.close()
            self._widget = None

    def _make(self) -> Any:
        if self._widget is None:
            try:
                from nbcluster.notebook.consolewidget import ConsoleWidget
            except ImportError:
                return None  # what stays is shown all the same
            self._widget = ConsoleWidget()
        return self._widget
