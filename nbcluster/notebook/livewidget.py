"""The widget of a live view: HTML by parts, which the page puts where it belongs. Imported when one is first shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from nbcluster.drawing.picture import PARTS
from nbcluster.drawing.style import CSS


class LiveWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget is not typed for us
    """Shows the parts of a picture; a part is sent when it has changed."""

    _esm = Path(__file__).with_name("live.js").read_text()
    _css = CSS
    head = traitlets.Unicode().tag(sync=True)
    bars = traitlets.Unicode().tag(sync=True)
    graph = traitlets.Unicode().tag(sync=True)
    engines = traitlets.Unicode().tag(sync=True)
    curves = traitlets.Unicode().tag(sync=True)
    errors = traitlets.Unicode().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)
    """What a screen reader is to say; it changes seldom."""
    stop = traitlets.Dict().tag(sync=True)
    """What the page needs to stop the work: `cluster`, `work`, `kernel`; empty when there is nothing to stop."""
    view = traitlets.Dict().tag(sync=True)
    """By what the page asks the server for plots: `cluster`, `view`; empty where it cannot."""

    def show(self, parts: dict[str, str], said: str) -> None:
        """Show these parts, in one message."""
        with self.hold_sync():
            for name in PARTS:
                setattr(self, name, parts[name])
            self.said = said

    def clear(self) -> None:
        """Show nothing: the cell has its picture."""
        with self.hold_sync():
            self.show(dict.fromkeys(PARTS, ""), "")
            self.stop = {}
            self.view = {}

    def bundle(self, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a display message of it holds; `text` is for front ends without widgets."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {"text/plain": text, "application/vnd.jupyter.widget-view+json": view}, {}
