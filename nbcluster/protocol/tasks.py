"""The messages of the task channel, between the controller and the agent of one engine. Knows no sockets.

The agent opens the channel outward, says AgentHello, and answers while user code computes. Every message is
msgpack in the signed frames of the Jupyter wire format, under the key of the engine's connection file.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from nbcluster.ids import Incarnation, TaskId
from nbcluster.protocol.offers import Offer
from nbcluster.protocol.outcomes import CallOutcome
from nbcluster.protocol.version import PROTOCOL_VERSION

TASKS_URL = "NBCLUSTER_TASKS"
"""Environment variable of an engine: the url of the controller's task channel; after a space its Curve key."""

INCARNATION = "NBCLUSTER_INCARNATION"
"""Environment variable of an engine: its incarnation."""

NUMBER = "NBCLUSTER_ENGINE"
"""Environment variable of an engine: its number."""

SEGMENTS = "NBCLUSTER_SEGMENTS"
"""Environment variable of an engine: the directory of shared memory, where the cluster has one on its host."""

MEMORY = "NBCLUSTER_MEMORY"
"""Environment variable of an engine: bytes of memory that it may use; "/n" for an n-th of its host's, 0 for any."""

SPILLED = "NBCLUSTER_SPILLED"
"""Environment variable of an engine: the directory for values that do not fit into memory, where there is one."""

CONNECTION = "NBCLUSTER_CONNECTION"
"""Environment variable of an engine: path of its cluster's connection file, for calls that submit calls."""


# -- controller to engine ---------------------------------------------------------------------


class CallRef(Struct, frozen=True, array_like=True, gc=False):
    """One attempt of one call."""

    task: TaskId
    attempt: int


class RunOptions(Struct, frozen=True, array_like=True):
    """What the calls of one kind have in common."""

    label: str = ""
    namespace: str = ""
    quiet: bool = False
    keep: bool = False
    level: int = 0
    """How deep it is nested; see protocol.calls.CallOptions."""


class Input(Struct, frozen=True, array_like=True, gc=False):
    """A value that a call needs: here (`payload`), in the engine's own store (`here`), or to be asked for by SendMe.

    An envelope in place of the value may mean nothing any more, or nothing on this host: it is asked for then too.

    Or it is made by a call that was sent to this engine before (`made`, its attempt). When that makes no value, or is
    not here any more, the call that needs it is given back unasked, by GaveBack.
    """

    task: TaskId
    payload: bytes | None = None
    here: bool = False
    made: int = 0


class CallOrder(Struct, frozen=True, array_like=True, gc=False):
    """One call to run, in the order of the message."""

    task: TaskId
    attempt: int
    options: int
    """Index into RunCalls.options."""
    function: str
    payload: bytes = b""
    sizes: tuple[int, ...] = ()
    """Lengths of frames behind the message."""
    inputs: tuple[Input, ...] = ()


class RunCalls(Struct, frozen=True, tag=True):
    """Run these calls after those before them. `functions` brings what this engine has not been sent yet."""

    options: tuple[RunOptions, ...]
    calls: tuple[CallOrder, ...]
    functions: dict[str, bytes] = {}
    forget: tuple[str, ...] = ()
    """Digests of functions that may be dropped; the controller will send them again when needed."""


class TakeBack(Struct, frozen=True, tag=True):
    """Give back those of these calls that have not begun. Answered by GaveBack; those that began go on."""

    calls: tuple[CallRef, ...]


class StopCalls(Struct, frozen=True, tag=True):
    """Drop calls that have not begun and interrupt the one that runs. Each is answered in CallsReturned:

    by Withdrawn, or by what it came to if it ended first. Attempts that are not here are passed over.
    """

    calls: tuple[CallRef, ...]


class DropValues(Struct, frozen=True, tag=True):
    """Nobody needs these values any more."""

    tasks: tuple[TaskId, ...]


class SendValue(Struct, frozen=True, tag=True):
    """Send the value of a task. Answered by ValueSent with the same request number."""

    request: int
    task: TaskId
    whole: bool = True
    """Whether its bytes are wanted also where it lies in shared memory: who asks does not share it."""
    direct: bool = False
    """Whether who asks can fetch it from an offer."""


class TakeValue(Struct, frozen=True, tag=True):
    """The value that SendMe asked for, or where it can be had; `missing` says why there is none.

    `lost` says that it went with its engine: the call that needs it is then given back unasked, by GaveBack, since the
    value may be made again.
    """

    task: TaskId
    payload: bytes = b""
    sizes: tuple[int, ...] = ()
    missing: str = ""
    offer: Offer | None = None
    lost: bool = False


class Ask(Struct, frozen=True, tag=True):
    """A question of a client: an encoded Question. Answered by Answered with the same request number."""

    request: int
    question: bytes
    sizes: tuple[int, ...] = ()


ToEngine = RunCalls | TakeBack | StopCalls | DropValues | SendValue | TakeValue | Ask


# -- engine to controller ---------------------------------------------------------------------


class AgentHello(Struct, frozen=True, tag=True):
    """The first word of an agent."""

    incarnation: Incarnation
    pid: int
    python: str
    """Version of Python as platform.python_version() gives it."""
    protocol: int = PROTOCOL_VERSION


class Begun(Struct, frozen=True, tag=True):
    """This call has been running for a while (at least 50 ms), since epoch seconds."""

    task: TaskId
    attempt: int
    since: float


class CallResult(Struct, frozen=True, array_like=True, gc=False):
    """How one attempt ended. `payload` is the value when it is at most HOME_LIMIT bytes and rides home.

    Otherwise it is the envelope that says where the value lies in shared memory, or None.
    """

    task: TaskId
    attempt: int
    outcome: CallOutcome
    started: float = 0.0
    seconds: float = 0.0
    payload: bytes | None = None
    output: bytes = b""
    """msgpack of a tuple of protocol.calls.OutputPiece; b"" for none."""


class CallsReturned(Struct, frozen=True, tag=True):
    """These attempts ended."""

    results: tuple[CallResult, ...]


class GaveBack(Struct, frozen=True, tag=True):
    """These attempts had not begun and will not: as asked, or because what they need is not made here."""

    calls: tuple[CallRef, ...]


class SendMe(Struct, frozen=True, tag=True):
    """The engine needs the value of a task for a call that waits here. Answered by TakeValue."""

    task: TaskId
    whole: bool = True
    direct: bool = False
    """See SendValue."""


class ValueSent(Struct, frozen=True, tag=True):
    """The value that SendValue asked for, or where it can be had; `missing` says why there is none.

    `lost` is said by the controller in place of an engine that has gone.
    """

    request: int
    payload: bytes = b""
    sizes: tuple[int, ...] = ()
    missing: str = ""
    offer: Offer | None = None
    lost: bool = False


class Lends(Struct, frozen=True, tag=True):
    """What runs there waits for calls: it begins those that are nested deeper than `level`; -1 when nothing waits.

    That a call has begun is said before its engine lends.
    """

    level: int


class MemoryTold(Struct, frozen=True, tag=True):
    """How it stands with the memory of an engine that has had to do something about it. Bytes."""

    limit: int
    """0 for none."""
    used: int
    kept: int
    """Of results in memory."""
    spilled: int
    """Of results on disk."""
    note: str = ""
    """What a user should know."""
    paused: bool = False
    """Whether no further call begins."""


class Printed(Struct, frozen=True, tag=True):
    """Output of a call that still runs; what is sent here is not in its CallResult."""

    task: TaskId
    attempt: int
    output: bytes


class Reported(Struct, frozen=True, tag=True):
    """What report() said last in a call that runs; at most five a second."""

    task: TaskId
    attempt: int
    values: dict[str, Any]


class Answered(Struct, frozen=True, tag=True):
    """The answer to Ask: an encoded Reply."""

    request: int
    reply: bytes
    sizes: tuple[int, ...] = ()


FromEngine = (
    AgentHello
    | Begun
    | CallsReturned
    | GaveBack
    | Lends
    | SendMe
    | ValueSent
    | Printed
    | Reported
    | Answered
    | MemoryTold
)


# -- questions of clients, which pass through the controller unread ---------------------------


class DescribeNames(Struct, frozen=True, tag=True):
    """What names a namespace has: type, shape, size. `names` limits it; () is all that users made."""

    namespace: str = ""
    names: tuple[str, ...] = ()


class NameInfo(Struct, frozen=True, array_like=True):
    """One name of a namespace. `nbytes` is the size of the value's own data where it can be told cheaply."""

    name: str
    type: str
    shape: tuple[int, ...] | None = None
    nbytes: int | None = None
    digest: str = ""
    """Digest of the bytes under which the notebook last shipped it, while it is still that very object."""
    preview: str = ""
    """A short repr, for numbers, strings and the like alone."""


class NamesDescribed(Struct, frozen=True, tag=True):
    """The answer to DescribeNames."""

    names: tuple[NameInfo, ...]


class ReadNames(Struct, frozen=True, tag=True):
    """Read values beside what runs (`live`)."""

    names: tuple[str, ...]
    namespace: str = ""


class NamesRead(Struct, frozen=True, tag=True):
    """The answer to ReadNames: pickles by name, and reasons for those that could not be sent."""

    values: dict[str, bytes]
    unsent: dict[str, str] = {}


class WriteNames(Struct, frozen=True, tag=True):
    """Bind values beside what runs (`live`), or delete names."""

    values: dict[str, bytes]
    namespace: str = ""
    delete: tuple[str, ...] = ()
    shipped: dict[str, str] = {}
    """Digests by name, of what the notebook ships of its own accord."""


class NamesWritten(Struct, frozen=True, tag=True):
    """The answer to WriteNames; `failed` says why by name."""

    failed: dict[str, str] = {}


class Failed(Struct, frozen=True, tag=True):
    """The agent could not answer."""

    reason: str


Question = DescribeNames | ReadNames | WriteNames
Reply = NamesDescribed | NamesRead | NamesWritten | Failed
