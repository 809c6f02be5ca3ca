"""Which kernel message belongs to which task, and when a task's answer is complete. Knows no sockets.

A cell has answered when its execute_reply and the idle status of the same message have both come: they travel on
different channels, and only idle says that its output is complete. The reply of an engine of ours is enough where it
says that nothing was published. Finished ones are remembered for late output.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct, json

from nbcluster.ids import CellId, ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import Outcome, Raised, Succeeded

REMEMBERED = 500
"""Finished executions of one engine whose late output still finds its cell."""


class OurMetadata(Struct):
    """What our kernel adds to the metadata of an execute_reply."""

    values: dict[str, bytes] = {}
    unsent: dict[str, str] = {}
    quiet: bool = False


class _ReplyMetadata(Struct):
    nbcluster: OurMetadata | None = None


class _ExecuteReply(Struct):
    status: str
    execution_count: int | None = None
    ename: str = ""
    evalue: str = ""
    traceback: list[str] = []
    payload: list[dict[str, Any]] = []


_decode_reply = json.Decoder(_ExecuteReply).decode
_decode_metadata = json.Decoder(_ReplyMetadata).decode


@dataclass(slots=True)
class Execution:
    """One execute_request and the attempt of a task that it is."""

    client: ClientId
    cell: CellId
    task: TaskId
    engine: EngineNumber
    incarnation: Incarnation
    attempt: int
    outcome: Outcome | None = None
    idle: bool = False
    told: bool = False
    subshell: str = ""
    """The subshell that a live cell runs in; it is answered out of the order of the others."""
    started: float = field(default_factory=time.time)


@dataclass
class Question:
    """One that was sent behind a request. When it is answered on both channels, the request's own answer is lost."""

    msg_id: str
    replied: bool = False
    idle: bool = False


class Executions:
    """The executions of one incarnation of an engine, running and lately finished."""

    def __init__(self) -> None:
        self._by_message: OrderedDict[str, Execution] = OrderedDict()
        self._questions: dict[str, Question] = {}

    def add(self, msg_id: str, execution: Execution) -> None:
        """Remember a request that was sent."""
        self._by_message[msg_id] = execution
        if len(self._by_message) > REMEMBERED:
            oldest = next(iter(self._by_message))
            if self._by_message[oldest].told:
                del self._by_message[oldest]

    def find(self, msg_id: str) -> Execution | None:
        """The execution that a message names as its parent."""
        return self._by_message.get(msg_id)

    def message_of(self, task: TaskId, attempt: int) -> str | None:
        """The message id of an attempt that runs."""
        for msg_id, execution in reversed(self._by_message.items()):
            if execution.task == task and execution.attempt == attempt and not execution.told:
                return msg_id
        return None

    def any_running(self) -> bool:
        """Whether one has not been answered."""
        return any(not execution.told for execution in self._by_message.values())

    def running(self) -> list[Execution]:
        """Those that have not been answered."""
        return [execution for execution in self._by_message.values() if not execution.told]

    def waiting(self) -> str | None:
        """The message id of the oldest that has not been answered, live ones aside."""
        return next(
            (msg_id for msg_id, known in self._by_message.items() if not known.told and not known.subshell),
            None,
        )

    def asked_after(self, question: str, msg_id: str) -> None:
        """Note a question that was sent behind a request."""
        self._questions[question] = Question(msg_id)

    def overtaken(self, question: str) -> Execution | None:
        """Note the reply to a question; return the execution that it overtook, whose own is lost.

        A kernel answers what came on one channel in its order. What it published may still be on its way when replies
        have come, so the question's own idle has to come too.
        """
        asked = self._questions.get(question)
        if asked is None:
            return None
        asked.replied = True
        return self._settle(asked)

    def _settle(self, question: Question) -> Execution | None:
        execution = self._by_message.get(question.msg_id)
        if execution is None or execution.told or not (question.replied and question.idle):
            return None
        execution.outcome = execution.outcome or Raised(
            "ReplyLost",
            "the kernel has gone on, and its reply to this cell was lost; what the cell printed is all that is known",
        )
        execution.idle = True
        return self._complete(question.msg_id, execution)

    def started(self, task: TaskId) -> float | None:
        """When a task's latest attempt was sent, in epoch seconds."""
        for execution in reversed(self._by_message.values()):
            if execution.task == task:
                return execution.started
        return None

    def replied(self, msg_id: str, content: bytes, metadata: bytes) -> Execution | None:
        """Note a reply; return the execution when it is complete with that."""
        execution = self._by_message.get(msg_id)
        if execution is None:
            return None
        execution.outcome, is_quiet = read_reply(content, metadata)
        execution.idle = execution.idle or is_quiet
        return self._complete(msg_id, execution)

    def idled(self, msg_id: str) -> Execution | None:
        """Note an idle status, of a request or of a question; return the execution when it is complete with that."""
        asked = self._questions.get(msg_id)
        if asked is not None:
            asked.idle = True
            return self._settle(asked)
        execution = self._by_message.get(msg_id)
        if execution is None:
            return None
        execution.idle = True
        return self._complete(msg_id, execution)

    def _complete(self, msg_id: str, execution: Execution) -> Execution | None:
        if execution.told or execution.outcome is None or not execution.idle:
            return None
        execution.told = True
        for question in [each for each, asked in self._questions.items() if asked.msg_id == msg_id]:
            del self._questions[question]
        return execution


def read_reply(content: bytes, metadata: bytes = b"{}") -> tuple[Outcome, bool]:
    """Read an execute_reply of any kernel: its outcome, and whether it says that nothing was published."""
    reply = _decode_reply(content)
    ours = _decode_metadata(metadata).nbcluster or OurMetadata()
    outcome: Outcome
    if reply.status == "ok":
        outcome = Succeeded(reply.execution_count or 0, ours.values, ours.unsent, tuple(reply.payload))
    elif reply.status == "error":
        outcome = Raised(reply.ename, reply.evalue, tuple(reply.traceback))
    else:  # "abort" and "aborted": bash_kernel after an interrupt, ipykernel after another cell's error
        outcome = Raised("KeyboardInterrupt", "the kernel aborted the cell", ())
    return outcome, ours.quiet
