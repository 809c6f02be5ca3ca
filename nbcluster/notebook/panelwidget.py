"""The widget of panels: HTML by parts, of which the page is sent those that changed, and what people do there.

It is imported when a panel is first shown. Knows no clusters.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from comm.base_comm import BaseComm
from ipywidgets import __protocol_version__

from nbcluster.drawing.panelstyle import PANEL_CSS

Message = dict[str, Any]

_log = logging.getLogger(__name__)


class PageComm(BaseComm):  # type: ignore[misc]  # comm is not typed
    """A widget's comm that any thread may use.

    It is not ipykernel's own class on purpose: messages to that one are routed to the shell that published last, so
    a click would wait for a cell that blocks; those to this one are served by the page's subshell.

    Parameters
    ----------
    kernel : ipykernel.kernelbase.Kernel
    parent : dict
        The message that ran the cell which shows the widget.
    """

    def __init__(self, kernel: Any, parent: Message, **rest: Any) -> None:
        self._kernel, self._parent = kernel, parent
        super().__init__(**rest)

    def publish_msg(
        self,
        msg_type: str,
        data: Message | None = None,
        metadata: Message | None = None,
        buffers: Any = None,
        **keys: Any,
    ) -> None:
        """Send a message to the page."""
        self._kernel.session.send(
            self._kernel.iopub_socket,
            msg_type,
            {"data": data or {}, "comm_id": self.comm_id, **keys},
            metadata=metadata or {},
            parent=self._parent,
            ident=self.topic,
            buffers=buffers,
        )

    def handle_msg(self, msg: Message) -> None:
        """Take a message of the page. The shell's events are for cells: they are left alone."""
        if self._msg_callback is not None:
            self._msg_callback(msg)


class PanelWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget is not typed for us
    """Shows HTML by parts.

    Parameters
    ----------
    kernel : ipykernel.kernelbase.Kernel
    parent : dict
        The message that ran the cell which shows it.
    told : callable
        Called with what people do there, on whatever thread hears of it; it must not wait.
    """

    _esm = Path(__file__).with_name("panel.js").read_text()
    _css = PANEL_CSS
    parts = traitlets.Dict().tag(sync=True)
    """The HTML of each part by name. Changed in place: pages are told what changed, and new ones get all."""

    def __init__(self, kernel: Any, parent: Message, told: Callable[[Message], object]) -> None:
        self._kernel, self._parent = kernel, parent
        super().__init__()
        self.on_msg(lambda widget, content, buffers: told(content))

    comm: Any

    def open(self) -> None:
        """Open the comm, when the widget is made."""
        if self.comm is None:
            self.comm = PageComm(
                self._kernel,
                self._parent,
                target_name="jupyter.widget",
                data={"state": self.get_state(), "buffer_paths": []},
                metadata={"version": __protocol_version__},
            )

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> Message:
        """The state for a page, which another thread may ask for: as it is now, whatever is shown while it is sent."""
        state: Message = super().get_state(key, drop_defaults)
        if "parts" in state:
            state["parts"] = dict(self.parts)
        return state

    def show(self, parts: dict[str, str]) -> None:
        """Show these parts and no others; what changed is sent in one message. Always from the same thread."""
        before = self.parts
        changed = {name: html for name, html in parts.items() if before.get(name) != html}
        gone = [name for name in before if name not in parts]
        if not changed and not gone:
            return
        before.update(changed)
        for name in gone:
            del before[name]
        self.send({"parts": changed, "gone": gone})

    def bundle(self, text: str) -> Message:
        """What a display message of it holds; `text` is for front ends without widgets."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {"text/plain": text, "application/vnd.jupyter.widget-view+json": view}
