"""Takes calls back that were sent to an engine and have not begun, for another or for what goes first. Sends none."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from nbcluster.core.ledger import Ledger
from nbcluster.core.model import Call, Engine, TaskState
from nbcluster.protocol.tasks import CallRef

WORTH_TAKING = 0.005
"""Seconds that calls must be expected to take for an idle engine to take them from another."""

BEGUN_AFTER = 0.05
"""Seconds that a call has run when its engine says that it has begun."""

_LOOKED_AT = 16
"""Engines that an idle one looks at for calls to take: enough to find a good one, and no more with many."""


def take_back(ledger: Ledger, engine: Engine) -> None:
    """Ask for all that may run elsewhere and has not begun."""
    _recall(ledger, engine, [call for call in engine.inflight.values() if _is_movable(call)])


def share(ledger: Ledger, engine: Engine) -> None:
    """An engine is at a call for long: if another is idle, let it take of what waits behind."""
    behind = next((call for call in engine.inflight.values() if _is_movable(call) and not call.missing), None)
    if behind is None:
        return
    for number in behind.kind.engines:
        other = ledger.engines.get(number)
        if (
            other is not None
            and other.accepts
            and not other.inflight
            and other is not engine
            and behind.kind.level > other.level
        ):
            _rob(ledger, engine, other)
            return


def has_begun(ledger: Ledger, engine: Engine, call: Call) -> None:
    """A call runs and has for so long that what is sent behind it would wait: let another engine take of that."""
    call.begun = True
    call.mean.learn_at_least(BEGUN_AFTER)
    if call.expected < BEGUN_AFTER and call.id in engine.inflight:
        engine.load += BEGUN_AFTER - call.expected
        call.expected = BEGUN_AFTER
        if is_laden(engine):
            ledger.laden[engine.number] = None
    share(ledger, engine)


def _is_movable(call: Call) -> bool:
    return (
        call.state is TaskState.RUNNING
        and not call.begun
        and not call.recalled
        and not call.kind.alone
        and not call.order.options.pinned
    )


def rob_for(ledger: Ledger, thief: Engine) -> None:
    """An engine has nothing to do: let it take from the one that has most to do, of some that are looked at."""
    candidates = []
    for number in list(islice(ledger.laden, _LOOKED_AT)):
        victim = ledger.engines[number]
        if is_laden(victim):
            candidates.append(victim)
        else:
            del ledger.laden[number]
    for victim in sorted(candidates, key=lambda victim: -victim.load):
        if _rob(ledger, victim, thief):
            return


def is_laden(engine: Engine) -> bool:
    """Whether it has so much to do that an idle engine may want some of it."""
    return engine.load > WORTH_TAKING and len(engine.inflight) > 1


def _rob(ledger: Ledger, victim: Engine, thief: Engine) -> bool:
    """Take back the later half of what has not begun, if that is worth it."""
    calls = list(victim.inflight.values())
    movable = [call for call in calls[1:] if _is_movable(call) and _may_take(thief, call)]
    if not movable or (sum(call.expected for call in movable) <= WORTH_TAKING and not calls[0].begun):
        return False
    _recall(ledger, victim, movable[len(movable) // 2 :])
    victim.thief = thief.number
    return True


def _may_take(thief: Engine, call: Call) -> bool:
    return not call.missing and thief.number in call.kind.engines and call.kind.level > thief.level


def lend(ledger: Ledger, engine: Engine, level: int) -> None:
    """From now on an engine begins only calls that are nested deeper than `level`."""
    is_deeper, engine.level = level > engine.level, level
    sent = {**engine.suspended, **engine.inflight}
    engine.suspended = {task: call for task, call in sent.items() if call.kind.level <= level}
    inflight = engine.inflight = {task: call for task, call in sent.items() if call.kind.level > level}
    engine.load = sum(call.expected for call in inflight.values())
    engine.alone = any(call.kind.alone for call in inflight.values())
    ledger.laden.pop(engine.number, None)
    if is_laden(engine):
        ledger.laden[engine.number] = None
    if is_deeper:
        # They cannot begin before the wait is over: others may have them.
        back = [call for call in engine.suspended.values() if _is_movable(call)]
    elif engine.running is not None and level < 0:
        back = [call for call in inflight.values() if _is_movable(call) or call.kind.alone]
    else:
        # What waited goes on, for who knows how long, and time limits count from the sending on.
        back = [call for call in inflight.values() if call.kind.alone]
    _recall(ledger, engine, [c for c in back if c.state is TaskState.RUNNING and not (c.begun or c.recalled)])
    ledger.hungry.add(engine.number)


def _recall(ledger: Ledger, engine: Engine, calls: list[Call]) -> None:
    if not calls:
        return
    ledger.outbox.back.setdefault(engine.number, []).extend(expect_back(calls))


def expect_back(calls: Iterable[Call]) -> list[CallRef]:
    """Note that calls will be given back, and with each what was sent ahead of it, which cannot stay without."""
    refs = []
    coming = deque(calls)
    while coming:
        call = coming.popleft()
        if not call.recalled:
            call.recalled = True
            refs.append(CallRef(call.id, call.attempt))
            for waiter in call.waiters or ():
                if waiter.state is TaskState.RUNNING and waiter.missing:
                    coming.append(waiter)
    return refs
