"""Sends what waits to engines: in whose turn, to which, how many ahead. Knows no ends."""

from __future__ import annotations

from collections.abc import Iterable

from nbcluster.core import guesses
from nbcluster.core.effects import CallRun, InputPlace, SetTimer
from nbcluster.core.kinds import Kind
from nbcluster.core.ledger import Ledger
from nbcluster.core.model import Call, Engine, EngineState, Task, TaskState, is_up, language_of
from nbcluster.core.takingback import WORTH_TAKING, rob_for, take_back
from nbcluster.ids import EngineNumber

AHEAD = 2
"""So many calls an engine may have in flight, however long they take."""

AHEAD_SECONDS = 0.05
"""It may have more while they are expected to take less than this."""

AHEAD_MOST = 1000
"""But never more than this."""

NEEDS_AHEAD = 64
"""A call that takes more values than this is not sent ahead of them: they seldom come from one engine."""

_SLACK = WORTH_TAKING / 2
"""An engine may be given its share of what is ready at once while that is so much at most, in seconds: neighbours of a
graph come together, and it is looked for once."""

_DONE, _READY, _RUNNING, _WAITING = TaskState.DONE, TaskState.READY, TaskState.RUNNING, TaskState.WAITING
_BUSY, _IDLE = EngineState.BUSY, EngineState.IDLE


def settle(ledger: Ledger) -> None:
    """Give every engine that may have something new to take what it can take."""
    engines, hungry = ledger.engines, ledger.hungry
    looked_at: dict[EngineNumber, None] = {}
    while hungry or ledger.fed:
        for number in sorted(hungry):
            hungry.discard(number)
            looked_at[number] = None
            engine = engines.get(number)
            if engine is not None:
                _feed(ledger, engine)
        if ledger.fed:
            _dispatch(ledger)
    for number in sorted(looked_at):
        engine = engines.get(number)
        if engine is not None and not engine.inflight:
            if ledger.laden and engine.accepts:
                rob_for(ledger, engine)
            if engine.state is _BUSY and engine.running is None and not engine.suspended:
                engine.state = _IDLE
                ledger.show(engine)


# -- what is bound to one engine, and cells ---------------------------------------------------


def _feed(ledger: Ledger, engine: Engine) -> None:
    """Give an engine what waits for it and cells that any may run; then see whether it can take other calls."""
    engine.accepts = False
    if not is_up(engine):
        return
    if engine.followers and not engine.inflight:
        engine.followers.clear()
    if (engine.lane.size or ledger.pools) and not _feed_bound(ledger, engine):
        return
    is_free = engine.running is None or engine.level >= 0
    engine.accepts = engine.can_call and is_free and not engine.stuck and not engine.alone
    if engine.followers:
        _send_ahead(ledger, engine)
    if engine.accepts:
        for kind in engine.kinds:
            if has_room(engine, kind):
                kind.offer(engine.load, engine.number)
                if kind.ready.size:
                    ledger.fed[kind] = None


def _feed_bound(ledger: Ledger, engine: Engine) -> bool:
    """Give an engine what is bound to it, and cells that any may run; False when one of these is to go next there."""
    while (item := _first(ledger, engine)) is not None:
        if engine.level >= 0:
            return _feed_nested(ledger, engine)
        if isinstance(item, Call):
            if engine.running is not None or engine.stuck or not has_room(engine, item.kind):
                return False
            engine.lane.discard(item)
            _send(ledger, item, engine)
        elif item.order.live or not (engine.running is not None or engine.inflight):
            ledger.run(item, engine)
        else:
            if engine.running is None:
                take_back(ledger, engine)
            if item.bound is None:
                ledger.held_back.add(engine.number)
            return False
    return True


def _send_ahead(ledger: Ledger, engine: Engine) -> None:
    """Send calls behind those that make what they miss, while there is room and nothing ready goes before them."""
    followers = engine.followers
    while followers:
        call = next(iter(followers.values()))
        if not _may_follow(ledger, call, engine):
            del followers[call.id]
            continue
        if not _takes(ledger, engine, call.kind) or _has_first(engine, call):
            return
        del followers[call.id]
        _send(ledger, call, engine)


def _has_first(engine: Engine, call: Call) -> bool:
    """Whether something is ready that an engine is to take before a call."""
    for kind in engine.kinds:
        if kind.ready.size and kind.level > engine.level:
            rank = -call.order.options.priority
            if kind.ready.goes_before(call.owner, rank, call.place):
                return True
    return False


def _may_follow(ledger: Ledger, call: Call, engine: Engine) -> bool:
    """Whether all that a call waits for are values that calls make which were sent to this engine before."""
    order, kind = call.order, call.kind
    if (
        call.state is not _WAITING
        or order.options.pinned
        or not order.options.repeatable
        or len(order.inputs) > NEEDS_AHEAD
        or kind.alone
        or not kind.listed
        or engine.number not in kind.engines
    ):
        return False
    for source in call.sources:
        if source.lost or not (source.state is _DONE or _comes_before(source, call, engine)):
            return False
    for name in order.after:
        source_after = ledger.calls.get(name) or ledger.tasks.get(name)
        if source_after is not None and source_after.outcome is None and name not in order.inputs:
            return False
    return True


def _comes_before(source: Call, call: Call, engine: Engine) -> bool:
    return (
        source.state is TaskState.RUNNING
        and source.engine == engine.number
        and not source.recalled
        and source.id in engine.inflight
        and source.kind.level == call.kind.level
    )


def _feed_nested(ledger: Ledger, engine: Engine) -> bool:
    """Give an engine on which something waits what is bound to it and may run on top; False when that has no room."""
    for item in list(engine.lane):
        if not isinstance(item, Call):
            if item.order.live:
                ledger.run(item, engine)
        elif item.kind.level > engine.level:
            if engine.stuck or not has_room(engine, item.kind):
                return False
            engine.lane.discard(item)
            _send(ledger, item, engine)
    return True


def _first(ledger: Ledger, engine: Engine) -> Task | Call | None:
    """What goes first of the engine's lane and of the cells that any engine may run."""
    entry = engine.lane.head()
    first: tuple[tuple[int, int], Task | Call] | None = entry and (entry[:2], entry[3])
    if ledger.pools:
        language, own = language_of(engine).casefold(), engine.spec.resources
        for (wanted, resources), pool in ledger.pools.items():
            if wanted == language and all(own.get(name, 0.0) >= amount for name, amount in resources):
                free = pool.head()
                if free is not None and (first is None or free[:2] < first[0]):
                    first = (free[:2], free[3])
    return first and first[1]


# -- calls that any of several engines may run ------------------------------------------------


def has_room(engine: Engine, kind: Kind) -> bool:
    """Whether one call more, of this kind, would not be too much to have in flight."""
    if kind.level <= engine.level:
        return False
    if not engine.inflight:
        return True
    if engine.alone or kind.alone:
        return False
    inflight = len(engine.inflight)
    return inflight < AHEAD or (engine.load < AHEAD_SECONDS and inflight < AHEAD_MOST)


def _dispatch(ledger: Ledger) -> None:
    """Send ready calls, the first of all first, each to the engine with the least before it."""
    fed = ledger.fed
    while fed:
        kind = next(iter(fed)) if len(fed) == 1 else min(_with_some(fed), key=_turn_of, default=None)
        if kind is None or not kind.ready.size:
            fed.clear()
            return
        engine = _taker(ledger, kind)
        if engine is None:
            del fed[kind]
        else:
            _serve(ledger, kind, engine, several=len(fed) == 1)


def _with_some(fed: dict[Kind, None]) -> list[Kind]:
    """Take out those that have nothing ready."""
    for kind in [kind for kind in fed if not kind.ready.size]:
        del fed[kind]
    return list(fed)


def _turn_of(kind: Kind) -> tuple[int, int, int]:
    return kind.ready.key()


def _taker(ledger: Ledger, kind: Kind) -> Engine | None:
    """The engine that is to take the next call of a kind: of those with room the one with the least before it."""
    while (offer := kind.next_offer()) is not None:
        load, number = offer
        engine = ledger.engines.get(number)
        if engine is None or number not in kind.engines or not _takes(ledger, engine, kind):
            continue
        if engine.load <= load:
            return engine
        kind.offer(engine.load, number)
    return None


def _takes(ledger: Ledger, engine: Engine, kind: Kind) -> bool:
    """Whether an engine takes one call more of this kind."""
    if not engine.accepts or not has_room(engine, kind):
        return False
    if ledger.limited and engine.inflight and _must_drain(ledger, engine, kind):
        ledger.held_back.add(engine.number)
        return False
    return True


def _must_drain(ledger: Ledger, engine: Engine, kind: Kind) -> bool:
    """Whether a call with a time limit, which needs an engine that has nothing else, goes before those of a kind."""
    return bool(kind.ready.size) and any(
        other.ready.key() < kind.ready.key()
        for other in ledger.limited
        if engine.number in other.engines and other.level > engine.level
    )


def _serve(ledger: Ledger, kind: Kind, engine: Engine, *, several: bool) -> None:
    """Send calls of a kind to an engine until another would have less before it; one when other kinds compete."""
    ready, other, inflight = kind.ready, kind.least(), engine.inflight
    share = ready.size // len(kind.engines)
    while True:
        call = ready.pop()
        _send(ledger, call, (_nearest(ledger, call) or engine) if call.sources else engine)
        if kind.alone:
            left_limited(ledger, kind)
        # It took that one, so most of what `_takes` asks is so still.
        is_doubtful = (
            engine.load >= AHEAD_SECONDS or len(inflight) >= AHEAD_MOST or engine.alone or kind.alone
        )
        if (is_doubtful or ledger.limited) and not _takes(ledger, engine, kind):
            return
        if not (several and ready.size):
            break
        share -= 1
        if engine.load >= other[0] + _SLACK if share > 0 else (engine.load, engine.number) >= other:
            break
    kind.offer(engine.load, engine.number)


def left_limited(ledger: Ledger, kind: Kind) -> None:
    """One call with a time limit waits no more: others need not make room for it."""
    if not kind.ready.size:
        ledger.limited.pop(kind, None)
    ledger.ease()


def _nearest(ledger: Ledger, call: Call) -> Engine | None:
    """The engine with most bytes of a call's inputs, if it may and can take the call."""
    sizes: dict[EngineNumber, int] | None = None
    for value in call.sources:
        if not value.kept and value.engine is not None:
            sizes = sizes or {}
            sizes[value.engine] = sizes.get(value.engine, 0) + value.nbytes
    if sizes is None:
        return None
    number = max(sizes, key=lambda number: (sizes[number], -number))
    engine = ledger.engines.get(number)
    if engine is None or number not in call.kind.engines or not _takes(ledger, engine, call.kind):
        return None
    return engine


def _send(ledger: Ledger, call: Call, engine: Engine) -> None:
    assert call.state is _READY or call.state is _WAITING, f"call {call.id} cannot be sent: {call.state}"
    call.state = _RUNNING
    number = call.engine = engine.number
    attempt = call.attempt = call.attempt + 1
    mean = call.mean
    if mean.is_guess:
        guesses.note(ledger, call)
    expected = call.expected = mean.seconds
    load = engine.load = engine.load + expected
    inflight = engine.inflight
    inflight[call.id] = call
    if load > WORTH_TAKING and len(inflight) > 1:
        ledger.laden[number] = None
    if engine.state is _IDLE:
        engine.state = _BUSY
        ledger.show(engine)
    inputs: tuple[InputPlace, ...] = ()
    if call.sources:
        places = []  # written out: a comprehension is a function more, and makes cells of the variables of this one
        for source in call.sources:
            place = source.place_of_value
            places.append(_place_of(source, number) if place is None else place)
        inputs = tuple(places)
    if call.waiters is not None:
        let_follow(ledger, call.waiters, engine)
    runs = ledger.outbox.runs.get(number)
    if runs is None:
        runs = ledger.outbox.runs[number] = []
    runs.append(CallRun(call.id, attempt, inputs))
    if call.kind.alone:
        engine.alone = True
        engine.accepts = False
        timeout = call.order.options.timeout
        assert timeout is not None, f"call {call.id} has no time limit"
        timer = f"timeout/{call.id}/{call.attempt}"
        ledger.call_timers[timer] = (call,)
        ledger.effects.append(SetTimer(timer, timeout))


def _place_of(value: Call, number: EngineNumber) -> InputPlace:
    if value.state is not _DONE:
        return InputPlace(value.id, number, value.attempt)
    place = value.place_of_value = InputPlace(value.id, None if value.kept else value.engine)
    return place


def let_follow(ledger: Ledger, waiters: Iterable[Call], engine: Engine) -> None:
    """Have those looked at, when there is room, of which all that they miss has been sent to this engine."""
    number = engine.number
    for waiter in waiters:
        unsent = waiter.unsent = waiter.unsent - 1
        if unsent or waiter.state is not _WAITING:
            continue
        if waiter.missing > 1:
            for source in waiter.sources:
                if source.state is not _DONE and source.engine != number:
                    break
            else:
                engine.followers[waiter.id] = waiter
        else:
            engine.followers[waiter.id] = waiter
    if engine.followers:
        ledger.hungry.add(number)


def unqueue(ledger: Ledger, call: Call) -> None:
    """Take a call that is ready out of where it waits."""
    if call.order.options.pinned:
        assert call.engine is not None, f"the pinned call {call.id} waits nowhere"
        ledger.engines[call.engine].lane.discard(call)
        ledger.hungry.add(call.engine)
    else:
        call.kind.ready.discard(call.owner, call)
        if call.kind.alone:
            left_limited(ledger, call.kind)
