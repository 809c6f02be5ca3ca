"""What the scheduler remembers: engines, tasks, cells, the table of a task's moves. Knows no decisions."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum

from nbcluster.ids import CellId, ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import KernelSpecRef, Outcome, SubmitCell


class TaskState(Enum):
    """Where a task is in its life."""

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


MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.READY: frozenset({TaskState.RUNNING, TaskState.CANCELLED, TaskState.LOST}),
    TaskState.RUNNING: frozenset({TaskState.STOPPING, TaskState.DONE, TaskState.FAILED, TaskState.LOST}),
    TaskState.STOPPING: frozenset(
        {TaskState.GIVEN_UP, TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED, TaskState.LOST}
    ),
    TaskState.GIVEN_UP: frozenset({TaskState.FAILED, TaskState.CANCELLED, TaskState.LOST}),
    TaskState.DONE: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.CANCELLED: frozenset(),
    TaskState.LOST: frozenset(),
}
"""Every move that a task can make; the last four states are final."""

FINAL = frozenset(state for state, moves in MOVES.items() if not moves)


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
    engine: EngineNumber | None
    """The engine that it is bound to; None while the scheduler may choose."""
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
    lane: OrderedDict[TaskId, None] = field(default_factory=OrderedDict)
    """Tasks bound to this engine that wait, in order. A dict, so that withdrawing one of many is cheap."""
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
