"""Brings what an engine shows inside `with output:` into that widget. Knows comm messages, no kernel and no page.

In a notebook's own kernel the page does this: the widget's `msg_id` names the request whose messages it is to take.
An engine's requests are none of the page's, so `msg_id` never reaches the page; what it would route into the widget
is put into the widget's `outputs` here, which pages and headless runners show and save.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import json

from nbcluster.ids import CellId, EngineNumber
from nbcluster.notebook.captured import CapturedOutputs
from nbcluster.protocol.messages import TaskOutput

MODEL = "OutputModel"

PACE = 0.1
"""Seconds between two pictures of a widget whose block still runs."""

Message = dict[str, Any]
Place = tuple[CellId, EngineNumber]


class Shown(Protocol):
    """An output widget on the page."""

    def show_outputs(self, outputs: list[Message], *, tell_engine: bool) -> None:
        """Show these outputs in place of what it shows; with `tell_engine` its owner learns them too."""


@dataclass(eq=False)
class _Widget:
    shown: Shown
    captured: CapturedOutputs = field(default_factory=CapturedOutputs)
    place: Place | None = None
    """Whose output it takes now."""
    is_due: bool = False
    timer: asyncio.TimerHandle | None = None


class OutputWidgets:
    """The output widgets of engines. Everything is called on the one loop that brings the messages, in their order."""

    def __init__(self) -> None:
        self._widgets: dict[str, _Widget] = {}
        self._taking: dict[Place, list[_Widget]] = {}

    def opened(self, comm_id: str, shown: Shown, data: Message) -> None:
        """An engine has made a widget; those of other models are passed over."""
        if data.get("state", {}).get("_model_name") == MODEL:
            self._widgets[comm_id] = _Widget(shown)
            self._widgets[comm_id].captured.reset(data["state"].get("outputs") or ())

    def closed(self, comm_id: str) -> None:
        """A widget has gone."""
        widget = self._widgets.pop(comm_id, None)
        if widget is not None:
            self._let_go(widget)

    def heard(self, comm_id: str, cell: CellId | None, engine: EngineNumber, data: Message) -> Message | None:
        """Take a message of an engine's end; return what the page is to hear of it, None when that is nothing."""
        widget = self._widgets.get(comm_id)
        state = data.get("state")
        if widget is None or not isinstance(state, dict):
            return data
        rest = dict(state)
        msg_id = rest.pop("msg_id", None)
        if data.get("method") == "echo_update":
            # The engine repeats what it was told here, perhaps long ago.
            rest.pop("outputs", None)
        elif "outputs" in rest:
            widget.captured.reset(rest["outputs"])
        if msg_id and cell is not None:
            self._stop(widget)
            widget.place = (cell, engine)
            self._taking.setdefault(widget.place, []).append(widget)
        elif msg_id is not None:
            self._stop(widget)
        if not rest and state:
            return None
        return {**data, "state": rest}

    def take(self, event: TaskOutput) -> bool:
        """Put a message into the widget that takes it; return whether there is one."""
        taking = self._taking.get((event.cell, event.engine))
        if event.msg_type == "update_display_data" and self._widgets:
            return self._take_update(event)
        if not taking:
            return False
        self._changed(taking[-1], taking[-1].captured.add(event.msg_type, json.decode(event.content)))
        return True

    def _take_update(self, event: TaskOutput) -> bool:
        content: Message = json.decode(event.content)
        display_id = (content.get("transient") or {}).get("display_id")
        having = [widget for widget in self._widgets.values() if widget.captured.is_showing(display_id)]
        for widget in having:
            self._changed(widget, widget.captured.add(event.msg_type, content))
        # The same display may stand in a cell too.
        return False

    def _changed(self, widget: _Widget, is_other: bool) -> None:
        if not is_other:
            return
        if widget.place is None:
            self._show(widget)
            return
        widget.is_due = True
        if widget.timer is None:
            widget.timer = asyncio.get_running_loop().call_later(PACE, self._show_due, widget)

    def _show_due(self, widget: _Widget) -> None:
        widget.timer = None
        if widget.is_due:
            self._show(widget)

    def _show(self, widget: _Widget) -> None:
        widget.is_due = False
        # The engine need know only what a block left behind.
        widget.shown.show_outputs(widget.captured.outputs, tell_engine=widget.place is None)

    def _stop(self, widget: _Widget) -> None:
        if widget.place is not None:
            self._let_go(widget)
            self._show(widget)

    def _let_go(self, widget: _Widget) -> None:
        if widget.place is None:
            return
        taking = self._taking[widget.place]
        taking.remove(widget)
        if not taking:
            del self._taking[widget.place]
        widget.place = None
        if widget.timer is not None:
            widget.timer.cancel()
            widget.timer = None
