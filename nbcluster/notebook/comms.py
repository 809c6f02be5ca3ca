"""Carries comms between engines and the notebook's page, so that widgets made on an engine show and work here.

Knows kernels and comms, and of widgets only that the page asks for their state. Every comm that a cell opens on an
engine gets a proxy in the notebook's kernel with the same id. The state of each widget is kept here too: a page that
is loaded again gets it at once, also while the engine is busy.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from comm.base_comm import BaseComm
from msgspec import json

from nbcluster.errors import NBClusterError
from nbcluster.ids import CellId
from nbcluster.notebook.operations import Buffers
from nbcluster.notebook.outputwidgets import OutputWidgets
from nbcluster.notebook.widgetstate import (
    CONTROL_TARGET,
    CONTROL_VERSION,
    TARGET,
    WidgetState,
    joined_states,
    states_message,
)
from nbcluster.protocol.messages import CommSent, TaskOutput

REMEMBERED_CELLS = 500
"""Cells whose comm messages still name them as their cause."""

Message = dict[str, Any]

_log = logging.getLogger(__name__)


class CommPeer(Protocol):
    """The part of client.cluster.Cluster that carries comms."""

    def on_comm(
        self,
        listener: Callable[[CommSent, Sequence[Any]], None],
        take_output: Callable[[TaskOutput], bool] | None = None,
    ) -> None:
        """Have the comm messages of engines given to a callback, on the I/O thread, and output that it may take."""

    def send_comm(
        self,
        engine: int,
        msg_type: str,
        content: Message,
        metadata: Message | None = None,
        buffers: Sequence[Any] = (),
    ) -> None:
        """Send a comm message to an engine."""


class ProxyComm(BaseComm):  # type: ignore[misc]  # comm is not typed
    """The notebook's end of a comm whose other end is on an engine.

    It is not ipykernel's own class on purpose: messages to that one are routed to the shell that published last, so
    they would wait for a cell that blocks; those to this one are served by the page's subshell.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    peer : CommPeer
    engine : int
    content : dict
        Of the comm_open message.
    parent : dict
        The message that caused it.
    ended : callable
        Called with the id when the page has closed its end, or nothing is left to show.
    """

    def __init__(
        self,
        shell: Any,
        peer: CommPeer,
        engine: int,
        content: Message,
        parent: Message,
        ended: Callable[[str], None],
    ) -> None:
        self._kernel, self._peer, self._engine, self._ended = shell.kernel, peer, engine, ended
        self._is_cut_off = False
        self.parent = parent
        self.state = WidgetState() if content.get("target_name") == TARGET else None
        self._lock = threading.Lock()
        super().__init__(
            target_name=str(content.get("target_name", "")), comm_id=str(content["comm_id"]), primary=False
        )

    def publish_msg(
        self,
        msg_type: str,
        data: Message | None = None,
        metadata: Message | None = None,
        buffers: Buffers | None = None,
        **keys: Any,
    ) -> None:
        """Send a message to the page; any thread."""
        self._kernel.session.send(
            self._kernel.iopub_socket,
            msg_type,
            {"data": data or {}, "comm_id": self.comm_id, **keys},
            metadata=metadata or {},
            parent=self.parent,
            ident=self.topic,
            buffers=list(buffers or ()),
        )

    def fold(self, data: Message, buffers: Buffers) -> None:
        """Keep what a message says of the widget's state."""
        if self.state is not None:
            with self._lock:
                self.state.fold(data, buffers)

    def handle_msg(self, msg: Message) -> None:
        """Take a message of the page to the engine; what is known of the state is answered here."""
        self.parent = msg
        data, buffers = msg["content"].get("data", {}), msg.get("buffers", ())
        if data.get("method") == "request_state" and self.state is not None:
            with self._lock:
                update, parts = self.state.as_update()
            self.publish_msg("comm_msg", update, buffers=parts)
            return
        if self._is_cut_off:
            return
        self.fold(data, buffers)
        self._pass_on("comm_msg", msg)

    def handle_close(self, msg: Message) -> None:
        """Tell the engine that the page has closed its end."""
        self._ended(self.comm_id)
        if not self._is_cut_off:
            self._pass_on("comm_close", msg)

    def show_outputs(self, outputs: list[Message], *, tell_engine: bool) -> None:
        """Have the page, and perhaps the engine, set what an output widget shows."""
        update: Message = {"method": "update", "state": {"outputs": outputs}, "buffer_paths": []}
        self.fold(update, ())
        self.publish_msg("comm_msg", update)
        if tell_engine and not self._is_cut_off:
            from nbcluster.client.callbacks import call_soon

            # This is the I/O thread, which must not wait for itself.
            call_soon(lambda message: self._pass_on("comm_msg", message), {"content": {"data": update}})

    def cut_off(self) -> None:
        """Show that the engine has gone: a widget stays with its last values, but is disabled; others are closed.

        Closing a widget would take it off the page, and a bar that has long been at its end with it.
        """
        self._is_cut_off = True
        if self.state is None:
            self._ended(self.comm_id)
            self.close()
            return
        if "disabled" not in self.state.values:
            return
        told: Message = {"disabled": True}
        if "tooltip" in self.state.values:
            told["tooltip"] = f"engine {self._engine} is gone"
        update: Message = {"method": "update", "state": told, "buffer_paths": []}
        self.fold(update, ())
        self.publish_msg("comm_msg", update)

    def _pass_on(self, msg_type: str, msg: Message) -> None:
        content = {"comm_id": self.comm_id, "data": msg["content"].get("data", {})}
        try:
            self._peer.send_comm(
                self._engine, msg_type, content, msg.get("metadata") or {}, msg.get("buffers", ())
            )
        except (NBClusterError, TimeoutError) as error:
            # There is nobody to raise to: that the widget is cut off is shown on the page.
            _log.info("comm %s has no engine %s any more: %s", self.comm_id, self._engine, error)
            if msg_type != "comm_close":
                self.cut_off()


class Proxies:
    """The proxies of one notebook.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._manager = shell.kernel.comm_manager
        self._followed: list[CommPeer] = []
        self._parents: OrderedDict[str, Message] = OrderedDict()
        self._latest: Message = {}
        self._open: dict[str, ProxyComm] = {}
        self._control: StatesOfAll | None = None
        self._output_widgets = OutputWidgets()
        self._ended = False

    def expect(self, peer: CommPeer, parent: Message) -> None:
        """Hear a cluster's comms from now on. Its next cell is sent because of this message."""
        self._latest = parent
        if not any(known is peer for known in self._followed):
            self._followed.append(peer)
            peer.on_comm(
                lambda notice, buffers: self._heard(peer, notice, buffers),
                lambda event: not self._ended and self._output_widgets.take(event),
            )

    def sent(self, cell: CellId, parent: Message) -> None:
        """Note which message a cell was sent for."""
        self._parents[cell] = parent
        while len(self._parents) > REMEMBERED_CELLS:
            self._parents.popitem(last=False)

    def keep_control(self) -> None:
        """Have the page told of the proxies' widgets when it asks for all states; others may take the target."""
        if not any(proxy.state is not None for proxy in list(self._open.values())):
            return
        now = self._manager.targets.get(CONTROL_TARGET)
        if now is None or now is not self._control:
            self._control = StatesOfAll(now, self._states)
            self._manager.register_target(CONTROL_TARGET, self._control)

    def close(self) -> None:
        """Cut every widget off, and take everything out."""
        self._ended = True
        for proxy in list(self._open.values()):
            proxy.close()
        self._open.clear()
        if self._control is not None and self._manager.targets.get(CONTROL_TARGET) is self._control:
            if self._control.before is None:
                self._manager.unregister_target(CONTROL_TARGET, self._control)
            else:
                self._manager.register_target(CONTROL_TARGET, self._control.before)

    # -- on the I/O thread: at once, so that a widget is known to the page before it is displayed -------

    def _heard(self, peer: CommPeer, notice: CommSent, buffers: Sequence[Any]) -> None:
        if self._ended:
            return
        content: Message = json.decode(notice.content)
        data = content.get("data") or {}
        cause = self._parents.get(notice.cell, self._latest) if notice.cell is not None else None
        if notice.msg_type == "comm_open":
            proxy = ProxyComm(self._shell, peer, notice.engine, content, cause or self._latest, self._forget)
            self._open[proxy.comm_id] = proxy
            self._manager.register_comm(proxy)
            self.keep_control()
        else:
            known = self._open.get(str(content.get("comm_id")))
            if known is None:
                return
            proxy = known
        if cause is not None:
            proxy.parent = cause
        match notice.msg_type:
            case "comm_open":
                self._output_widgets.opened(proxy.comm_id, proxy, data)
                proxy.fold(data, buffers)
                names = {key: content[key] for key in ("target_name", "target_module") if key in content}
                proxy.publish_msg("comm_open", data, notice.metadata, buffers, **names)
            case "comm_msg":
                told = self._output_widgets.heard(proxy.comm_id, notice.cell, notice.engine, data)
                if told is not None:
                    proxy.fold(told, buffers)
                    proxy.publish_msg("comm_msg", told, notice.metadata, buffers)
            case "comm_close" if notice.lost:
                self._output_widgets.closed(proxy.comm_id)
                proxy.cut_off()
            case "comm_close":
                self._forget(proxy.comm_id)
                proxy.close(data, notice.metadata, buffers)

    def _forget(self, comm_id: str) -> None:
        self._open.pop(comm_id, None)
        self._output_widgets.closed(comm_id)

    def _states(self) -> dict[str, WidgetState]:
        return {
            comm_id: proxy.state for comm_id, proxy in list(self._open.items()) if proxy.state is not None
        }


class StatesOfAll:
    """Answers a page that asks for the state of all widgets: those of this kernel, and those of the engines.

    Parameters
    ----------
    before : callable or None
        The handler of the target that was there: ipywidgets', when it is used in the notebook too.
    states : callable
        Gives the states of the engines' widgets.
    """

    def __init__(
        self, before: Callable[[Any, Message], None] | None, states: Callable[[], dict[str, WidgetState]]
    ) -> None:
        self.before, self._states = before, states

    def __call__(self, comm: Any, msg: Message) -> None:
        """The page has opened a control comm."""
        if self.before is not None:
            self.before(_Joined(comm, self._states), msg)
            return
        version = str((msg.get("metadata") or {}).get("version", ""))
        if version.split(".")[0] != CONTROL_VERSION:
            raise ValueError(
                f"the page speaks version {version!r} of the control protocol, not {CONTROL_VERSION}"
            )
        comm.on_msg(lambda asked: self._answer(comm, asked))

    def _answer(self, comm: Any, asked: Message) -> None:
        if asked["content"]["data"].get("method") == "request_states":
            message, buffers = states_message(self._states())
            comm.send(message, buffers=buffers)


class _Joined:
    """A control comm in which the answer of the kernel's own widgets gets the engines' added."""

    def __init__(self, comm: Any, states: Callable[[], dict[str, WidgetState]]) -> None:
        self._comm, self._states = comm, states

    def on_msg(self, callback: Any) -> None:
        self._comm.on_msg(callback)

    def on_close(self, callback: Any) -> None:
        self._comm.on_close(callback)

    def send(
        self,
        data: Message | None = None,
        metadata: Message | None = None,
        buffers: Sequence[Any] | None = None,
    ) -> None:
        if data is not None and data.get("method") == "update_states":
            data, buffers = joined_states(data, buffers or (), self._states())
        self._comm.send(data, metadata, buffers)
