"""The messages about calls between a client and the controller: many calls in one message, in both directions.

Values and functions are opaque bytes (see payload). Bytes over INLINE_LIMIT ride in frames behind the message,
in the order in which `sizes` lists them. Knows no sockets.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from nbcluster.ids import EngineNumber, TaskId
from nbcluster.protocol.offers import Offer
from nbcluster.protocol.outcomes import CallOutcome

INLINE_LIMIT = 65_536
"""Bytes of one out-of-band buffer that still ride within the message; larger ones get a frame of their own."""

HOME_LIMIT = 65_536
"""Bytes of a result that ride home with the end of its call; a larger one stays on its engine until asked for."""

KEPT_BY_CONTROLLER = 4_096
"""Bytes of a result that the controller keeps in place of the engine, so that it outlives the engine."""


FUNCTIONS_KEPT = 64 << 20
"""Bytes of functions that the controller remembers for each client: those that the client sent last.

The last one is kept however large it is. What a client sent before those comes again with the calls that name it.
"""


class CallOptions(Struct, frozen=True, array_like=True):
    """What the calls of one kind have in common."""

    targets: str = ""
    """In the grammar of TARGETS; "" is any engine that can call."""
    label: str = ""
    """How views name it: the function's name."""
    retries: int = 0
    timeout: float | None = None
    priority: int = 0
    resources: dict[str, float] = {}
    namespace: str = ""
    """The named namespace that it runs in; "" is the kernel's own."""
    repeatable: bool = True
    """Whether it may run again, up to three times, when its engine is lost."""
    pinned: bool = False
    """It is about one engine (`targets` is its number): it waits its turn there behind cells and never moves."""
    quiet: bool = False
    """One of nbcluster's own (push, pull): not in the history, and not what `%debug` opens."""
    keep: bool = False
    """Its value stays on the engine however small it is (put)."""
    level: int = 0
    """How deep it is nested: 0, and inside of a call on an engine one more than that."""
    near: TaskId | None = None
    """The task of a cell on whose engine it is pinned, once that has ended; then `targets` is ""."""


class CallSpec(Struct, frozen=True, array_like=True, gc=False):
    """One call as a client submits it."""

    task: TaskId
    options: int
    """Index into SubmitCalls.options."""
    function: str
    """Digest of the function's bytes, which were sent before or come in SubmitCalls.functions."""
    payload: bytes = b""
    """The pickled arguments, b"" for none."""
    sizes: tuple[int, ...] = ()
    """Lengths of the out-of-band buffers of the arguments, each a frame behind the message."""
    inputs: tuple[TaskId, ...] = ()
    """Tasks whose values the arguments name."""
    after: tuple[TaskId, ...] = ()
    """Tasks that must succeed first, without their values."""
    key: str = ""
    """The user's name for it: its value is held until the key is used again or forgotten."""
    shared: int = 0
    """Bytes of its arguments that lie in shared memory, of which the payload holds the place alone."""
    envelope: bytes = b""
    """The envelope of those, where the payload is not it but has it inside (put)."""


class SubmitCalls(Struct, frozen=True, tag=True):
    """Run calls. Answered by CallsAccepted when the controller has room for more, so a client that waits is throttled.

    A call that cannot be (unknown target, no such resource) ends at once with Rejected; the others are not affected.
    """

    options: tuple[CallOptions, ...]
    calls: tuple[CallSpec, ...]
    functions: dict[str, bytes] = {}


class CallsAccepted(Struct, frozen=True, tag=True):
    """The answer to SubmitCalls."""

    count: int


class ReleaseValues(Struct, frozen=True, tag=True):
    """The client holds these Futures no longer: their values may go, when their tasks have ended. Never answered."""

    tasks: tuple[TaskId, ...]


class ForgetKey(Struct, frozen=True, tag=True):
    """Let go of the value held under a key. Refused with KeyError's message when there is none."""

    key: str


class FetchValue(Struct, frozen=True, tag=True):
    """Bring the value of a call that ended. Answered by ValueBytes, or refused with ValueReleased."""

    task: TaskId
    whole: bool = True
    """Whether its bytes are wanted also where it lies in shared memory."""
    direct: bool = False
    """Whether the client can fetch it from an offer."""


class ValueBytes(Struct, frozen=True, tag=True):
    """A value: its pickle, and the lengths of the buffers that come as frames; or where it can be had."""

    payload: bytes
    sizes: tuple[int, ...] = ()
    offer: Offer | None = None


class ListTasks(Struct, frozen=True, tag=True):
    """Ask for records: of tasks in a state ("" is all that are not over), or of those with a key."""

    state: str = ""
    keyed: bool = False
    limit: int = 0
    """At most so many; 0 is all. What was left out is counted in the answer."""
    held: bool = False
    """Those of the asker's calls that have ended and whose value is kept, largest first."""


class TaskRecord(Struct, frozen=True, repr_omit_defaults=True):
    """What is known of a task. Times in epoch seconds, sizes in bytes."""

    task: TaskId
    key: str = ""
    label: str = ""
    kind: str = "call"
    """call or cell."""
    state: str = ""
    owner: str = ""
    engine: EngineNumber | None = None
    attempt: int = 0
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    seconds: float | None = None
    nbytes: int | None = None
    error: str = ""
    progress: dict[str, Any] = {}
    """What report() said last."""


class Records(Struct, frozen=True, tag=True):
    """The answer to ListTasks and ReadHistory. `left_out` counts those beyond the limit."""

    records: tuple[TaskRecord, ...]
    left_out: int = 0
    note: str = ""
    """What could not be kept, and why, or which engines have results on disk; "" when there is nothing to say."""
    nbytes: int = 0
    """Of ListTasks.held: bytes of all values, also of those left out."""


class ReadHistory(Struct, frozen=True, tag=True):
    """Ask for records of tasks that ended, oldest first, from a position on.

    `limit` 0 is as many as fit in one answer; `left_out` tells how many come after those.
    """

    state: str = ""
    label: str = ""
    since: float = 0.0
    offset: int = 0
    limit: int = 0


class Explain(Struct, frozen=True, tag=True):
    """Ask in words why a task (by id or key) is where it is. Answered by LogText."""

    task: str


class AskEngines(Struct, frozen=True, tag=True):
    """Put a question to the agents of engines, which answer while user code computes. Answered by EngineAnswers.

    `question` is a message of protocol.tasks, encoded; the controller does not look into it.
    """

    question: bytes
    targets: str = ""
    timeout: float = 5.0
    sizes: tuple[int, ...] = ()


class EngineAnswers(Struct, frozen=True, tag=True):
    """What each engine's agent said, encoded; an engine that did not answer in time is listed in `silent`."""

    answers: dict[EngineNumber, bytes]
    silent: tuple[EngineNumber, ...] = ()
    sizes: dict[EngineNumber, tuple[int, ...]] = {}
    """Lengths of the frames behind the message, of one engine after the other."""


class CallBegun(Struct, frozen=True, array_like=True, gc=False):
    """A call has been running for a while (short ones end without this)."""

    task: TaskId
    engine: EngineNumber
    attempt: int
    since: float
    """Epoch seconds."""


class CallsBegun(Struct, frozen=True, tag=True):
    """Notice: these calls run now."""

    calls: tuple[CallBegun, ...]


class CallDone(Struct, frozen=True, array_like=True, gc=False):
    """How a call ended."""

    task: TaskId
    engine: EngineNumber | None
    attempt: int
    outcome: CallOutcome
    started: float = 0.0
    """Epoch seconds; 0 when it never ran."""
    seconds: float = 0.0
    payload: bytes | None = None
    """The pickled value, when it rides home with its end (then it has no frames).

    Otherwise it is the envelope that says where the value lies in shared memory, or None. An envelope may mean nothing
    any more, or nothing to this client: then the value is asked for.
    """
    output: bytes = b""
    """What it printed and displayed and was not sent before its end: msgpack of a tuple of OutputPiece."""


class CallsDone(Struct, frozen=True, tag=True):
    """Notice: these calls ended. Each accepted call is in exactly one such notice."""

    calls: tuple[CallDone, ...]
    accepted: tuple[tuple[str, int], ...] = ()
    """Ids of SubmitCalls messages and their numbers of calls: CallsAccepted for them, where it can ride along."""


class CallOutput(Struct, frozen=True, tag=True):
    """Notice: a call that still runs has printed or displayed; msgpack of a tuple of OutputPiece."""

    task: TaskId
    engine: EngineNumber
    attempt: int
    output: bytes


class CallReport(Struct, frozen=True, tag=True):
    """Notice: what report() said last in a call that runs."""

    task: TaskId
    engine: EngineNumber
    values: dict[str, Any]


class OutputPiece(Struct, frozen=True, array_like=True, gc=False):
    """One piece of a call's output: a stream's text, or a rich output as JSON of an iopub message's content."""

    msg_type: str
    """stdout, stderr, or an iopub msg_type such as display_data."""
    text: str = ""
    content: bytes = b""


DONE_WEIGHT = 64
"""What a CallDone counts beside the bytes that it carries."""


def weight(message: object) -> int:
    """Count the bytes of a message about calls for which the receiver owes an acknowledgement (see Beat).

    The controller and a client count alike, so that a client that reads nothing is known for it.
    """
    match message:
        case CallsDone(calls):
            return sum(DONE_WEIGHT + len(call.payload or b"") + len(call.output) for call in calls)
        case CallOutput(output=output):
            return DONE_WEIGHT + len(output)
        case ValueBytes(payload, sizes):
            return DONE_WEIGHT + len(payload) + sum(sizes)
        case _:
            return 0
