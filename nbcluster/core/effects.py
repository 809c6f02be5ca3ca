"""Everything that the scheduler can ask to be done. Imperatives; knows not how they are done."""

from __future__ import annotations

from msgspec import Struct

from nbcluster.ids import CellId, ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import KernelSpecRef, Outcome, SubmitCell, TaskPlace
from nbcluster.protocol.outcomes import CallOutcome
from nbcluster.protocol.tasks import CallRef


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


# -- calls ------------------------------------------------------------------------------------


class InputPlace(Struct, frozen=True, gc=False):
    """Where the value of an input is. None: the controller has it."""

    task: TaskId
    engine: EngineNumber | None
    attempt: int = 0
    """The attempt that is to make it, on that very engine and before; 0 when it has been made."""


class CallRun(Struct, frozen=True, gc=False):
    """One attempt to send to an engine."""

    task: TaskId
    attempt: int
    inputs: tuple[InputPlace, ...] = ()


class RunCalls(Struct, frozen=True, tag=True):
    """Send calls to an engine, in this order. CallsAnswered or CallsGivenBack follows for each, or EngineDied."""

    engine: EngineNumber
    incarnation: Incarnation
    calls: tuple[CallRun, ...]


class TakeBackCalls(Struct, frozen=True, tag=True):
    """Ask an engine to give back those of these that have not begun."""

    engine: EngineNumber
    incarnation: Incarnation
    calls: tuple[CallRef, ...]


class StopCalls(Struct, frozen=True, tag=True):
    """Drop these there if they have not begun, interrupt them if they run. CallsAnswered follows for each."""

    engine: EngineNumber
    incarnation: Incarnation
    calls: tuple[CallRef, ...]


class CallBegin(Struct, frozen=True, gc=False):
    """A call that its owner is told of."""

    task: TaskId
    attempt: int


class TellCallsBegun(Struct, frozen=True, tag=True):
    """Tell the owner that these run."""

    client: ClientId
    engine: EngineNumber
    calls: tuple[CallBegin, ...]


class CallEnd(Struct, frozen=True, gc=False):
    """How a call ended, for good."""

    task: TaskId
    engine: EngineNumber | None
    attempt: int
    outcome: CallOutcome


class TellCallsDone(Struct, frozen=True, tag=True):
    """Tell the owner how its calls ended. Each accepted call is in exactly one such effect (unless nobody listens)."""

    client: ClientId
    calls: tuple[CallEnd, ...]


class DropValues(Struct, frozen=True, tag=True):
    """Have an engine let go of values."""

    engine: EngineNumber
    incarnation: Incarnation
    tasks: tuple[TaskId, ...]


class ForgetPayloads(Struct, frozen=True, tag=True):
    """These calls will not run again: their arguments may go."""

    tasks: tuple[TaskId, ...]


class KeepRecipes(Struct, frozen=True, tag=True):
    """These calls have returned, and may run again to make lost values: their arguments are kept as recipes."""

    tasks: tuple[TaskId, ...]


class MakeAgain(Struct, frozen=True, tag=True):
    """The values of these calls are gone, and they will run again: their recipes are arguments once more."""

    tasks: tuple[TaskId, ...]


class TellCallsRemade(Struct, frozen=True, tag=True):
    """How making values again ended, of calls whose owners were told their end before: who waits for them may know."""

    calls: tuple[CallEnd, ...]


class ValueLoss(Struct, frozen=True, gc=False):
    """A value that is no more, though somebody may ask for it."""

    task: TaskId
    why: str


class LoseValues(Struct, frozen=True, tag=True):
    """These values were lost and cannot be made again."""

    losses: tuple[ValueLoss, ...]


class ForgetValues(Struct, frozen=True, tag=True):
    """Nobody needs the values of these calls, nor asks for them: what the controller keeps of them may go."""

    tasks: tuple[TaskId, ...]


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
    | RunCalls
    | TakeBackCalls
    | StopCalls
    | TellCallsBegun
    | TellCallsDone
    | DropValues
    | ForgetPayloads
    | KeepRecipes
    | MakeAgain
    | TellCallsRemade
    | LoseValues
    | ForgetValues
)
