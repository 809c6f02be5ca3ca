"""What a notebook asks of a cluster on its user's behalf: cells, views of work, comms, completion. Adds nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbcluster.client.aio import AsyncCluster, CommListener
from nbcluster.client.attached import Key
from nbcluster.client.cells import CellRun, OutputTaker
from nbcluster.client.needs import Needs
from nbcluster.client.portal import portal
from nbcluster.client.watching import Listener
from nbcluster.client.worknow import WorkNow
from nbcluster.core.board import Board
from nbcluster.protocol import messages as m
from nbcluster.transport.frames import Buffer


class FrontFace:
    """This part of the synchronous face: each method is its async twin's, through the portal."""

    _twin: AsyncCluster

    def send_cell(
        self,
        code: str,
        targets: str = "",
        *,
        label: str = "",
        allow_stdin: bool = False,
        silent: bool = False,
        timeout: float | None = None,
        fail_fast: bool = False,
        startup: bool = False,
        want_value: bool = False,
        push: Mapping[str, bytes] | None = None,
        pull: Sequence[str] = (),
        origin: m.Origin | None = None,
        namespace: str = "",
        live: bool = False,
        priority: int = 0,
        retries: int = 0,
        resources: Mapping[str, float] | None = None,
        needs: Needs | None = None,
    ) -> CellRun:
        """Send a cell; return when the controller has accepted it. See `AsyncCluster.send_cell`."""
        work = self._twin.send_cell(
            code,
            targets,
            label=label,
            allow_stdin=allow_stdin,
            silent=silent,
            timeout=timeout,
            fail_fast=fail_fast,
            startup=startup,
            want_value=want_value,
            push=push,
            pull=pull,
            origin=origin,
            namespace=namespace,
            live=live,
            priority=priority,
            retries=retries,
            resources=resources,
            needs=needs,
        )
        return portal().call(work)

    def ui(self) -> WorkNow:
        """A picture of this client's work and of the engines, as they are now. See `AsyncCluster.ui`."""
        return portal().call(self._twin.ui())

    def watch(self, listener: Listener) -> None:
        """Give each new Board of this client's work to a callback, on the I/O thread."""
        portal().call(self._twin.watch(listener))

    def unwatch(self, listener: Listener) -> Board:
        """Give it no more; return the Board as it is now."""
        return portal().call(self._twin.unwatch(listener))

    def complete(
        self, code: str, cursor_pos: int, targets: Key = "", timeout: float = 0.3, namespace: str = ""
    ) -> dict[str, Any]:
        """Ask an engine's kernel for completions; the content of its complete_reply, empty when it is late."""
        return portal().call(self._twin.complete(code, cursor_pos, targets, timeout, namespace))

    def inspect(
        self,
        code: str,
        cursor_pos: int,
        detail_level: int = 0,
        targets: Key = "",
        timeout: float = 0.3,
        namespace: str = "",
    ) -> dict[str, Any]:
        """Ask an engine's kernel what a name is; the content of its inspect_reply, empty when it is late."""
        return portal().call(self._twin.inspect(code, cursor_pos, detail_level, targets, timeout, namespace))

    def on_comm(self, listener: CommListener, take_output: OutputTaker | None = None) -> None:
        """Have comm messages given to a callback, on the I/O thread. See `AsyncCluster.on_comm`."""
        self._twin.on_comm(listener, take_output)

    def send_comm(
        self,
        engine: int,
        msg_type: str,
        content: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[Buffer] = (),
    ) -> None:
        """Send a comm message to an engine."""
        portal().call(self._twin.send_comm(engine, msg_type, content, metadata, buffers))
