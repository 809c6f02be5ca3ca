"""Carries what kernels say to the clients that are meant, and back: output, comms, input, questions. Decides nothing.

Output belongs to the cell that its parent header names. A comm belongs to the client of the cell that opened it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from msgspec import Raw, json

from nbcluster.controller.clients import Clients
from nbcluster.controller.executions import Execution
from nbcluster.controller.orders import Refusal
from nbcluster.controller.pool import EnginePool, EngineProcess
from nbcluster.ids import ClientId, TaskId
from nbcluster.protocol import messages as m
from nbcluster.transport.frames import Buffer, Message
from nbcluster.transport.kernel import Channel

OUTPUTS = frozenset(
    {"stream", "display_data", "execute_result", "update_display_data", "clear_output", "error"}
)
COMMS = frozenset({"comm_open", "comm_msg", "comm_close"})

REMEMBERED_COMM_MESSAGES = 1000
"""Comm messages to engines that are still known as a cause: of the widgets that a callback makes."""

BEHIND_OUTPUT = 0.02
"""Seconds that a question stays behind, so that what was printed before it is shown before it."""


class Relay:
    """Knows which comm is whose and which cell waits for input."""

    def __init__(self, clients: Clients, pool: EnginePool) -> None:
        self._clients = clients
        self._pool = pool
        self._comms: dict[str, tuple[ClientId, EngineProcess]] = {}
        self._causes: dict[str, Execution] = {}
        self._passed: OrderedDict[str, ClientId] = OrderedDict()
        self._inputs: dict[TaskId, tuple[EngineProcess, Message]] = {}

    def forget_client(self, client: ClientId) -> None:
        """A client has gone."""
        for comm in [comm for comm, (owner, _) in self._comms.items() if owner == client]:
            self._forget_comm(comm)

    def _forget_comm(self, comm: str) -> None:
        self._comms.pop(comm, None)
        self._causes.pop(comm, None)

    def forget_engine(self, engine: EngineProcess) -> None:
        """An engine has gone, and its ends of comms with it."""
        for comm, (client, _) in [entry for entry in self._comms.items() if entry[1][1] is engine]:
            self._forget_comm(comm)
            content = Raw(json.encode({"comm_id": comm, "data": {}}))
            self._clients.tell(
                client, m.CommSent(engine.number, engine.incarnation, "comm_close", content, lost=True)
            )
        for task in [task for task, (asker, _) in self._inputs.items() if asker is engine]:
            del self._inputs[task]

    def forget_input(self, task: TaskId) -> None:
        """A task has ended and waits for nothing."""
        self._inputs.pop(task, None)

    def give_input(self, task: TaskId, value: str) -> None:
        """Hand a typed line to the cell that asked for it."""
        engine, request = self._inputs.pop(task, (None, None))
        if engine is not None and request is not None and engine.link is not None:
            engine.link.reply_input(request, value)

    async def ask(
        self,
        question: m.Complete | m.Inspect,
        process: EngineProcess | None,
        answer: Callable[[m.KernelReply], None],
    ) -> None:
        """Put a question to a kernel and answer with its reply, or with nothing when it is late."""
        content: dict[str, Any] = {"code": question.code, "cursor_pos": question.cursor_pos}
        msg_type = "complete_request"
        if isinstance(question, m.Inspect):
            content["detail_level"] = question.detail_level
            msg_type = "inspect_request"
        metadata = {"nbcluster": {"namespace": question.namespace}} if question.namespace else None
        reply: dict[str, Any] = {}
        if process is not None and process.link is not None and process.ready:
            # Our kernel answers on the control channel also while a cell runs; others only between cells.
            channel: Channel = "control" if process.can_call else "shell"
            try:
                async with asyncio.timeout(question.timeout):
                    answered = await process.link.ask(channel, msg_type, content, metadata)
                    reply = json.decode(answered.content)
            except TimeoutError:
                reply = {}
        answer(m.KernelReply(reply))

    def send_comm(
        self, client: ClientId, order: m.SendComm, process: EngineProcess | None, buffers: Sequence[Buffer]
    ) -> None:
        """Pass a client's comm message to an engine.

        Raises
        ------
        Refusal
            When the engine is not there.
        """
        if process is None or process.link is None:
            raise Refusal(
                "EngineLost", f"engine {order.engine} is not there; its widget is no longer connected"
            )
        comm_id = _comm_id(bytes(order.content))
        cause = self._causes.get(comm_id)
        if order.msg_type == "comm_close":
            self._forget_comm(comm_id)
        else:
            self._comms[comm_id] = (client, process)
        passed = process.link.request(
            "shell", order.msg_type, order.content, metadata=order.metadata, buffers=buffers
        )
        if cause is not None:
            # What a callback prints belongs to the cell that made the widget.
            process.executions.add(passed, replace(cause, client=client, told=True))
        self._passed[passed] = client
        while len(self._passed) > REMEMBERED_COMM_MESSAGES:
            self._passed.popitem(last=False)

    def published(self, engine: EngineProcess, message: Message) -> None:
        """Pass what a kernel published to whom it concerns."""
        kind = message.header.msg_type
        execution = engine.executions.find(message.parent_id)
        if kind in COMMS:
            self._comm_published(engine, execution, message)
        elif kind in OUTPUTS and execution is not None:
            notice = m.TaskOutput(
                execution.cell,
                execution.task,
                engine.number,
                kind,
                Raw(message.content),
                _decode_metadata(message.metadata),
                execution.told,
            )
            self._clients.tell_output(execution.client, notice, message.buffers)

    def asked(self, engine: EngineProcess, message: Message) -> None:
        """Pass a kernel's wish for input to the owner of the cell; end the cell's wait when nobody is there."""
        execution = engine.executions.find(message.parent_id)
        if execution is None or execution.told or execution.client not in self._clients:
            self._pool.interrupt(engine.incarnation, None)
            return
        # What the cell printed before it asked comes by another socket, and a question stops the drawing.
        asyncio.get_running_loop().call_later(BEHIND_OUTPUT, self._ask, engine, message)

    def _ask(self, engine: EngineProcess, message: Message) -> None:
        execution = engine.executions.find(message.parent_id)
        if execution is None or execution.told:
            return  # it was interrupted meanwhile
        content = json.decode(message.content)
        self._inputs[execution.task] = (engine, message)
        self._clients.tell(
            execution.client,
            m.InputWanted(
                execution.cell,
                execution.task,
                engine.number,
                str(content.get("prompt", "")),
                bool(content.get("password", False)),
            ),
        )

    def _comm_published(self, engine: EngineProcess, execution: Execution | None, message: Message) -> None:
        comm_id = _comm_id(message.content)
        owner, _ = self._comms.get(comm_id, (None, None))
        if owner is None:
            owner = execution.client if execution is not None else self._passed.get(message.parent_id)
            if owner is not None and message.header.msg_type == "comm_open":
                self._comms[comm_id] = (owner, engine)
                if execution is not None:
                    self._causes[comm_id] = execution
        if message.header.msg_type == "comm_close":
            self._forget_comm(comm_id)
        if owner is not None:
            notice = m.CommSent(
                engine.number,
                engine.incarnation,
                message.header.msg_type,
                Raw(message.content),
                _decode_metadata(message.metadata),
                execution.cell if execution is not None else None,
            )
            self._clients.tell(owner, notice, message.buffers)


def _comm_id(content: bytes) -> str:
    return str(json.decode(content).get("comm_id", ""))


def _decode_metadata(metadata: bytes) -> dict[str, Any]:
    if metadata == b"{}":
        return {}
    decoded: dict[str, Any] = json.decode(metadata)
    return decoded
