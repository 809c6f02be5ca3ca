"""Says in a sentence why a task is where it is. Knows every table; changes none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from nbcluster.core.durations import duration
from nbcluster.core.model import Call, Engine, EngineState, StopCause, Task, TaskState, is_up, title
from nbcluster.core.placement import could_run
from nbcluster.core.recipes import forbids
from nbcluster.core.scheduler import Scheduler
from nbcluster.core.values import became
from nbcluster.ids import TaskId

_NAMED = 5
"""Tasks that a sentence names."""


def explain(scheduler: Scheduler, name: TaskId | str) -> str:
    """Say why a task is where it is.

    Parameters
    ----------
    scheduler : Scheduler
    name : str
        The id of a cell's task or of a call, or the key of a call.

    Returns
    -------
    str
        One sentence for a person.
    """
    task_id = scheduler.keys.get(name, TaskId(name))
    task = scheduler.tasks.get(task_id)
    if task is None:
        call = scheduler.calls.get(task_id)
        return (
            f"task {name} has ended, or was never submitted here"
            if call is None
            else explain_call(scheduler, call)
        )
    what = repr(title(task.order))
    match task.state:
        case TaskState.READY if task.bound is None:
            return f"{what} waits {_why_in_pool(scheduler, task)}"
        case TaskState.READY:
            return f"{what} waits for engine {task.engine}, {_why_in_lane(scheduler, task)}"
        case TaskState.RUNNING:
            return f"{what} runs on engine {task.engine}"
        case TaskState.WAITING:
            return f"{what} waits for {_open_needs(scheduler, task)}"
        case TaskState.STOPPING:
            return (
                f"{what} was interrupted on engine {task.engine} {_why_stopped(task)}, and has not ended yet"
            )
        case TaskState.GIVEN_UP:
            return (
                f"{what} was given up {_why_stopped(task)}, and engine {task.engine} is still stuck in it; "
                f"`%cluster restart {task.engine}` restarts that engine alone"
            )
        case TaskState.DONE | TaskState.FAILED | TaskState.CANCELLED | TaskState.LOST:
            raise AssertionError(f"task {task_id} has ended and is still kept")
        case _:
            assert_never(task.state)


def _why_stopped(task: Task) -> str:
    if task.stop_cause is StopCause.TIMEOUT:
        return f"because it ran longer than {task.order.timeout:g} s"
    return f"because it was cancelled ({task.stop_reason})"


def _why_in_pool(scheduler: Scheduler, task: Task) -> str:
    able = [engine for engine in scheduler.engines.values() if could_run(engine, task)]
    before = list(scheduler.ledger.queue_of(task)).index(task)
    busy = sum(engine.state is EngineState.BUSY for engine in able)
    rest = f" and {len(able) - busy} not up" if len(able) > busy else ""
    return f"for any {task.language} engine: {busy} busy{rest}, {_count(before)} before it"


def _why_in_lane(scheduler: Scheduler, item: Task | Call) -> str:
    assert item.engine is not None, f"task {item.id} is bound to nothing"
    engine = scheduler.engines[item.engine]
    before = list(engine.lane).index(item)
    return f"{_what_engine_does(scheduler, engine)}, with {_count(before)} before it"


def _what_engine_does(scheduler: Scheduler, engine: Engine) -> str:
    title_there = scheduler.doing(engine.number)
    return f"which is {engine.state.value}" if title_there is None else f"which runs {title_there!r}"


# -- calls ------------------------------------------------------------------------------------


def explain_call(scheduler: Scheduler, call: Call) -> str:
    """Say why a call is where it is, or how it ended."""
    if call.again:
        return f"the value of {call.title!r} {call.again}; it is computed again: {_explain_call(scheduler, call)}"
    return _explain_call(scheduler, call)


def _explain_call(scheduler: Scheduler, call: Call) -> str:
    what = f"{call.title!r}"
    match call.state:
        case TaskState.WAITING:
            return f"{what} waits for {_open_inputs(scheduler, call)}"
        case TaskState.READY if call.order.options.pinned:
            return f"{what} waits for engine {call.engine}, {_why_in_lane(scheduler, call)}"
        case TaskState.READY:
            return f"{what} waits {_why_ready(scheduler, call)}{_why_again(call)}"
        case TaskState.RUNNING if call.missing:
            return (
                f"{what} was sent ahead to engine {call.engine}, which is to make what it waits for: "
                f"{_open_inputs(scheduler, call)}{_why_again(call)}"
            )
        case TaskState.RUNNING if call.begun:
            return f"{what} runs on engine {call.engine}{_why_again(call)}"
        case TaskState.RUNNING:
            return f"{what} was sent to engine {call.engine}{_behind(scheduler, call)}{_why_again(call)}"
        case TaskState.STOPPING:
            return (
                f"{what} was interrupted on engine {call.engine} {_why_call_stopped(call)}, "
                "and has not ended yet"
            )
        case TaskState.GIVEN_UP:
            return (
                f"{what} was given up {_why_call_stopped(call)}, and engine {call.engine} is still stuck in "
                f"it; `%cluster restart {call.engine}` restarts that engine alone"
            )
        case TaskState.DONE:
            lost = f"; its value {call.lost}" if call.lost else ""
            where = "" if call.kept or lost else _where_it_lies(scheduler, call)
            return f"{what} has returned{_where_it_ran(call)}{_why_again(call)}{lost}{where}"
        case TaskState.FAILED | TaskState.CANCELLED | TaskState.LOST:
            assert call.outcome is not None, f"call {call.id} has ended and nobody was told"
            return f"{what} {became(call.outcome)}{_where_it_ran(call)}{_why_again(call)}"
        case _:
            assert_never(call.state)


def _where_it_lies(scheduler: Scheduler, call: Call) -> str:
    where = f"; its value lies on engine {call.engine}"
    if call.id in scheduler.ledger.recipes.sizes:
        return f"{where}, and can be computed again"
    return f"{where}, and is lost with it: {forbids(call.order.options) or call.unmade}"


def _open_inputs(scheduler: Scheduler, call: Call) -> str:
    names = dict.fromkeys(call.order.inputs + call.order.after)
    return _listed_open(scheduler, names)


def _open_needs(scheduler: Scheduler, task: Task) -> str:
    return _listed_open(scheduler, task.counted)


def _listed_open(scheduler: Scheduler, names: Iterable[TaskId]) -> str:
    texts: list[str] = []
    for name in names:
        source = scheduler.calls.get(name) or scheduler.tasks.get(name)
        if source is not None and source.outcome is None:
            if isinstance(source, Call):
                texts.append(f"{source.title!r} ({source.id}, {source.state.value})")
            else:
                texts.append(f"{title(source.order)!r} ({source.state.value})")
    rest = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + rest


def _why_ready(scheduler: Scheduler, call: Call) -> str:
    ready = call.kind.ready
    own = ready.by_client()[call.owner]
    mine, others = own.index(call), ready.size - len(own)
    shared = f", sharing them with {_count(others)} of other clients" if others else ""
    engines = [scheduler.engines[number] for number in call.kind.engines]
    up = sum(is_up(engine) for engine in engines)
    coming = f" and {len(engines) - up} not up" if len(engines) > up else ""
    asked = call.kind.what()
    return f"for {asked}: {up} at work{coming}, {_count(mine)} before it{shared}"


def _behind(scheduler: Scheduler, call: Call) -> str:
    assert call.engine is not None, f"call {call.id} was sent nowhere"
    engine = scheduler.engines[call.engine]
    before = [*engine.suspended, *engine.inflight].index(call.id)
    return f" behind {_count(before)}" if before else " and is the first there"


def _why_again(call: Call) -> str:
    reasons = [f"it raised {call.failures} times"] if call.failures else []
    reasons += list(call.losses)
    return f"; attempt {call.attempt}, because {' and '.join(reasons)}" if reasons else ""


def _where_it_ran(call: Call) -> str:
    if call.engine is None or not (call.seconds or call.state is TaskState.DONE):
        return ""
    return f"; it ran on engine {call.engine}" + (f" for {duration(call.seconds)}" if call.seconds else "")


def _why_call_stopped(call: Call) -> str:
    if call.stop_cause is StopCause.TIMEOUT:
        return f"because it ran longer than {call.order.options.timeout:g} s"
    return f"because it was cancelled ({call.stop_reason})"


def _count(tasks: int) -> str:
    return f"{tasks or 'no'} {'task' if tasks == 1 else 'tasks'}"
