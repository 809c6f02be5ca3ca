"""Everything that the scheduler can ask to be done. Imperatives; knows not how they are done."""

from __future__ import annotations

from msgspec import Struct

from nbcluster.ids import CellId, ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import KernelSpecRef, Outcome, SubmitCell, TaskPlace


class StartEngine(Struct, frozen=True, tag=True):
    """Start a process for this incarnation."""

    engine: EngineNumber
    incarnation: Incarnation
    spec: KernelSpecRef


class StopEngine(Struct, frozen=True, tag=True):
    """End the process of this incarnation; EngineDied follows."""

    engine: EngineNumber
    incarnation: Incarnation


class RunCell(Struct, frozen=True, tag=True):
    """Send a cell to an engine. CellReturned or EngineDied follows."""

    task: TaskId
    engine: EngineNumber
    incarnation: Incarnation
    attempt: int
    order: SubmitCell


class InterruptCell(Struct, frozen=True, tag=True):
    """Interrupt this attempt of this task there, and nothing else."""

    task: TaskId
    engine: EngineNumber
    incarnation: Incarnation
    attempt: int


class SetTimer(Struct, frozen=True, tag=True):
    """Tell TimerFired after so many seconds, unless cleared."""

    timer: str
    seconds: float


class ClearTimer(Struct, frozen=True, tag=True):
    """Forget a timer."""

    timer: str


class TellAccepted(Struct, frozen=True, tag=True):
    """Tell the client where its cell will run."""

    client: ClientId
    cell: CellId
    tasks: tuple[TaskPlace, ...]


class TellRefused(Struct, frozen=True, tag=True):
    """Tell whoever gave the order that it cannot be followed. `error` is a name in errors.BY_NAME."""

    error: str
    message: str


class TellStarted(Struct, frozen=True, tag=True):
    """Tell the owner that its task runs."""

    client: ClientId
    cell: CellId
    task: TaskId
    engine: EngineNumber
    attempt: int
    notice: str


class TellDone(Struct, frozen=True, tag=True):
    """Tell the owner how its task ended. Exactly one for every accepted task."""

    client: ClientId
    cell: CellId
    task: TaskId
    engine: EngineNumber | None
    attempt: int
    outcome: Outcome


class TellEngines(Struct, frozen=True, tag=True):
    """Tell whoever gave an order about engines which ones it meant."""

    engines: tuple[EngineNumber, ...]


class ShowEngine(Struct, frozen=True, tag=True):
    """Tell every client that an engine's status changed, or that it is gone."""

    engine: EngineNumber
    gone: bool = False


Effect = (
    StartEngine
    | StopEngine
    | RunCell
    | InterruptCell
    | SetTimer
    | ClearTimer
    | TellAccepted
    | TellRefused
    | TellStarted
    | TellDone
    | TellEngines
    | ShowEngine
)
