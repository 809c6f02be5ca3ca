"""The widget of a console: rows of engines as HTML, sent as they change. Imported when one is first shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from nbcluster.drawing.ansi import to_html
from nbcluster.drawing.style import CSS
from nbcluster.notebook.console import Console

WHOLE_EVERY = 2.0
"""Seconds after which everything is sent again, for a page that was not there yet."""

WHOLE_BYTES = 50_000
"""Characters a second that this may cost; a long console is sent whole more seldom."""


class ConsoleWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget is not typed for us
    """Shows a tab for each engine, one for all, and one that folds what is the same."""

    _esm = Path(__file__).with_name("console.js").read_text()
    _css = CSS
    told = traitlets.Dict().tag(sync=True)
    """The last message: all there is, or what changed since the one whose `number` is one less."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._whole_at = float("-inf")
        self._whole_size = 0

    def begin(self) -> None:
        """A console begins anew."""
        self._whole_at = float("-inf")

    def update(self, console: Console, now: float) -> int:
        """Show a console as it is now; return how many characters that took. `now` is monotonic seconds."""
        whole = now - self._whole_at >= max(WHOLE_EVERY, self._whole_size / WHOLE_BYTES)
        engines: dict[str, Any] = {}
        size = 0
        for engine, screen in console.screens.items():
            numbers = range(screen.first, screen.end) if whole else sorted(screen.changed)
            rows = {str(number): to_html(screen.rows[number - screen.first].text) for number in numbers}
            size += sum(map(len, rows.values()))
            if whole or rows or screen.is_new or screen.has_new_images:
                engines[str(engine)] = {"rows": rows, "first": screen.first, "leftOut": screen.left_out}
                engines[str(engine)]["isOver"] = screen.is_over
                if whole or screen.has_new_images:
                    size += sum(map(len, screen.images))
                    engines[str(engine)]["images"] = list(screen.images)
                    engines[str(engine)]["imagesLeftOut"] = screen.images_left_out
            screen.changed.clear()
            screen.is_new = screen.has_new_images = False
        begun = [list(each) for each in (console.order if whole else console.begun)]
        console.begun.clear()
        if not (whole or engines):
            return 0
        if whole:
            self._whole_at, self._whole_size = now, size
        self._number += 1
        self.told = {"number": self._number, "isWhole": whole, "engines": engines, "begun": begun}
        return size

    def clear(self) -> None:
        """Show nothing: the cell has its picture."""
        self._number += 1
        self.told = {"number": self._number, "isWhole": True, "engines": {}, "begun": []}

    def bundle(self, text: str) -> dict[str, Any]:
        """What a display message of it holds; `text` is for front ends without widgets."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {"text/plain": text, "application/vnd.jupyter.widget-view+json": view}
