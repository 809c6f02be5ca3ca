"""The messages between a client and the controller, as frozen values in two closed unions.

A request carries an id in its Jupyter header; its one answer names that id as parent. Notices
come unasked: they tell the owner of a task what became of it, or every client what became of an engine.
Knows no sockets and no bytes; see codec.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct, field

from nbcluster.ids import CellId, ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.calls import (
    AskEngines,
    CallOutput,
    CallReport,
    CallsAccepted,
    CallsBegun,
    CallsDone,
    EngineAnswers,
    Explain,
    FetchValue,
    ForgetKey,
    ListTasks,
    ReadHistory,
    Records,
    ReleaseValues,
    SubmitCalls,
    ValueBytes,
)
from nbcluster.protocol.feed import StopWork, WatchWork, WorkTold
from nbcluster.protocol.origin import Origin as Origin
from nbcluster.protocol.status import ClusterStatus as ClusterStatus
from nbcluster.protocol.status import EngineStatus as EngineStatus
from nbcluster.protocol.status import KernelSpecRef as KernelSpecRef
from nbcluster.protocol.version import PROTOCOL_VERSION as PROTOCOL_VERSION

# -- parts of messages ------------------------------------------------------------------------


class Succeeded(Struct, frozen=True, tag=True):
    """The cell ran to its end. `values` are pickles of what was asked for, "" the last expression's."""

    execution_count: int = 0
    values: dict[str, bytes] = {}
    unsent: dict[str, str] = {}
    """Names whose value was not sent, with the reason."""
    payload: tuple[dict[str, Any], ...] = ()


class Raised(Struct, frozen=True, tag=True):
    """The user's code raised. `traceback` is as the kernel drew it."""

    ename: str
    evalue: str
    traceback: tuple[str, ...] = ()


class Lost(Struct, frozen=True, tag=True):
    """The engine ended under the task."""

    reason: str


class Cancelled(Struct, frozen=True, tag=True):
    """The task was cancelled: before it ran, or by an interrupt that its owner asked for."""

    reason: str
    raised: Raised | None = None


class TimedOut(Struct, frozen=True, tag=True):
    """The task ran longer than its limit (seconds) and was interrupted, or given up when it would not end."""

    seconds: float
    raised: Raised | None = None
    note: str = ""
    """What more the owner should know (the engine is still stuck in it)."""


class Unmet(Struct, frozen=True, tag=True):
    """The task did not run, since one that it was to come after did not succeed."""

    reason: str
    cause: TaskId
    """The first that did not succeed."""


Outcome = Succeeded | Raised | Lost | Cancelled | TimedOut | Unmet


class TaskPlace(Struct, frozen=True):
    """A task and the engine that it is bound to; None until the scheduler has chosen one."""

    task: TaskId
    engine: EngineNumber | None


# -- requests: client to controller -----------------------------------------------------------


class Hello(Struct, frozen=True, tag=True):
    """The first word of a client."""

    client: ClientId
    label: str
    protocol: int = PROTOCOL_VERSION
    version: str = ""
    python: str = ""
    language: str = "python"
    host: str = ""
    pid: int = 0
    """Its process; 0 where it does not say. A controller on the same host sees by it that a client has died."""
    inside: bool = False
    """It serves the tasks on an engine of this cluster: it uses the cluster, and does not keep it."""


class Goodbye(Struct, frozen=True, tag=True):
    """The client leaves; its running tasks go on."""


class Beat(Struct, frozen=True, tag=True):
    """The client lives, and has taken so many bytes of output since its Hello. Answered by Done."""

    received: int = 0


class SubmitCell(Struct, frozen=True, tag=True):
    """Run code on each target. `targets` is text in the grammar of core.targets, "" for the default."""

    cell: CellId
    code: str
    targets: str = ""
    label: str = ""
    allow_stdin: bool = False
    silent: bool = False
    timeout: float | None = None
    fail_fast: bool = False
    startup: bool = False
    """Also run it on every matching engine that joins or restarts later, until the owner's cluster ends."""
    want_value: bool = False
    """Send the value of the last expression home with the outcome."""
    push: dict[str, bytes] = {}
    """Pickles to bind in the namespace before the code runs."""
    pull: tuple[str, ...] = ()
    """Names whose values are sent home with the outcome."""
    origin: Origin | None = None
    """What errors name; None: the engine's own count of cells."""
    namespace: str = ""
    """The named namespace that it runs in; "" is the kernel's own."""
    live: bool = False
    """Run at once beside what the engine runs now, in a subshell."""
    priority: int = 0
    retries: int = 0
    """How often it runs again after its own exception."""
    resources: dict[str, float] = {}
    """What each engine that runs it must have."""
    after: tuple[TaskId, ...] = ()
    """Tasks, of cells and calls, that must have succeeded first."""
    behind: tuple[TaskId, ...] = ()
    """Tasks of cells that must have ended first, whatever came of them."""
    brought: tuple[TaskId, ...] = ()
    """Calls that bind variables for it, each on one engine: there it comes after them."""
    near: TaskId | None = None
    """One of `after`, a cell's: with the targets `any` it runs on the engine that ran that one."""


class CancelTasks(Struct, frozen=True, tag=True):
    """Interrupt what runs and withdraw what waits. Answered at once; the outcomes come as TaskDone."""

    tasks: tuple[TaskId, ...]
    reason: str = "cancelled by its owner"
    force: bool = False
    """Restart an engine that does not give up the task within the grace time."""


class CancelAll(Struct, frozen=True, tag=True):
    """Cancel every task of this client."""


class InterruptEngines(Struct, frozen=True, tag=True):
    """Interrupt whatever runs there now, whoever sent it."""

    targets: str = ""


class SignalEngines(Struct, frozen=True, tag=True):
    """Send a POSIX signal to the engine processes."""

    signum: int
    targets: str = ""


class AddEngines(Struct, frozen=True, tag=True):
    """Start n more engines, or as many as bring those of this kind up to n when `up_to` is true."""

    n: int
    spec: KernelSpecRef = field(default_factory=KernelSpecRef)
    up_to: bool = False


class RemoveEngines(Struct, frozen=True, tag=True):
    """Stop engines for good."""

    targets: str


class ScaleEngines(Struct, frozen=True, tag=True):
    """Add engines, or remove idle ones and then those with the highest numbers, until there are n."""

    n: int
    spec: KernelSpecRef = field(default_factory=KernelSpecRef)


class RestartEngines(Struct, frozen=True, tag=True):
    """End these engines' processes and start new ones under the same numbers."""

    targets: str = ""


class Describe(Struct, frozen=True, tag=True):
    """Ask for a ClusterStatus. `usage` also measures memory and CPU."""

    usage: bool = False


class Complete(Struct, frozen=True, tag=True):
    """Ask an engine's kernel for completions. Answered by KernelReply within `timeout` seconds or not at all."""

    code: str
    cursor_pos: int
    targets: str = ""
    timeout: float = 0.3
    namespace: str = ""


class Inspect(Struct, frozen=True, tag=True):
    """Ask an engine's kernel what a name is. Answered as Complete is."""

    code: str
    cursor_pos: int
    detail_level: int = 0
    targets: str = ""
    timeout: float = 0.3
    namespace: str = ""


class SendInput(Struct, frozen=True, tag=True):
    """What the user typed for an InputWanted."""

    task: TaskId
    value: str


class SendComm(Struct, frozen=True, tag=True):
    """A comm message (comm_open, comm_msg, comm_close) for an engine. Buffers ride in the frames."""

    engine: EngineNumber
    msg_type: str
    content: Raw
    metadata: dict[str, Any] = {}


class ReadLog(Struct, frozen=True, tag=True):
    """The last lines of a log: an engine's, or the controller's own when `engine` is None."""

    engine: EngineNumber | None = None
    lines: int = 200


class SetOptions(Struct, frozen=True, tag=True):
    """Change options of the running cluster. None leaves as it is; a negative idle_timeout means never."""

    idle_timeout: float | None = None


class StopCluster(Struct, frozen=True, tag=True):
    """End engines and controller. Refused while other clients are connected, unless forced."""

    force: bool = False


Request = (
    Hello
    | Goodbye
    | Beat
    | SubmitCell
    | CancelTasks
    | CancelAll
    | InterruptEngines
    | SignalEngines
    | AddEngines
    | RemoveEngines
    | ScaleEngines
    | RestartEngines
    | Describe
    | Complete
    | Inspect
    | SendInput
    | SendComm
    | ReadLog
    | SetOptions
    | StopCluster
    | SubmitCalls
    | ReleaseValues
    | ForgetKey
    | FetchValue
    | ListTasks
    | ReadHistory
    | Explain
    | AskEngines
    | WatchWork
    | StopWork
)


# -- answers and notices: controller to client ------------------------------------------------


class Welcome(Struct, frozen=True, tag=True):
    """The answer to Hello."""

    status: ClusterStatus
    protocol: int = PROTOCOL_VERSION


class Accepted(Struct, frozen=True, tag=True):
    """The answer to SubmitCell: one task for each target."""

    cell: CellId
    tasks: tuple[TaskPlace, ...]


class Engines(Struct, frozen=True, tag=True):
    """The answer to orders about engines: the numbers that they meant."""

    numbers: tuple[EngineNumber, ...]


class Status(Struct, frozen=True, tag=True):
    """The answer to Describe."""

    status: ClusterStatus


class KernelReply(Struct, frozen=True, tag=True):
    """The content of a kernel's own reply; `content` is empty when it did not answer in time."""

    content: dict[str, Any]


class LogText(Struct, frozen=True, tag=True):
    """The answer to ReadLog."""

    text: str


class Done(Struct, frozen=True, tag=True):
    """The answer to orders that return nothing."""


class Refused(Struct, frozen=True, tag=True):
    """The answer to what cannot be done: the name of a class in errors.BY_NAME, and its message."""

    error: str
    message: str


class TaskStarted(Struct, frozen=True, tag=True):
    """An engine began a task. `notice` is what the user should know first (a restart that lost the namespace)."""

    cell: CellId
    task: TaskId
    engine: EngineNumber
    attempt: int
    notice: str = ""


class TaskOutput(Struct, frozen=True, tag=True):
    """An iopub message that a task caused: stream, display_data, execute_result and their like.

    `content` is the kernel's own JSON. Buffers ride in the frames. `late` means that the task had ended.
    """

    cell: CellId
    task: TaskId
    engine: EngineNumber
    msg_type: str
    content: Raw
    metadata: dict[str, Any] = {}
    late: bool = False


class InputWanted(Struct, frozen=True, tag=True):
    """A task asks for a line of input."""

    cell: CellId
    task: TaskId
    engine: EngineNumber
    prompt: str
    password: bool


class TaskDone(Struct, frozen=True, tag=True):
    """A task ended. `output_dropped` counts output messages that could not be kept for a slow client."""

    cell: CellId
    task: TaskId
    engine: EngineNumber | None
    attempt: int
    outcome: Outcome
    output_dropped: int = 0


class CommSent(Struct, frozen=True, tag=True):
    """A comm message that an engine published. Buffers ride in the frames."""

    engine: EngineNumber
    incarnation: Incarnation
    msg_type: str
    content: Raw
    metadata: dict[str, Any] = {}
    cell: CellId | None = None
    lost: bool = False
    """A comm_close that the engine did not send: it has gone, and its end of the comm with it."""


class EngineChanged(Struct, frozen=True, tag=True):
    """An engine's status changed; `gone` when it was removed."""

    engine: EngineStatus
    gone: bool = False


class ClusterStopping(Struct, frozen=True, tag=True):
    """The controller is about to end."""

    reason: str


Answer = (
    Welcome
    | Accepted
    | Engines
    | Status
    | KernelReply
    | LogText
    | Done
    | Refused
    | CallsAccepted
    | ValueBytes
    | Records
    | EngineAnswers
)
Notice = (
    TaskStarted
    | TaskOutput
    | InputWanted
    | TaskDone
    | CommSent
    | EngineChanged
    | ClusterStopping
    | CallsBegun
    | CallsDone
    | CallOutput
    | CallReport
    | WorkTold
)


class Part(Struct, frozen=True):
    """One message of a bundle; `parent` is the id of the request that it answers, "" for a notice."""

    parent: str
    message: Answer | Notice


class Bundle(Struct, frozen=True, tag=True):
    """What one client is told in one turn of the controller's loop, in order. A message costs a wake-up."""

    parts: tuple[Part, ...]


FromController = Answer | Notice | Bundle
