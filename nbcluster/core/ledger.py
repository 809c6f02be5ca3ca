"""What is where, and the few moves that keep it so and collect effects. Knows no orders and no facts."""

from __future__ import annotations

from nbcluster.core import targets
from nbcluster.core.effects import ClearTimer, Effect, RunCell, SetTimer, ShowEngine, TellDone, TellStarted
from nbcluster.core.kinds import Kind, KindKey
from nbcluster.core.means import Mean, Means
from nbcluster.core.model import (
    MOVES,
    Call,
    Cell,
    Ended,
    Engine,
    EngineState,
    StartupCell,
    Task,
    TaskState,
    is_up,
    title,
)
from nbcluster.core.outbox import Outbox
from nbcluster.core.queues import Line, Turns
from nbcluster.core.recipes import Recipes
from nbcluster.errors import UnknownTarget
from nbcluster.ids import CellId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import Cancelled, Lost, Outcome, Raised, Succeeded, TimedOut, Unmet

ENDED_KEPT = 10_000
"""Tasks of cells whose end is remembered for what was submitted before its client had heard of that end."""

PoolKey = tuple[str, frozenset[tuple[str, float]]]
"""A language, folded, and resources: tasks that agree in them may run on the same engines."""


class Ledger:
    """The tables of the scheduler.

    Only tasks that have not ended are kept; a task that was given up is kept until its engine lets go of it. Calls
    are kept as long as someone may ask for their values.
    """

    def __init__(self) -> None:
        self.engines: dict[EngineNumber, Engine] = {}
        self.tasks: dict[TaskId, Task] = {}
        self.cells: dict[CellId, Cell] = {}
        self.pools: dict[PoolKey, Line[Task]] = {}
        """Tasks that wait for any engine that can run them, in order."""
        self.startup: dict[CellId, StartupCell] = {}
        self.timers: dict[str, TaskId] = {}
        self.effects: list[Effect] = []
        self.hungry: set[EngineNumber] = set()
        """Engines that may have something new to take."""
        self.failing: dict[CellId, str] = {}
        """Cells whose other tasks are to end because one did not succeed, with the reason."""
        self.moved: dict[EngineNumber, None] = {}
        """Engines that can run other things than before: they came, went, got ready or failed."""
        self.ended: dict[TaskId, Ended] = {}
        """The last tasks of cells that ended."""
        self.awaited: dict[TaskId, list[Task | Call]] = {}
        """What waits for each task, where it or what waits is a cell's. Who has ended since is passed over."""
        self.over: list[tuple[Ended, list[Task | Call]]] = []
        """What has ended in this step, with those that waited for it."""
        self._changed: dict[EngineNumber, None] = {}
        self._incarnations = 0
        self._sequence = 0

        self.calls: dict[TaskId, Call] = {}
        self.open_calls = 0
        """How many of them have not ended."""
        self.keys: dict[str, TaskId] = {}
        """The call that each key holds."""
        self.kinds: dict[KindKey, Kind] = {}
        self.turns = Turns()
        self.no_kind = Kind(("", frozenset(), False, 0), targets.parse(""), {}, False, self.turns)
        """That of calls which no engine can run."""
        self.means = Means()
        self.guessed: dict[Mean, dict[Call, None]] = {}
        """Calls that engines have of functions of which none has ended: what they are expected to take is a guess."""
        self.outbox = Outbox()
        self.fed: dict[Kind, None] = {}
        """Kinds that have calls ready which no engine has been looked for yet."""
        self.limited: dict[Kind, None] = {}
        """Kinds of calls with a time limit that have some ready."""
        self.laden: dict[EngineNumber, None] = {}
        """Engines with more than one call in flight."""
        self.held_back: set[EngineNumber] = set()
        """Engines that could take more, and let what they have come to an end for a task that needs all of one."""
        self.freed: list[Call] = []
        """Calls that waited for others, the last of which has succeeded."""
        self.doomed: list[tuple[Call, Call]] = []
        """Calls that waited for one that did not succeed, with that one."""
        self.recipes = Recipes()
        self.unwanted: list[Call] = []
        """Calls that make a lost value again which nobody may need any more."""
        self.call_timers: dict[str, tuple[Call, ...]] = {}
        """Calls that a timer is about. A time limit is cleared with its attempt, and what stops is not sent again."""

    # -- engines ------------------------------------------------------------------------------

    def next_incarnation(self) -> Incarnation:
        """A life that no engine has had."""
        self._incarnations += 1
        return Incarnation(self._incarnations)

    def engine(self, number: EngineNumber) -> Engine:
        """The engine of that number, or UnknownTarget."""
        if number not in self.engines:
            raise UnknownTarget(f"there is no engine {number}")
        return self.engines[number]

    def show(self, engine: Engine) -> None:
        """Have everyone told of the engine's status, once, when the step has ended."""
        self._changed[engine.number] = None

    def set_state(self, engine: Engine, state: EngineState, note: str = "") -> None:
        """Move an engine."""
        if not (is_up(engine) and state in _UP):
            self.moved[engine.number] = None
        engine.state = state
        engine.note = note
        self.hungry.add(engine.number)
        self.show(engine)

    def remove(self, engine: Engine) -> None:
        """Forget an engine; its number is free again."""
        del self.engines[engine.number]
        self.hungry.discard(engine.number)
        self.moved[engine.number] = None
        self.show(engine)

    # -- tasks --------------------------------------------------------------------------------

    def next_sequences(self, count: int) -> int:
        """The first of so many positions behind all that was submitted."""
        first = self._sequence + 1
        self._sequence += count
        return first

    def enter(self, task: Task) -> None:
        """Accept a task: let it wait in its engine's lane, in the pool of its language, or for what it comes after."""
        self.tasks[task.id] = task
        cell = self.cells.setdefault(task.cell, Cell(task.cell, task.owner, task.order))
        cell.open.add(task.id)
        if task.state is TaskState.READY:
            self._let_wait(task)

    def make_ready(self, task: Task) -> None:
        """What a task came after has ended."""
        self._move(task, TaskState.READY)
        self._let_wait(task)
        if task.bound is None:
            self.hungry.update(self.engines)

    def again(self, task: Task) -> None:
        """Let a task that raised wait for another run."""
        task.failures += 1
        self._move(task, TaskState.READY)
        self._leave_engine(task)
        self._let_wait(task)

    def queue_of(self, task: Task) -> Line[Task] | Line[Task | Call]:
        """Where a task waits while it is READY."""
        if task.bound is None:
            return self.pools[pool_key(task)]
        return self.engines[task.bound].lane

    def _let_wait(self, task: Task) -> None:
        if task.bound is None:
            self.pools.setdefault(pool_key(task), Line()).push(task.rank, task.sequence, task)
            return
        self.engines[task.bound].lane.push(task.rank, task.sequence, task)
        self.hungry.add(task.bound)

    def run(self, task: Task, engine: Engine) -> None:
        """Send a task to an engine: an idle one, or a live task beside what it runs."""
        self._leave_queue(task)
        task.engine = engine.number
        task.attempt += 1
        self._move(task, TaskState.RUNNING)
        if task.order.live:
            engine.beside[task.id] = None
        else:
            engine.running = task.id
            self.set_state(engine, EngineState.BUSY)
        self._tell_started(task, engine)
        self.effects.append(RunCell(task.id, engine.number, engine.incarnation, task.attempt, task.order))
        if task.order.timeout is not None:
            self.set_timer(task, "timeout", task.order.timeout)

    def stop(self, task: Task) -> None:
        """Note that a running task has been asked to end."""
        self._move(task, TaskState.STOPPING)

    def give_up(self, task: Task, outcome: Outcome) -> None:
        """Tell the owner the end of a task that its engine does not let go of."""
        self._move(task, TaskState.GIVEN_UP)
        self._tell_done(task, outcome)

    def end(self, task: Task, state: TaskState, outcome: Outcome) -> None:
        """End a task, wherever it is: tell its owner unless that was done, free its engine, forget it."""
        given_up = task.state is TaskState.GIVEN_UP
        if task.state is TaskState.READY:
            self._leave_queue(task)
        self._move(task, state)
        if not given_up:
            self._tell_done(task, outcome)
        self._leave_engine(task)
        del self.tasks[task.id]

    def _leave_engine(self, task: Task) -> None:
        engine = self.engines.get(task.engine) if task.engine is not None else None
        if engine is None:
            return
        engine.beside.pop(task.id, None)
        if engine.running == task.id:
            engine.running = None
            self.hungry.add(engine.number)
            self.show(engine)

    def lose(self, task: Task, reason: str) -> None:
        """End a task because its engine ended."""
        self.end(task, TaskState.LOST, Lost(reason))

    def _leave_queue(self, task: Task) -> None:
        if task.bound is not None:
            self.engines[task.bound].lane.discard(task)
            return
        key = pool_key(task)
        self.pools[key].discard(task)
        if not self.pools[key]:
            del self.pools[key]
        self.ease()

    def ease(self) -> None:
        """Have the engines looked at again that were held back for a task which needs all of one."""
        self.hungry |= self.held_back
        self.held_back.clear()

    def _move(self, task: Task, state: TaskState) -> None:
        assert state in MOVES[task.state], f"task {task.id} cannot go from {task.state} to {state}"
        task.state = state
        for kind in ("timeout", "grace"):  # each belongs to the state that set it
            self._clear_timer(timer_name(kind, task))

    # -- timers -------------------------------------------------------------------------------

    def set_timer(self, task: Task, kind: str, seconds: float) -> None:
        """Be told when a task has been in its present state for so long."""
        name = timer_name(kind, task)
        self.timers[name] = task.id
        self.effects.append(SetTimer(name, seconds))

    def _clear_timer(self, name: str) -> None:
        if self.timers.pop(name, None) is not None:
            self.effects.append(ClearTimer(name))

    # -- telling ------------------------------------------------------------------------------

    def _tell_started(self, task: Task, engine: Engine) -> None:
        notice = ""
        if (
            task.on_start_of is None and not task.muted
        ):  # the notice is for a person: keep it for the next cell
            notice, engine.notice = engine.notice, ""
        if not task.muted:
            self.effects.append(
                TellStarted(task.owner, task.cell, task.id, engine.number, task.attempt, notice)
            )

    def _tell_done(self, task: Task, outcome: Outcome) -> None:
        task.outcome = outcome
        self._note_end(task, outcome)
        if not task.muted:
            self.effects.append(TellDone(task.owner, task.cell, task.id, task.engine, task.attempt, outcome))
        cell = self.cells[task.cell]
        cell.open.discard(task.id)
        if not cell.open:
            del self.cells[task.cell]
        elif (
            cell.order.fail_fast
            and not cell.failed_fast
            and task.on_start_of is None
            and not isinstance(outcome, Succeeded)
        ):
            cell.failed_fast = True
            self.failing[cell.id] = f"{_what_became(outcome, task.engine)}, and the cell is to fail fast"

    def _note_end(self, task: Task, outcome: Outcome) -> None:
        cause = outcome.cause if isinstance(outcome, Unmet) else task.id
        became = "" if isinstance(outcome, Succeeded) else became_of_cell(outcome)
        ended = self.ended[task.id] = Ended(task.id, title(task.order), task.engine, became, cause)
        if len(self.ended) > ENDED_KEPT:
            del self.ended[next(iter(self.ended))]
        waiting = self.awaited.pop(task.id, None)
        if waiting:
            self.over.append((ended, waiting))

    def flush(self) -> list[Effect]:
        """The effects since the last flush, each changed engine shown once at the end."""
        effects, self.effects = self.effects, []
        self.outbox.empty_into(effects, self.engines)
        if self._changed:
            effects += [ShowEngine(number, gone=number not in self.engines) for number in self._changed]
            self._changed.clear()
        self.hungry.clear()
        return effects


_UP = (EngineState.IDLE, EngineState.BUSY)


def pool_key(task: Task) -> PoolKey:
    """The pool that a task waits in when any engine may run it."""
    return task.language.casefold(), frozenset(task.order.resources.items())


def timer_name(kind: str, task: Task) -> str:
    """The name of a timer of the present attempt of a task."""
    return f"{kind}/{task.id}/{task.attempt}"


def _what_became(outcome: Outcome, engine: EngineNumber | None) -> str:
    where = "another engine" if engine is None else f"engine {engine}"
    match outcome:
        case Raised(ename):
            return f"{where} failed with {ename}"
        case Lost(reason):
            return f"{where} was lost: {reason}"
        case TimedOut(seconds):
            return f"{where} did not end within {seconds:g} s"
        case Cancelled(reason):
            return f"the task of {where} was cancelled: {reason}"
        case Unmet(reason):
            return f"the task of {where} did not run: {reason}"
        case Succeeded():
            return f"{where} completed"


def became_of_cell(outcome: Outcome) -> str:
    """How a cell ended that did not succeed, as the end of a sentence."""
    match outcome:
        case Raised(ename, evalue):
            first = evalue.strip().partition("\n")[0]
            return f"raised {ename}: {first}" if first else f"raised {ename}"
        case Lost(reason):
            return f"was lost: {reason}"
        case Cancelled(reason):
            return f"was cancelled: {reason}"
        case TimedOut(seconds):
            return f"did not end within {seconds:g} s"
        case Unmet(reason):
            return f"did not run: {reason}"
        case Succeeded():
            raise AssertionError("a cell that succeeded fails no other")
