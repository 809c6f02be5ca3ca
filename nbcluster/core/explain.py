"""Says in a sentence why a task is where it is. Knows every table; changes none."""

from __future__ import annotations

from typing import assert_never

from nbcluster.core.model import Engine, EngineState, StopCause, Task, TaskState, title
from nbcluster.core.placement import could_run
from nbcluster.core.scheduler import Scheduler
from nbcluster.ids import TaskId


def explain(scheduler: Scheduler, task_id: TaskId) -> str:
    """Say why a task is where it is.

    Parameters
    ----------
    scheduler : Scheduler
    task_id : TaskId

    Returns
    -------
    str
        One sentence for a person.
    """
    task = scheduler.tasks.get(task_id)
    if task is None:
        return f"task {task_id} has ended, or was never submitted here"
    what = repr(title(task.order))
    match task.state:
        case TaskState.READY if task.engine is None:
            return f"{what} waits {_why_in_pool(scheduler, task)}"
        case TaskState.READY:
            return f"{what} waits for engine {task.engine}, {_why_in_lane(scheduler, task)}"
        case TaskState.RUNNING:
            return f"{what} runs on engine {task.engine}"
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
    able = [engine for engine in scheduler.engines.values() if could_run(engine, task.language)]
    before = list(scheduler.ledger.queue_of(task)).index(task.id)
    busy = sum(engine.state is EngineState.BUSY for engine in able)
    rest = f" and {len(able) - busy} not up" if len(able) > busy else ""
    return f"for any {task.language} engine: {busy} busy{rest}, {_count(before)} before it"


def _why_in_lane(scheduler: Scheduler, task: Task) -> str:
    assert task.engine is not None, f"task {task.id} is bound to nothing"
    engine = scheduler.engines[task.engine]
    before = list(engine.lane).index(task.id)
    return f"{_what_engine_does(scheduler, engine)}, with {_count(before)} before it"


def _what_engine_does(scheduler: Scheduler, engine: Engine) -> str:
    if engine.running is None:
        return f"which is {engine.state.value}"
    return f"which runs {title(scheduler.tasks[engine.running].order)!r}"


def _count(tasks: int) -> str:
    return f"{tasks or 'no'} {'task' if tasks == 1 else 'tasks'}"
