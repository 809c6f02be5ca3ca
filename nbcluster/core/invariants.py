"""What must hold after every step, whatever happened. Knows every table; changes none."""

from __future__ import annotations

from nbcluster.core.ledger import timer_name
from nbcluster.core.model import FINAL, Engine, EngineState, Task, TaskState, language_of
from nbcluster.core.placement import could_run
from nbcluster.core.scheduler import Scheduler

_ON_ENGINE = (TaskState.RUNNING, TaskState.STOPPING, TaskState.GIVEN_UP)


def check(scheduler: Scheduler) -> None:
    """Raise AssertionError with a sentence when the tables of a scheduler contradict each other."""
    for number, engine in scheduler.engines.items():
        assert engine.number == number, f"engine {engine.number} is kept under the number {number}"
        _check_engine(scheduler, engine)
    for name, task in scheduler.tasks.items():
        assert task.id == name, f"task {task.id} is kept under the name {name}"
        _check_task(scheduler, task)
    _check_incarnations(scheduler)
    _check_pools(scheduler)
    _check_cells(scheduler)
    _check_timers(scheduler)
    ledger = scheduler.ledger
    assert not ledger.effects, f"effects were left behind: {ledger.effects}"
    assert not ledger.failing, f"cells that fail fast were left behind: {ledger.failing}"
    waiting = sum(len(engine.lane) for engine in scheduler.engines.values())
    waiting += sum(len(pool) for pool in ledger.pools.values())
    assert scheduler.queued == waiting, f"{scheduler.queued} tasks are said to wait and {waiting} do"


def _check_engine(scheduler: Scheduler, engine: Engine) -> None:
    name = f"engine {engine.number}"
    busy = engine.state is EngineState.BUSY
    assert busy == (engine.running is not None), f"{name} is {engine.state.value} and runs {engine.running}"
    if engine.running is not None:
        task = scheduler.tasks.get(engine.running)
        assert task is not None, f"{name} runs {engine.running}, which has ended"
        assert task.engine == engine.number, f"{name} runs {task.id}, which is bound to engine {task.engine}"
        assert task.state in _ON_ENGINE, f"{name} runs {task.id}, which is {task.state.value}"
    if engine.state in (EngineState.IDLE, EngineState.FAILED, EngineState.STOPPING):
        assert not engine.lane, f"{name} is {engine.state.value} while {list(engine.lane)} wait for it"
    if engine.state is EngineState.IDLE:
        pool = scheduler.ledger.pools.get(language_of(engine).casefold())
        assert not pool, f"{name} is idle while {list(pool or ())} wait for any engine"
        assert engine.language, f"{name} is idle and has never said its language"
    for task_id in engine.lane:
        waiting = scheduler.tasks.get(task_id)
        assert waiting is not None, f"{task_id} has ended and waits for {name}"
        assert waiting.state is TaskState.READY, f"{task_id} waits for {name} and is {waiting.state.value}"
        assert waiting.engine == engine.number, f"{task_id} waits for {name}, bound to {waiting.engine}"
    order = [scheduler.tasks[task_id] for task_id in engine.lane]
    bound = [task.sequence for task in order if task.on_start_of is None]
    assert bound == sorted(bound), f"the lane of {name} is out of order: {list(engine.lane)}"
    startup = [task.on_start_of is not None for task in order]
    assert startup == sorted(startup, reverse=True), f"a startup cell waits behind others for {name}"
    cells = [task.cell for task in order]
    assert len(cells) == len(set(cells)), f"a cell waits twice for {name}: {cells}"


def _check_task(scheduler: Scheduler, task: Task) -> None:
    name = f"task {task.id}"
    assert task.state not in FINAL, f"{name} is {task.state.value} and still kept"
    at = [engine.number for engine in scheduler.engines.values() if engine.running == task.id]
    lanes = [engine.number for engine in scheduler.engines.values() if task.id in engine.lane]
    pools = [language for language, pool in scheduler.ledger.pools.items() if task.id in pool]
    places = f"runs on {at}, waits for {lanes} and in the pools {pools}"
    assert len(at) + len(lanes) + len(pools) == 1, f"{name} is not in one place: it {places}"
    if task.state in _ON_ENGINE:
        assert at == [task.engine], f"{name} is {task.state.value} but it {places}"
        assert task.attempt > 0, f"{name} runs without an attempt"
    else:
        assert not at, f"{name} is ready but it {places}"
        assert task.engine is None or lanes == [task.engine], f"{name} is bound to {task.engine}; it {places}"
        assert task.engine is not None or pools, f"{name} is bound to nothing; it {places}"
    asked = task.state in (TaskState.STOPPING, TaskState.GIVEN_UP)
    assert asked == (task.stop_cause is not None), f"{name} is {task.state.value} by {task.stop_cause}"
    told = task.state is TaskState.GIVEN_UP
    assert told == (task.outcome is not None), f"{name} is {task.state.value} with outcome {task.outcome}"


def _check_incarnations(scheduler: Scheduler) -> None:
    lives = [engine.incarnation for engine in scheduler.engines.values()]
    assert len(lives) == len(set(lives)), f"two engines share an incarnation: {lives}"


def _check_pools(scheduler: Scheduler) -> None:
    for language, pool in scheduler.ledger.pools.items():
        assert pool, f"the empty pool of {language} is kept"
        assert any(could_run(engine, language) for engine in scheduler.engines.values()), (
            f"{list(pool)} wait for any engine of {language} and there is none"
        )
        order = [scheduler.tasks[task_id].sequence for task_id in pool]
        assert order == sorted(order), f"the pool of {language} is out of order: {list(pool)}"


def _check_cells(scheduler: Scheduler) -> None:
    listed = [task_id for cell in scheduler.ledger.cells.values() for task_id in cell.open]
    untold = [task.id for task in scheduler.tasks.values() if task.state is not TaskState.GIVEN_UP]
    assert sorted(listed) == sorted(untold), f"cells list {sorted(listed)}; not told are {sorted(untold)}"
    for cell in scheduler.ledger.cells.values():
        assert cell.open, f"cell {cell.id} has ended and is still kept"
        for task_id in cell.open:
            assert scheduler.tasks[task_id].cell == cell.id, (
                f"{task_id} is listed in the wrong cell {cell.id}"
            )


def _check_timers(scheduler: Scheduler) -> None:
    expected = {}
    for task in scheduler.tasks.values():
        if task.state is TaskState.RUNNING and task.order.timeout is not None:
            expected[timer_name("timeout", task)] = task.id
        if task.state is TaskState.STOPPING:
            expected[timer_name("grace", task)] = task.id
    assert scheduler.ledger.timers == expected, f"timers {scheduler.ledger.timers} are set, not {expected}"
