"""What must hold of calls after every step, whatever happened. Knows every table; changes none."""

from __future__ import annotations

from nbcluster.core.dispatch import AHEAD_MOST, has_room
from nbcluster.core.effects import InputPlace
from nbcluster.core.eligible import may_run
from nbcluster.core.model import FINAL, ON_ENGINE, Call, Engine, Task, TaskState, is_up
from nbcluster.core.recipe_invariants import check_recipes
from nbcluster.core.scheduler import Scheduler
from nbcluster.core.takingback import is_laden
from nbcluster.ids import EngineNumber, TaskId
from nbcluster.protocol.outcomes import Returned

_SENT = (TaskState.RUNNING, TaskState.STOPPING, TaskState.GIVEN_UP)


def check_calls(scheduler: Scheduler) -> None:
    """Raise AssertionError with a sentence when the tables about calls contradict each other."""
    ledger = scheduler.ledger
    places = _places(scheduler)
    for name, call in scheduler.calls.items():
        assert call.id == name, f"call {call.id} is kept under the name {name}"
        _check_call(scheduler, call, places.pop(name, []))
    assert not places, f"calls that are forgotten are still somewhere: {places}"
    for engine in scheduler.engines.values():
        _check_inflight(scheduler, engine)
    _check_values(scheduler)
    _check_kinds(scheduler)
    _check_keys(scheduler)
    check_recipes(scheduler)
    _check_counts(scheduler)
    left = [*ledger.freed, *ledger.doomed, *ledger.unwanted, *ledger.fed]
    assert not left, f"consequences were left behind: {left}"
    for slot in type(ledger.outbox).__slots__:
        assert not getattr(ledger.outbox, slot), f"{slot} were left in the outbox"
    timed = {
        f"timeout/{call.id}/{call.attempt}"
        for call in scheduler.calls.values()
        if call.state is TaskState.RUNNING and call.order.options.timeout is not None
    }
    named = {timer for timer in ledger.call_timers if timer.startswith("timeout/")}
    assert named == timed, f"time limits {named} are set, not {timed}"
    watched = [call for timer in ledger.call_timers.values() for call in timer]
    for call in scheduler.calls.values():
        assert call.state is not TaskState.STOPPING or call in watched, (
            f"nobody waits for the end of {call.id}"
        )


def _places(scheduler: Scheduler) -> dict[TaskId, list[tuple[str, object]]]:
    """Where each call is."""
    places: dict[TaskId, list[tuple[str, object]]] = {}
    for number, engine in scheduler.engines.items():
        for name in (*engine.inflight, *engine.suspended):
            places.setdefault(name, []).append(("in flight", number))
        for item in engine.lane:
            if isinstance(item, Call):
                places.setdefault(item.id, []).append(("in lane", number))
    for kind in scheduler.ledger.kinds.values():
        for call in kind.ready:
            places.setdefault(call.id, []).append(("among", kind))
    return places


def _check_call(scheduler: Scheduler, call: Call, places: list[tuple[str, object]]) -> None:
    name = f"call {call.id} ({call.state.value})"
    match call.state:
        case TaskState.READY if call.order.options.pinned:
            assert places == [("in lane", call.engine)], f"{name} is {places}, not in its lane"
        case TaskState.READY:
            assert places == [("among", call.kind)], f"{name} is {places}, not among its kind"
        case TaskState.RUNNING | TaskState.STOPPING | TaskState.GIVEN_UP:
            assert places == [("in flight", call.engine)], f"{name} is {places}, not on {call.engine}"
            assert call.attempt > 0, f"{name} was sent without an attempt"
        case _:
            assert not places, f"{name} is {places}"
    assert call.queued == (call.state is TaskState.READY), f"{name} is marked as queued: {call.queued}"
    told = call.state in FINAL or call.state is TaskState.GIVEN_UP
    assert told == (call.outcome is not None), f"{name} has the outcome {call.outcome}"
    asked = call.state in (TaskState.STOPPING, TaskState.GIVEN_UP)
    assert not asked or call.stop_cause is not None, f"{name} was not asked to end"
    assert call.state is not TaskState.RUNNING or call.stop_cause is None, f"{name} was asked to end"
    assert call.failures <= max(0, call.order.options.retries), f"{name} was run again {call.failures} times"
    place, where = call.place_of_value, InputPlace(call.id, None if call.kept else call.engine)
    assert place is None or (call.state is TaskState.DONE and place == where), (
        f"{name} is told to be at {place}"
    )
    _check_needs(scheduler, call, name)


def _check_needs(scheduler: Scheduler, call: Call, name: str) -> None:
    calls = scheduler.calls
    is_held = call.held or call.keyed or call.needed > 0
    assert is_held or call.state not in FINAL, f"{name} is kept and nobody needs it"
    needs = set(call.order.inputs + call.order.after)
    if call.outcome is None:
        assert [source.id for source in call.sources] == list(call.order.inputs), f"{name} has other sources"
        for its_source in call.sources:
            assert calls.get(its_source.id) is its_source, (
                f"{name} takes from {its_source.id}, which is forgotten"
            )
            assert call in its_source.users, f"{name} is no user of its input {its_source.id}"
    assert call.outcome is None or not call.sources, f"{name} has ended and still has sources"
    if call.state is TaskState.WAITING:
        open_needs = {n for n in needs if n in calls and _is_awaited(calls[n], call)}
        open_needs |= {n for n in needs if n in scheduler.tasks and scheduler.tasks[n].outcome is None}
        assert call.missing == len(open_needs) > 0, f"{name} misses {call.missing}; open are {open_needs}"
        unsent = {n for n in open_needs if n not in calls or calls[n].state not in ON_ENGINE}
        assert call.unsent == len(unsent), f"{name} counts {call.unsent} as not sent; that are {unsent}"
    elif call.outcome is None and call.missing:
        _check_ahead(scheduler, call, name)
    if call.state is TaskState.READY:
        for source in call.order.inputs:
            assert not calls[source].lost, f"{name} waits for an engine and has lost its input {source}"
    users = call.users
    needed = sum(user.sources.count(call) for user in users)
    assert call.needed == needed, f"{name} is needed {call.needed} times, and {users} need it {needed} times"
    assert call.needed or call.takers is None, f"{name} is needed no more and has the takers {call.takers}"
    for user in users:
        assert calls.get(user.id) is user, f"{name} is used by {user.id}, which is forgotten"
        assert user.outcome is None, f"{name} is used by {user.id}, which has ended"
        assert call.id in user.order.inputs, f"{name} is no input of its user {user.id}"
    assert call.outcome is None or call.waiters is None, f"{name} has ended and still has waiters"


def _is_awaited(source: Call, call: Call) -> bool:
    """Whether a source has not ended; one that makes a lost value again may be awaited for that value alone."""
    return source.outcome is None and (not source.again or call in (source.waiters or ()))


def _check_ahead(scheduler: Scheduler, call: Call, name: str) -> None:
    """A call that misses something and does not wait was sent behind what makes it, or is on its way back."""
    assert call.state in (TaskState.RUNNING, TaskState.STOPPING), f"{name} misses {call.missing}"
    assert call.engine is not None, f"{name} was sent nowhere"
    engine = scheduler.engines[call.engine]
    sent = [*engine.suspended, *engine.inflight]
    missing, perhaps = 0, 0
    for source in dict.fromkeys(call.order.inputs):
        value = scheduler.calls[source]
        if value.state is not TaskState.DONE:
            if value.outcome is not None and value.remade:
                perhaps += 1  # whether it waited for that before is not to be seen any more
            else:
                missing += value.outcome is not None or _is_awaited(value, call)
        if value.outcome is None and source in sent and value.engine == call.engine:
            assert call.recalled or not value.recalled, f"{name} stays, and {source} does not"
    assert missing <= call.missing <= missing + perhaps, f"{name} misses {call.missing}, not {missing}"


def _check_inflight(scheduler: Scheduler, engine: Engine) -> None:
    name = f"engine {engine.number}"
    suspended = list(engine.suspended.values())
    assert all(call.kind.level <= engine.level for call in suspended), f"{name} wrongly suspends {suspended}"
    assert all(call.kind.level > engine.level for call in engine.inflight.values()), (
        f"{name} waits at level {engine.level} and has {engine.inflight} in flight"
    )
    _check_sent(scheduler, engine, name)
    calls = list(engine.inflight.values())
    assert is_up(engine) or not calls, f"{name} is {engine.state.value} and has {calls} in flight"
    assert sum(not call.begun for call in calls) <= AHEAD_MOST, f"{name} has {len(calls)} calls in flight"
    load = sum(call.expected for call in calls)
    assert abs(engine.load - load) < 1e-6, f"{name} has a load of {engine.load}, not {load}"
    assert engine.alone == any(call.kind.alone for call in calls), (
        f"{name} has the wrong mark for time limits"
    )
    levels = {call.kind.level for call in calls}
    assert not (engine.alone and len(calls) > 1 and len(levels) == 1), (
        f"{name} has {calls} in flight, and one has a time limit"
    )
    laden = scheduler.ledger.laden
    assert engine.number in laden or not is_laden(engine), f"{name} is laden and not listed so"
    assert engine.number not in laden or len(calls) > 1, f"{name} is wrongly listed as laden"
    is_free = engine.running is None or engine.level >= 0
    open_to_calls = is_up(engine) and engine.can_call and is_free and not engine.stuck
    lane = [item for item in engine.lane if engine.level < 0 or _may_begin(engine, item)]
    if engine.accepts:
        assert open_to_calls, f"{name} takes calls and should not"
        assert not lane, f"{name} takes calls while others wait for it: {lane}"
    if open_to_calls and not calls and not lane:
        assert engine.accepts, f"{name} is free and takes no calls"
        ready = [kind for kind in engine.kinds if kind.ready.size and kind.level > engine.level]
        assert not ready, f"{name} is idle while calls are ready: {ready}"
    if is_up(engine) and not calls and engine.running is None:
        assert not lane, f"{name} is idle while {lane} wait for it"


def _may_begin(engine: Engine, item: Task | Call) -> bool:
    """Whether something of its lane may begin on an engine on which something waits."""
    return item.kind.level > engine.level if isinstance(item, Call) else item.order.live


def _check_sent(scheduler: Scheduler, engine: Engine, name: str) -> None:
    calls = [*engine.inflight.values(), *engine.suspended.values()]
    for call in calls:
        assert scheduler.calls.get(call.id) is call, f"{name} has {call.id} in flight, which is forgotten"
        assert call.state in _SENT, f"{name} has {call.id} in flight, which is {call.state.value}"
    assert engine.stuck == sum(call.state is TaskState.GIVEN_UP for call in calls), (
        f"{name} miscounts stuck calls"
    )


def _check_values(scheduler: Scheduler) -> None:
    values: dict[EngineNumber, set[TaskId]] = {}
    for call in scheduler.calls.values():
        if call.state is TaskState.DONE and not call.kept and not call.lost:
            assert call.engine is not None, f"the value of {call.id} lies on no engine"
            values.setdefault(call.engine, set()).add(call.id)
        assert call.state is not TaskState.DONE or isinstance(call.outcome, Returned), (
            f"{call.id} is not done"
        )
    for number, engine in scheduler.engines.items():
        there = values.pop(number, set())
        assert set(engine.values) == there, (
            f"engine {number} has the values {list(engine.values)}, not {there}"
        )
    assert not values, f"values lie on engines that there are not: {values}"


def _check_kinds(scheduler: Scheduler) -> None:
    ledger = scheduler.ledger
    for key, kind in ledger.kinds.items():
        assert kind.key == key, f"{kind} is kept under {key}"
        assert kind.listed, f"{kind} is kept and not marked so"
        able = {number for number, engine in scheduler.engines.items() if may_run(engine, kind)}
        assert set(kind.engines) == able, f"{kind} is kept for the wrong engines: {able} can run it"
        assert kind.engines or not kind.ready.size, f"{kind} waits for ever"
        assert kind.ready.size == len(list(kind.ready)), f"{kind} is miscounted"
        offered = {number for _, number in kind.offers()}
        for number, engine in scheduler.engines.items():
            assert (kind in engine.kinds) == (number in kind.engines), f"{kind} is not indexed on {number}"
            if engine.accepts and number in kind.engines and has_room(engine, kind):
                held_back = number in ledger.held_back
                assert number in offered or held_back, (
                    f"engine {number} can take of {kind} and cannot be found"
                )
        for client, line in kind.ready.by_client().items():
            order = [(-call.order.options.priority, call.place) for call in line]
            assert order == sorted(order), f"{kind} is out of order for {client}: {order}"
            assert line, f"{kind} keeps an empty line of {client}"
        assert (kind in ledger.limited) == (kind.alone and kind.ready.size > 0), f"{kind} is wrongly limited"
    for mean, calls in ledger.guessed.items():
        assert mean.is_guess, f"what {calls} take is known and kept as a guess"
        assert calls, "an empty table of guesses is kept"
        for call in calls:
            assert call.state in _SENT, (
                f"what {call.id} takes is kept as a guess, and it is {call.state.value}"
            )
    lines = [(kind.ready.size, set(kind.ready.by_client())) for kind in ledger.kinds.values()]
    waiting = {client for _, clients in lines for client in clients}
    in_turn = {client for size, clients in lines if size > 1 for client in clients}
    served = set(ledger.turns.served)  # what waits alone may do so without a turn
    assert in_turn <= served <= waiting, f"turns are kept for {served}, wait do {waiting}"


def _check_keys(scheduler: Scheduler) -> None:
    for key, name in scheduler.keys.items():
        call = scheduler.calls.get(name)
        assert call is not None, f"the key {key} holds {name}, which is forgotten"
        assert call.keyed, f"the key {key} holds {name}, which does not know it"
        assert call.order.key == key, f"the key {key} holds {name}, whose key is {call.order.key}"
    keyed = sum(call.keyed for call in scheduler.calls.values())
    assert keyed == len(scheduler.keys), f"{keyed} calls are held by {len(scheduler.keys)} keys"


def _check_counts(scheduler: Scheduler) -> None:
    ledger = scheduler.ledger
    still_open = sum(call.state not in FINAL for call in scheduler.calls.values())
    assert ledger.open_calls == still_open, f"{ledger.open_calls} calls are counted as open, not {still_open}"
    waiting = sum(isinstance(item, Task) for engine in scheduler.engines.values() for item in engine.lane)
    waiting += sum(len(pool) for pool in ledger.pools.values())
    waiting += sum(call.state in (TaskState.WAITING, TaskState.READY) for call in scheduler.calls.values())
    waiting += sum(task.state is TaskState.WAITING for task in scheduler.tasks.values())
    waiting += sum(max(0, len(engine.inflight) - 1) for engine in scheduler.engines.values())
    assert scheduler.queued == waiting, f"{scheduler.queued} tasks are said to wait and {waiting} do"
