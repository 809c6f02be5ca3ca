"""The life of cells: submitted, run, returned, cancelled, out of time. Knows no processes and no clock."""

from __future__ import annotations

from math import inf
from typing import assert_never

from nbcluster.core import awaiting, placement, targets
from nbcluster.core.effects import InterruptCell, TellAccepted
from nbcluster.core.inputs import Cancel, CellReturned, SubmitTasks
from nbcluster.core.ledger import Ledger
from nbcluster.core.model import (
    Engine,
    EngineState,
    StartupCell,
    StopCause,
    Task,
    TaskState,
    has,
    title,
)
from nbcluster.errors import UsageError
from nbcluster.ids import ClientId, EngineNumber, TaskId
from nbcluster.protocol.messages import (
    Cancelled,
    Lost,
    Outcome,
    Raised,
    Succeeded,
    TaskPlace,
    TimedOut,
)

GRACE = 5.0
"""Seconds that an interrupted cell may take to end before its owner is told that it does not."""


# -- submitting -------------------------------------------------------------------------------


def submit(ledger: Ledger, order: SubmitTasks) -> None:
    """Make a task for each target and let it wait for its engine."""
    cell = order.order
    wanted = targets.parse(cell.targets)
    _refuse_malformed(ledger, order, wanted)
    numbers = targets.resolve(wanted, ledger.engines.values(), order.language)
    numbers = placement.with_resources(ledger.engines, numbers, cell)
    engines: tuple[EngineNumber | None, ...] = numbers
    if wanted.any:
        engines = (placement.beside(ledger.engines, numbers),) if cell.live else (None,)
    if len(order.tasks) < len(engines):
        raise UsageError(f"{len(engines)} engines are meant and {len(order.tasks)} task ids were given")
    sequence = ledger.next_sequences(1)
    places = tuple(TaskPlace(task, engine) for task, engine in zip(order.tasks, engines, strict=False))
    ledger.effects.append(TellAccepted(order.client, cell.cell, places))
    tasks = [
        Task(place.task, cell.cell, order.client, cell, order.language, sequence, place.engine)
        for place in places
    ]
    if cell.after or cell.behind or cell.brought:
        awaiting.enter(ledger, tasks)
    else:
        for task in tasks:
            ledger.enter(task)
    if None in engines:
        ledger.hungry.update(numbers)
    if cell.startup:
        _remember_startup(ledger, order, sequence)


def _refuse_malformed(ledger: Ledger, order: SubmitTasks, wanted: targets.Targets) -> None:
    cell = order.order
    if cell.timeout is not None and not 0 < cell.timeout < inf:
        raise UsageError(f"the timeout of {cell.timeout} s cannot be: it is a number of seconds above 0")
    if cell.startup and wanted.any:
        raise UsageError(
            "a startup cell runs on every matching engine that joins, and 'any' means one engine: "
            "give it a tag, engine numbers, all, or no targets"
        )
    if cell.retries < 0:
        raise UsageError(f"{cell.retries} retries cannot be: the number of retries is 0 or more")
    placement.check_resources(cell.resources)
    if cell.after or cell.behind or cell.brought:
        awaiting.refuse_malformed(ledger, cell, wanted)
    if cell.cell in ledger.cells or cell.cell in ledger.startup:
        raise UsageError(f"the cell id {cell.cell!r} is in use; each submission needs a new one")
    taken = [task for task in order.tasks if task in ledger.tasks]
    if taken or len(set(order.tasks)) < len(order.tasks):
        raise UsageError(
            f"the task ids {list(order.tasks)} are in use or not distinct; each task needs its own"
        )


# -- running ----------------------------------------------------------------------------------


def returned(ledger: Ledger, fact: CellReturned) -> None:
    """Take an answer, if it is to the present attempt on the present incarnation."""
    task, engine = ledger.tasks.get(fact.task), ledger.engines.get(fact.engine)
    if task is None or engine is None or not (engine.running == task.id or task.id in engine.beside):
        return
    if (task.attempt, engine.incarnation) != (fact.attempt, fact.incarnation):
        return
    may_run_again = task.state is TaskState.RUNNING and task.failures < task.order.retries
    given_up = task.state is TaskState.GIVEN_UP
    if may_run_again and isinstance(fact.outcome, Raised):
        ledger.again(task)
    else:
        ledger.end(task, *_judge(task, fact.outcome))
    if (
        engine.running is None
        and not (engine.inflight or engine.suspended)
        and engine.state is EngineState.BUSY
    ):
        ledger.set_state(engine, EngineState.IDLE)
    elif given_up:
        engine.note = ""
        ledger.show(engine)


def _judge(task: Task, outcome: Outcome) -> tuple[TaskState, Outcome]:
    """What an engine's answer means, given what had been asked of it."""
    if isinstance(outcome, Lost):
        return TaskState.LOST, outcome
    if task.stop_cause is None:
        return (TaskState.DONE if isinstance(outcome, Succeeded) else TaskState.FAILED), outcome
    if isinstance(outcome, Succeeded) and task.state is TaskState.STOPPING:
        return TaskState.DONE, outcome  # it completed before the interrupt reached it
    return stopped(task, outcome if isinstance(outcome, Raised) else None)


def stopped(task: Task, raised: Raised | None = None, note: str = "") -> tuple[TaskState, Outcome]:
    """How a task ends that was asked to: by whoever asked."""
    assert task.stop_cause is not None, f"task {task.id} was never asked to end"
    match task.stop_cause:
        case StopCause.CANCEL:
            reason = f"{task.stop_reason}; {note}" if note else task.stop_reason
            return TaskState.CANCELLED, Cancelled(reason, raised)
        case StopCause.TIMEOUT:
            return TaskState.FAILED, TimedOut(task.order.timeout or 0.0, raised, note)
        case _:
            assert_never(task.stop_cause)


# -- ending -----------------------------------------------------------------------------------


def cancel(ledger: Ledger, order: Cancel) -> list[Task]:
    """Cancel tasks for a person. Returns those whose engine must be restarted to get rid of them."""
    stuck = []
    for name in order.tasks:
        task = ledger.tasks.get(name)
        if task is None:
            continue
        ledger.startup.pop(task.cell, None)  # who stops a startup cell does not want it again
        if cancel_one(ledger, task, order.reason, order.force):
            stuck.append(task)
    return stuck


def cancel_one(ledger: Ledger, task: Task, reason: str, force: bool = False) -> bool:
    """Withdraw or interrupt a task. Returns whether its engine must be restarted for it."""
    task.force |= force
    match task.state:
        case TaskState.WAITING | TaskState.READY:
            ledger.end(task, TaskState.CANCELLED, Cancelled(reason))
        case TaskState.RUNNING:
            task.stop_reason = reason
            interrupt(ledger, task, StopCause.CANCEL)
        case TaskState.STOPPING:
            _interrupt_again(ledger, task)
        case TaskState.GIVEN_UP:
            if force:
                return True
            _interrupt_again(ledger, task)
        case TaskState.DONE | TaskState.FAILED | TaskState.CANCELLED | TaskState.LOST:
            raise AssertionError(f"task {task.id} has ended and is still kept")
        case _:
            assert_never(task.state)
    return False


def owned_by(ledger: Ledger, client: ClientId) -> tuple[TaskId, ...]:
    """The tasks of a client that have not ended, in the order of submission."""
    return tuple(task.id for task in ledger.tasks.values() if task.owner == client)


def interrupt(ledger: Ledger, task: Task, cause: StopCause) -> None:
    """Ask a running task to end, and be told when it takes too long."""
    task.stop_cause = cause
    ledger.stop(task)
    _interrupt_again(ledger, task)
    ledger.set_timer(task, "grace", GRACE)


def _interrupt_again(ledger: Ledger, task: Task) -> None:
    engine = engine_of(ledger, task)
    ledger.effects.append(InterruptCell(task.id, engine.number, engine.incarnation, task.attempt))


def engine_of(ledger: Ledger, task: Task) -> Engine:
    """The engine that a running task is on."""
    assert task.engine is not None, f"task {task.id} runs nowhere"
    return ledger.engines[task.engine]


def timer_fired(ledger: Ledger, timer: str) -> list[Task]:
    """A task was out of time, or did not end when asked. Returns it if its engine must be restarted for it."""
    name = ledger.timers.pop(timer, None)
    task = ledger.tasks.get(name) if name is not None else None
    if task is None:
        return []
    if task.state is TaskState.RUNNING:
        interrupt(ledger, task, StopCause.TIMEOUT)
        return []
    assert task.state is TaskState.STOPPING, f"timer {timer} fired for a task that is {task.state}"
    if task.force:
        return [task]
    engine = engine_of(ledger, task)
    _, outcome = stopped(
        task,
        note=f"engine {engine.number} is still stuck in it: "
        f"`%cluster restart {engine.number}` restarts that engine alone",
    )
    ledger.give_up(task, outcome)
    engine.note = f"it does not let go of {title(task.order)!r}, which was given up"
    ledger.show(engine)
    return []


def fail_fast(ledger: Ledger) -> None:
    """Cancel the rest of each cell of which one task did not succeed."""
    while ledger.failing:
        name, reason = ledger.failing.popitem()
        cell = ledger.cells.get(name)
        for waiting in sorted(cell.open) if cell else ():
            if (
                ledger.tasks[waiting].on_start_of is None
                and ledger.tasks[waiting].state is not TaskState.STOPPING
            ):
                cancel_one(ledger, ledger.tasks[waiting], reason)


def lose_hopeless(ledger: Ledger) -> None:
    """End what waits for any engine of a language when no engine of it is left."""
    for pool in list(ledger.pools.values()):
        for task in list(pool):
            if not any(placement.could_run(engine, task) for engine in ledger.engines.values()):
                ledger.lose(
                    task,
                    f"no engine is left that could run {title(task.order)!r}; `%cluster add 1` starts one",
                )


# -- startup cells ----------------------------------------------------------------------------


def _remember_startup(ledger: Ledger, order: SubmitTasks, sequence: int) -> None:
    """Keep a cell for engines to come, in place of an earlier one with the same code and targets."""
    cell = order.order
    same = [
        kept.id
        for kept in ledger.startup.values()
        if (kept.order.code, kept.order.targets, kept.language) == (cell.code, cell.targets, order.language)
    ]
    for name in same:
        del ledger.startup[name]
    ledger.startup[cell.cell] = StartupCell(cell.cell, order.client, cell, order.language, sequence)


def run_startup(ledger: Ledger, engine: Engine) -> None:
    """Put every startup cell that means this engine before all that waits for it, in the order of sending."""
    waiting = {item.cell for item in engine.lane if isinstance(item, Task)}
    missing = [
        cell
        for cell in ledger.startup.values()
        if cell.id not in waiting
        and has(engine, cell.order.resources)
        and targets.matches(targets.parse(cell.order.targets), engine, ledger.engines.values(), cell.language)
    ]
    for cell in missing:
        task = Task(
            TaskId(f"{cell.id}/startup/{engine.incarnation}"),
            cell.id,
            cell.owner,
            cell.order,
            cell.language,
            cell.sequence,
            engine.number,
            on_start_of=engine.incarnation,
            muted=cell.muted,
        )
        ledger.enter(task)
