"""What the scheduler remembers: engines, tasks, cells, calls, the table of a task's moves. Knows no decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from nbcluster.core.effects import InputPlace
from nbcluster.core.inputs import CallOrder
from nbcluster.core.kinds import Kind
from nbcluster.core.means import Mean
from nbcluster.core.queues import Line
from nbcluster.ids import CellId, ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import KernelSpecRef, Outcome, SubmitCell
from nbcluster.protocol.outcomes import CallOutcome


class TaskState(Enum):
    """Where a task is in its life."""

    WAITING = "waiting"
    """For other tasks to end."""
    READY = "ready"
    RUNNING = "running"
    STOPPING = "stopping"
    """Still on the engine, asked to end (cancelled or out of time)."""
    GIVEN_UP = "given up"
    """Its owner has been told the end; the engine has not let go of it yet."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    __hash__ = object.__hash__  # members are single objects, and Enum's own hash is a slow one


_ENDS = frozenset({TaskState.FAILED, TaskState.CANCELLED, TaskState.LOST})

MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.WAITING: _ENDS | {TaskState.READY, TaskState.RUNNING},
    TaskState.READY: _ENDS | {TaskState.WAITING, TaskState.RUNNING},
    TaskState.RUNNING: _ENDS | {TaskState.WAITING, TaskState.READY, TaskState.STOPPING, TaskState.DONE},
    TaskState.STOPPING: _ENDS | {TaskState.GIVEN_UP, TaskState.DONE},
    TaskState.GIVEN_UP: _ENDS,
    TaskState.DONE: frozenset({TaskState.WAITING}),
    TaskState.FAILED: frozenset(),
    TaskState.CANCELLED: frozenset(),
    TaskState.LOST: frozenset(),
}
"""Every move that a task can make; the last four states are ends.

A call leaves DONE only when the value that it made is lost and made again. One that was ready waits again when a value
that it takes is.
"""

FINAL = _ENDS | {TaskState.DONE}

ON_ENGINE = frozenset({TaskState.RUNNING, TaskState.STOPPING})
"""A task that an engine has, and that has not ended."""

_WAITING = TaskState.WAITING


class EngineState(Enum):
    """Where an engine is in its life."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    RESTARTING = "restarting"
    """Its process is being ended or was lost; the next incarnation has not begun."""
    STOPPING = "stopping"
    FAILED = "failed"
    """It does not start, or dies too often; it keeps its number until it is restarted or removed."""


_IDLE, _BUSY = EngineState.IDLE, EngineState.BUSY  # a look at a member of an Enum costs several at a name


class StopCause(Enum):
    """Why a running task was asked to end."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"


@dataclass(slots=True)
class Task:
    """One cell on one engine."""

    id: TaskId
    cell: CellId
    owner: ClientId
    order: SubmitCell
    language: str
    """The language of the client that sent it."""
    sequence: int
    """Position in the order of submission."""
    bound: EngineNumber | None
    """The engine that it is for; None when the scheduler may choose."""
    engine: EngineNumber | None = None
    """The engine that it runs on, or is for."""
    state: TaskState = TaskState.READY
    attempt: int = 0
    stop_cause: StopCause | None = None
    stop_reason: str = ""
    force: bool = False
    outcome: Outcome | None = None
    on_start_of: Incarnation | None = None
    """Set when this is a startup cell's run on a new incarnation."""
    muted: bool = False
    """Its owner has left: there is no one to tell."""
    failures: int = 0
    """How often it raised and was run again."""
    counted: tuple[TaskId, ...] = ()
    """Tasks that it waits for, or has waited for."""
    missing: int = 0
    """So many of them must end before it is ready."""
    queued: bool = False

    def __post_init__(self) -> None:
        self.engine = self.bound

    @property
    def rank(self) -> int:
        """Its place among what waits for an engine, low first: live, startup, then by priority."""
        if self.order.live:
            return _LIVE
        return _STARTUP if self.on_start_of is not None else -self.order.priority


_LIVE, _STARTUP = -(1 << 66), -(1 << 65)
"""Before every priority that fits a message."""


@dataclass(slots=True, frozen=True)
class Ended:
    """How the task of a cell ended."""

    task: TaskId
    title: str
    engine: EngineNumber | None
    became: str
    """As the end of a sentence, "" when it succeeded."""
    cause: TaskId
    """The first that did not succeed: itself, or what it was to come after."""


class _Seldom:
    """What few calls ever have: they find the usual here, and only those few pay for their own."""

    __slots__ = ()

    unmade: str = ""
    """Why the value could not be made again, where that is not said by its options."""
    remade: int = 0
    """How often it made its value again."""
    because: str = ""
    """The first failure for which it could not run, in words; that call may be forgotten by then."""
    failures: int = 0
    """How often it raised and was run again."""
    losses: tuple[str, ...] = ()
    """What became of the engines that it may have taken down."""
    stop_cause: StopCause | None = None
    stop_reason: str = ""
    force: bool = False


class Call(_Seldom):
    """One call, from its submission until nobody needs its value.

    Attributes
    ----------
    sequence : int
        Position in the order of submission.
    place : int
        Its turn among what is ready: the position of the last root that it grew from, so graphs go depth-first.
    kind : Kind
        Which engines may run it, and where it waits with others of its like unless it is pinned.
    engine : EngineNumber, optional
        Where it is pinned, runs, or ended.
    begun : bool
        Its engine has said that it runs.
    recalled : bool
        Its engine has been asked to give it back if it has not begun.
    mean : Mean
        What calls of its function take.
    expected : float
        Seconds that this attempt was expected to take when it was sent.
    sources : tuple of Call
        Those whose values it takes, as its order names them; empty once it has ended.
    missing : int
        So many tasks must end before it is ready; when it was sent ahead, before its engine begins it.
    unsent : int
        So many of those are calls and cells that no engine has.
    waiters : list of Call, optional
        Calls that wait for the end of this one, here or sent ahead to its engine.
    takers : list of Call, optional
        Calls that take its value and did not wait for it, or do no more. Who has ended is passed over.
    needed : int
        How often it is a source of calls that have not ended.
    heirs : dict of TaskId to Call, optional
        Calls that took its value and whose own values, should they be lost, are made again from it.
    held : bool
        Its owner has a Future of it.
    keyed : bool
        A key holds it.
    kept : bool
        The controller has the value; otherwise it lies on the engine alone.
    nbytes : int
        Size of the value.
    place_of_value : InputPlace, optional
        As engines are told where the value is; None until one has been.
    lost : str
        Why the value is no more, "" while it is there.
    again : str
        How the value was lost that it makes again now, "" when it does not.
    seconds : float
        How long the attempt ran that ended it; 0 when it did not run, or nobody knows.
    outcome : CallOutcome, optional
        What its owner was told, without traceback and pickled exception.
    """

    __slots__ = (
        "__dict__",  # for what is seldom had
        "again",
        "attempt",
        "begun",
        "engine",
        "expected",
        "heirs",
        "held",
        "id",
        "kept",
        "keyed",
        "kind",
        "lost",
        "mean",
        "missing",
        "nbytes",
        "needed",
        "order",
        "outcome",
        "owner",
        "place",
        "place_of_value",
        "queued",
        "recalled",
        "seconds",
        "sequence",
        "sources",
        "state",
        "takers",
        "unsent",
        "waiters",
    )

    heirs: dict[TaskId, Call] | None
    outcome: CallOutcome | None
    place_of_value: InputPlace | None
    takers: list[Call] | None
    waiters: list[Call] | None
    sources: tuple[Call, ...]

    def __init__(self, owner: ClientId, order: CallOrder, sequence: int, kind: Kind, mean: Mean) -> None:
        self.id: TaskId = order.task
        self.owner = owner
        self.order = order
        self.kind = kind
        self.mean = mean
        self.sequence = self.place = sequence
        self.state = _WAITING
        self.engine: EngineNumber | None = None
        self.sources = ()
        self.waiters = self.takers = self.heirs = self.outcome = self.place_of_value = None
        self.attempt = self.missing = self.unsent = self.needed = self.nbytes = 0
        self.queued = self.begun = self.recalled = self.keyed = False
        self.held = self.kept = True
        self.expected = self.seconds = 0.0
        self.lost = self.again = ""

    def __repr__(self) -> str:
        return f"<call {self.id}: {self.state.value}>"

    @property
    def title(self) -> str:
        """What a message calls it."""
        return self.order.options.label or "a call"

    @property
    def users(self) -> list[Call]:
        """Calls that have not ended and take its value."""
        near = dict.fromkeys((*(self.takers or ()), *(self.waiters or ())))
        return [call for call in near if self in call.sources]

    def move(self, state: TaskState) -> None:
        """Go to another state, as the table of moves allows."""
        assert state in MOVES[self.state], f"call {self.id} cannot go from {self.state} to {state}"
        self.state = state


@dataclass(slots=True)
class Engine:
    """One engine: its number is for ever, its incarnation for one life."""

    number: EngineNumber
    incarnation: Incarnation
    spec: KernelSpecRef
    state: EngineState = EngineState.STARTING
    language: str = ""
    kernel: str = ""
    host: str = ""
    can_call: bool = False
    running: TaskId | None = None
    """The cell that occupies it."""
    beside: dict[TaskId, None] = field(default_factory=dict)
    """Live cells that run beside that."""
    lane: Line[Task | Call] = field(default_factory=Line)
    """What is bound to this engine and waits."""
    inflight: dict[TaskId, Call] = field(default_factory=dict)
    """Calls that were sent and have not been answered, in the order of sending."""
    load: float = 0.0
    """Seconds that these are expected to take."""
    alone: bool = False
    """What is in flight has a time limit, so nothing is sent behind it."""
    stuck: int = 0
    """How many of them were given up."""
    level: int = -1
    """What runs there waits: it begins calls that are nested deeper than this; -1 when nothing waits."""
    suspended: dict[TaskId, Call] = field(default_factory=dict)
    """Calls that were sent and are not deeper: those that wait there, and what was sent before they did."""
    accepts: bool = False
    """Calls that may run anywhere may come here: it is up, and nothing else has to go first."""
    kinds: list[Kind] = field(default_factory=list)
    """Those whose calls it may run."""
    thief: EngineNumber | None = None
    """For whom it was asked last to give calls back."""
    followers: dict[TaskId, Call] = field(default_factory=dict)
    """Calls that may be sent ahead, since what they wait for was sent here: looked at when there is room."""
    values: dict[TaskId, None] = field(default_factory=dict)
    """Calls whose values lie here alone."""
    starts: int = 1
    deaths: list[float] = field(default_factory=list)
    """When it died, as told; kept as long as the restart window needs."""
    notice: str = ""
    """What the next task on it tells its owner first."""
    note: str = ""


@dataclass(slots=True)
class Cell:
    """The tasks of one submission that have not ended."""

    id: CellId
    owner: ClientId
    order: SubmitCell
    open: set[TaskId] = field(default_factory=set)
    failed_fast: bool = False
    """One of its tasks did not succeed and the others have been asked to end."""


@dataclass(slots=True)
class StartupCell:
    """A cell that also runs on every matching engine that joins or restarts."""

    id: CellId
    owner: ClientId
    order: SubmitCell
    language: str
    sequence: int
    muted: bool = False


def title(order: SubmitCell) -> str:
    """What a message calls a cell: its label, or the beginning of its code."""
    first = order.label or next((line.strip() for line in order.code.splitlines() if line.strip()), "a cell")
    return first if len(first) <= 40 else first[:39] + "…"


def language_of(engine: Engine) -> str:
    """The language of an engine; before it has ever answered it is known for our own interpreter alone."""
    return engine.language or ("" if engine.spec.kernel else "python")


def takes_tasks(engine: Engine) -> bool:
    """Whether a task may be bound to it, now or once it is up."""
    return engine.state not in (EngineState.FAILED, EngineState.STOPPING)


def is_up(engine: Engine) -> bool:
    """Whether it has answered in this life and has not been asked to end."""
    return engine.state is _IDLE or engine.state is _BUSY


def has(engine: Engine, resources: Mapping[str, float]) -> bool:
    """Whether the engine has at least these resources."""
    own = engine.spec.resources
    return all(own.get(name, 0.0) >= amount for name, amount in resources.items())


def sent_to(engine: Engine, task: TaskId) -> Call | None:
    """A call that was sent to an engine and has not been answered."""
    return engine.inflight.get(task) or engine.suspended.get(task)


def could_call(engine: Engine) -> bool:
    """Whether it can run functions, or may turn out to once it is up."""
    return takes_tasks(engine) and (engine.can_call or not engine.language)
