"""What must hold after every step, whatever happened. Knows every table; changes none."""

from __future__ import annotations

from nbcluster.core.call_invariants import check_calls
from nbcluster.core.ledger import pool_key, timer_name
from nbcluster.core.model import FINAL, Engine, EngineState, Task, TaskState, has, is_up, language_of
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
    assert not ledger.over, f"nobody was told of ends: {ledger.over}"
    known = scheduler.tasks.keys() | scheduler.calls.keys()
    assert ledger.awaited.keys() <= known, f"the ends of {set(ledger.awaited) - known} are waited for in vain"
    assert not ledger.failing, f"cells that fail fast were left behind: {ledger.failing}"
    assert not ledger.hungry, f"engines were left hungry: {ledger.hungry}"
    assert not ledger.moved, f"changes of the engines {list(ledger.moved)} were left without consequences"
    check_calls(scheduler)


def _check_engine(scheduler: Scheduler, engine: Engine) -> None:
    name = f"engine {engine.number}"
    busy = engine.state is EngineState.BUSY
    at_work = engine.running is not None or bool(engine.inflight or engine.suspended)
    assert busy == at_work, f"{name} is {engine.state.value}, runs {engine.running} and {engine.inflight}"
    nested = all(call.kind.level > 0 for call in engine.inflight.values())
    assert engine.running is None or nested, f"{name} runs a cell and {engine.inflight}"
    assert engine.running is None or not engine.suspended, f"{name} runs a cell and {engine.suspended}"
    assert is_up(engine) or not engine.beside, f"{name} is {engine.state.value} and runs {engine.beside}"
    for task_id in (*engine.beside, *([] if engine.running is None else [engine.running])):
        task = scheduler.tasks.get(task_id)
        assert task is not None, f"{name} runs {task_id}, which has ended"
        assert task.engine == engine.number, f"{name} runs {task.id}, which is bound to engine {task.engine}"
        assert task.state in _ON_ENGINE, f"{name} runs {task.id}, which is {task.state.value}"
        assert task.order.live == (task_id in engine.beside), f"{name} runs {task.id} in the wrong place"
    if engine.state in (EngineState.IDLE, EngineState.FAILED, EngineState.STOPPING):
        assert not engine.lane, f"{name} is {engine.state.value} while {list(engine.lane)} wait for it"
    if engine.state is EngineState.IDLE:
        for (language, resources), pool in scheduler.ledger.pools.items():
            assert language != language_of(engine).casefold() or not has(engine, dict(resources)), (
                f"{name} is idle while {list(pool)} wait for any engine"
            )
        assert engine.language, f"{name} is idle and has never said its language"
    for item in engine.lane:
        waiting = scheduler.tasks.get(item.id) or scheduler.calls.get(item.id)
        assert waiting is item, f"{item.id} has ended and waits for {name}"
        assert item.state is TaskState.READY, f"{item.id} waits for {name} and is {item.state.value}"
        assert item.engine == engine.number, f"{item.id} waits for {name}, bound to {item.engine}"
    tasks = [item for item in engine.lane if isinstance(item, Task)]
    live = [task.order.live for task in tasks]
    assert not (is_up(engine) and any(live)), f"a live cell waits for {name}: {tasks}"
    startup = [task.on_start_of is not None for task in tasks if not task.order.live]
    assert startup == sorted(startup, reverse=True), f"a startup cell waits behind others for {name}"
    bound = [(-t.order.priority, t.sequence) for t in tasks if t.on_start_of is None and not t.order.live]
    assert bound == sorted(bound), f"the lane of {name} is out of order: {tasks}"
    cells = [task.cell for task in tasks]
    assert len(cells) == len(set(cells)), f"a cell waits twice for {name}: {cells}"


def _check_task(scheduler: Scheduler, task: Task) -> None:
    name = f"task {task.id}"
    assert task.state not in FINAL, f"{name} is {task.state.value} and still kept"
    engines = scheduler.engines.values()
    at = [engine.number for engine in engines if engine.running == task.id or task.id in engine.beside]
    lanes = [engine.number for engine in engines if any(item is task for item in engine.lane)]
    pools = [key for key, pool in scheduler.ledger.pools.items() if any(item is task for item in pool)]
    places = f"runs on {at}, waits for {lanes} and in the pools {pools}"
    waits = task.state is TaskState.WAITING
    assert len(at) + len(lanes) + len(pools) == (not waits), f"{name} is not in one place: it {places}"
    assert task.queued == (not at and not waits), f"{name} is marked as queued: {task.queued}; it {places}"
    if task.state in _ON_ENGINE:
        assert at == [task.engine], f"{name} is {task.state.value} but it {places}"
        assert task.attempt > 0, f"{name} runs without an attempt"
    elif waits:
        sources = [scheduler.tasks.get(need) or scheduler.calls.get(need) for need in task.counted]
        missing = sum(source is not None and source.outcome is None for source in sources)
        assert task.missing == missing > 0, f"{name} waits for {task.missing} tasks, and {missing} are open"
    else:
        assert not at, f"{name} is ready but it {places}"
        assert task.bound is None or lanes == [task.bound], f"{name} is bound to {task.bound}; it {places}"
        assert task.bound is not None or pools == [pool_key(task)], f"{name} is bound to nothing; it {places}"
    assert task.failures <= task.order.retries, f"{name} was run again {task.failures} times"
    asked = task.state in (TaskState.STOPPING, TaskState.GIVEN_UP)
    assert asked == (task.stop_cause is not None), f"{name} is {task.state.value} by {task.stop_cause}"
    told = task.state is TaskState.GIVEN_UP
    assert told == (task.outcome is not None), f"{name} is {task.state.value} with outcome {task.outcome}"


def _check_incarnations(scheduler: Scheduler) -> None:
    lives = [engine.incarnation for engine in scheduler.engines.values()]
    assert len(lives) == len(set(lives)), f"two engines share an incarnation: {lives}"


def _check_pools(scheduler: Scheduler) -> None:
    for key, pool in scheduler.ledger.pools.items():
        assert len(pool), f"the empty pool of {key} is kept"
        for task in pool:
            assert scheduler.tasks.get(task.id) is task, f"{task.id} has ended and waits in the pool {key}"
            assert any(could_run(engine, task) for engine in scheduler.engines.values()), (
                f"{task.id} waits for any engine of {key} and there is none"
            )
        order = [(-task.order.priority, task.sequence) for task in pool]
        assert order == sorted(order), f"the pool of {key} is out of order: {list(pool)}"


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
