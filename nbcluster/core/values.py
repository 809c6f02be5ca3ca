"""Who needs the value of a call, and the end of a call for those who waited for it. Knows no engines' work."""

from __future__ import annotations

from typing import cast

from nbcluster.core import recipes
from nbcluster.core.effects import CallEnd, ClearTimer
from nbcluster.core.ledger import Ledger
from nbcluster.core.model import FINAL, MOVES, ON_ENGINE, Call, Ended, TaskState
from nbcluster.errors import UsageError, ValueReleased
from nbcluster.ids import ClientId, TaskId
from nbcluster.protocol.outcomes import (
    CallOutcome,
    EngineGone,
    OutOfTime,
    Rejected,
    Returned,
    Threw,
    Withdrawn,
)

_SHORT = 300
"""Characters that are kept of what an exception said."""

_PAST_TAKERS = 16
"""So many calls that have ended, and as many as have not, a value may know that took it."""

_DONE, _RUNNING, _WAITING = TaskState.DONE, TaskState.RUNNING, TaskState.WAITING


# -- waiting ----------------------------------------------------------------------------------


def wait_for_inputs(ledger: Ledger, call: Call) -> Rejected | None:
    """Note what a new call waits for. Returns why it cannot be, if it cannot."""
    order = call.order
    if order.after and (refused := _come_after(ledger, call)) is not None:
        return refused
    sources = tuple(map(ledger.calls.get, order.inputs))
    missing = sent = place = 0
    for source in sources:
        if source is None:
            return _cannot_take(ledger, call, sources, None)
        if source.outcome is None:
            waiters = source.waiters
            if waiters is None:
                source.waiters = [call]
            elif waiters[-1] is call:  # it is named twice
                source.needed += 1
                continue
            else:
                waiters.append(call)
            missing += 1
            if source.state in ON_ENGINE:
                sent += 1
                if source.state is _RUNNING:
                    _follow(ledger, source, call)
        elif source.lost or source.state is not _DONE:
            return _cannot_take(ledger, call, sources, source)
        else:
            _take(source, call)
        source.needed += 1
        if source.place > place:
            place = source.place
    call.sources = cast("tuple[Call, ...]", sources)
    call.missing += missing
    call.unsent += missing - sent
    if place:
        call.place = place
    return None


def _cannot_take(
    ledger: Ledger, call: Call, sources: tuple[Call | None, ...], source: Call | None
) -> Rejected:
    """Refuse a call one of its inputs; those before it are let go when the call ends."""
    call.sources = cast("tuple[Call, ...]", sources[: sources.index(source)])
    return _why_unusable(ledger, call)


def _why_unusable(ledger: Ledger, call: Call) -> Rejected:
    """Why a new call cannot have what it takes: the first that never was or did not succeed, else one lost since."""
    lost: Call | None = None
    for name in call.order.inputs:
        source = ledger.calls.get(name)
        if source is None:
            return Rejected("ValueReleased", _never(name))
        if source.outcome is not None and not isinstance(source.outcome, Returned):
            return because_of(ledger, call, source)
        if source.lost and lost is None:
            lost = source
    assert lost is not None, f"call {call.id} can have all that it takes"
    return _lost(lost)


def _come_after(ledger: Ledger, call: Call) -> Rejected | None:
    """Let a new call wait for what it comes after and takes no value of. Returns why it cannot be, if it cannot."""
    cells: dict[TaskId, None] = {}
    sources: dict[Call, None] = {}
    for name in call.order.after:
        source = ledger.calls.get(name)
        if source is None:
            ended = ledger.ended.get(name)
            if ended is None and name not in ledger.tasks:
                return Rejected("ValueReleased", _never(name))
            if ended is None:
                cells[name] = None
            elif ended.became:
                return because_of_cell(call, ended)
        elif source.outcome is None:
            if name not in call.order.inputs:
                sources[source] = None
        elif not isinstance(source.outcome, Returned):
            return because_of(ledger, call, source)
    call.missing = len(cells) + len(sources)
    call.unsent = len(cells) + sum(source.state not in ON_ENGINE for source in sources)
    for name in cells:
        ledger.awaited.setdefault(name, []).append(call)
    for source in sources:
        if source.waiters is None:
            source.waiters = []
        source.waiters.append(call)
        if source.state is _RUNNING:
            _follow(ledger, source, call)
    return None


def _take(source: Call, call: Call) -> None:
    """Note that a call takes a value that is there. Those that had it are taken out when they are many."""
    takers = source.takers
    if takers is None:
        source.takers = [call]
    else:
        takers.append(call)
        if len(takers) > 2 * source.needed + _PAST_TAKERS:
            source.takers = [taker for taker in takers if taker.outcome is None]


def _follow(ledger: Ledger, source: Call, call: Call) -> None:
    """What a call waits for has been sent: see whether it can be sent behind."""
    assert source.engine is not None, f"call {source.id} runs nowhere"
    ledger.engines[source.engine].followers[call.id] = call
    ledger.hungry.add(source.engine)


def _never(name: TaskId) -> str:
    return (
        f"the value of {name} is not kept: its Future was dropped, or it was never submitted to this cluster; "
        "hold the Future, or give the call a key"
    )


def _lost(source: Call) -> Rejected:
    return Rejected("EngineLost", f"the value of {source.title!r} ({source.id}) {source.lost}", source.id)


def unusable_input(ledger: Ledger, call: Call) -> Rejected | None:
    """Why a call cannot run any more: a value that it takes is gone, or could not be made again."""
    for source in call.sources:
        if source.lost:
            return _lost(source)
        if source.state is not TaskState.DONE and source.outcome is not None:
            return because_of(ledger, call, source)
    return None


def because_of(ledger: Ledger, call: Call, source: Call) -> Rejected:
    """How a call ends that waited for one that did not succeed. A long chain names its first failure alone."""
    outcome, cause = source.outcome, source.id
    needed = f"{call.title!r} needed {source.title!r} ({source.id})"
    if isinstance(outcome, Rejected) and outcome.error == "DependencyFailed" and outcome.cause is not None:
        call.because = source.because
        return Rejected(
            "DependencyFailed", f"{needed}, which did not run because {call.because}", outcome.cause
        )
    call.because = f"{source.title!r} ({source.id}) {became(outcome)}"
    return Rejected("DependencyFailed", f"{needed}, which {became(outcome)}", cause)


def because_of_cell(call: Call, ended: Ended) -> Rejected:
    """How a call ends that comes after a cell which did not succeed."""
    call.because = f"{ended.title!r} ({ended.task}) {ended.became}"
    text = f"{call.title!r} comes after {ended.title!r} ({ended.task}), which {ended.became}"
    return Rejected("DependencyFailed", text, ended.cause)


def end_of(call: Call, outcome: CallOutcome) -> Ended:
    """How a call ended, for cells that come after it."""
    cause = outcome.cause if isinstance(outcome, Rejected) and outcome.cause is not None else call.id
    text = "" if isinstance(outcome, Returned) else became(outcome)
    return Ended(call.id, call.title, call.engine, text, cause)


def became(outcome: CallOutcome | None) -> str:
    """How a call ended that did not succeed, as the end of a sentence."""
    match outcome:
        case Threw(ename, evalue):
            return f"raised {ename}: {evalue}" if evalue else f"raised {ename}"
        case EngineGone(reason):
            return f"was lost: {reason}"
        case Withdrawn(reason):
            return f"was cancelled: {reason}"
        case OutOfTime(seconds):
            return f"did not end within {seconds:g} s"
        case Rejected(_, message):
            return f"could not run: {message}"
        case Returned() | None:
            raise AssertionError("a call that succeeded, or has not ended, fails no other")


# -- ending -----------------------------------------------------------------------------------


def end(ledger: Ledger, call: Call, state: TaskState, outcome: CallOutcome) -> None:
    """End a call that no engine has any more: tell its owner unless that was done, and keep it while it is held."""
    if call.again and state is not TaskState.DONE:
        state = TaskState.LOST
    assert state in MOVES[call.state], f"call {call.id} cannot go from {call.state} to {state}"
    if call.state is not TaskState.GIVEN_UP:
        tell(ledger, call, outcome)
    call.state = state
    ledger.open_calls -= 1
    if not (call.held or call.keyed or call.needed):
        forget(ledger, call)


def succeed(ledger: Ledger, call: Call, outcome: Returned) -> None:
    """End a call that has returned: as `end` does, for one that was not asked to end nor makes a value again."""
    outbox, name = ledger.outbox, call.id
    ends = outbox.ends.get(call.owner)
    if ends is None:
        ends = outbox.ends[call.owner] = []
    ends.append(CallEnd(name, call.engine, call.attempt, outcome))
    if call.kept or name not in ledger.recipes.sizes:
        outbox.over.append(name)
    else:
        outbox.retired.append(name)
    call.outcome = outcome
    call.state = _DONE
    ledger.open_calls -= 1
    if call.sources:
        _let_inputs_go(ledger, call)
    waiters = call.waiters
    if waiters is not None:
        freed = ledger.freed
        for waiter in waiters:
            missing = waiter.missing = waiter.missing - 1
            if not missing and waiter.state is _WAITING:
                freed.append(waiter)
        call.waiters = None
    if call.needed:
        call.takers = waiters
    elif not (call.held or call.keyed):
        forget(ledger, call)
    if ledger.awaited and (waiting := ledger.awaited.pop(name, None)):
        ledger.over.append((end_of(call, outcome), waiting))


def tell(ledger: Ledger, call: Call, outcome: CallOutcome) -> None:
    """Tell the owner the end, and those who waited for it."""
    outbox = ledger.outbox
    number = call.engine if call.attempt else None
    if call.again:
        outcome = _end_again(ledger, call, outcome)
        outbox.remade.append(CallEnd(call.id, number, call.attempt, outcome))
    else:
        told = CallEnd(call.id, number, call.attempt, outcome)
        ends = outbox.ends.get(call.owner)
        if ends is None:
            outbox.ends[call.owner] = [told]
        else:
            ends.append(told)
    if call.kept or call.id not in ledger.recipes.sizes:
        outbox.over.append(call.id)
    else:
        outbox.retired.append(call.id)
    call.outcome = outcome
    if isinstance(outcome, Threw):
        call.outcome = Threw(outcome.ename, outcome.evalue[:_SHORT])
    if call.sources:
        _let_inputs_go(ledger, call)
    waiters = call.waiters
    if waiters is not None:
        if isinstance(outcome, Returned):
            for waiter in waiters:
                waiter.missing -= 1
                if not waiter.missing and waiter.state is _WAITING:
                    ledger.freed.append(waiter)
        else:
            ledger.doomed += [(waiter, call) for waiter in waiters]
        call.waiters = None
    call.takers = [*(call.takers or ()), *(waiters or ())] if call.needed else None
    if ledger.awaited and (waiting := ledger.awaited.pop(call.id, None)):
        ledger.over.append((end_of(call, outcome), waiting))


def _end_again(ledger: Ledger, call: Call, outcome: CallOutcome) -> CallOutcome:
    """What the end of a call means that was to make a lost value again: without a value, that is lost for good."""
    how, call.again = call.again, ""
    if isinstance(outcome, Returned):
        return outcome
    reason = f"its value {how}; when it was to be computed again, it {became(outcome)}"
    recipes.cut(ledger, call, "value was lost")
    return EngineGone(reason)


def _let_inputs_go(ledger: Ledger, call: Call) -> None:
    for source in call.sources:
        needed = source.needed = source.needed - 1
        if not needed:
            source.takers = None
            if not source.held:
                let_go(ledger, source)
    call.sources = ()


def clear_timer(ledger: Ledger, call: Call) -> None:
    """Forget the time limit of the present attempt."""
    timer = f"timeout/{call.id}/{call.attempt}"
    if ledger.call_timers.pop(timer, None) is not None:
        ledger.effects.append(ClearTimer(timer))


# -- holding ----------------------------------------------------------------------------------


def take_key(ledger: Ledger, call: Call) -> None:
    """Let a new call have its key; the one that had it is let go."""
    key = call.order.key
    former = ledger.keys.get(key)
    ledger.keys[key] = call.id
    call.keyed = True
    if former is not None:
        _unkey(ledger, ledger.calls[former])


def release_key(ledger: Ledger, key: str) -> None:
    """Hold the value of a key no longer."""
    name = ledger.keys.pop(key, None)
    if name is None:
        raise ValueReleased(f"nothing is held under the key {key!r}")
    _unkey(ledger, ledger.calls[name])


def _unkey(ledger: Ledger, call: Call) -> None:
    call.keyed = False
    let_go(ledger, call)


def release(ledger: Ledger, client: ClientId, tasks: tuple[TaskId, ...]) -> None:
    """A client holds these no longer."""
    calls = ledger.calls
    for name in tasks:
        call = calls.get(name)
        if call is not None and call.held and call.owner == client:
            call.held = False
            let_go(ledger, call)


def release_all_of(ledger: Ledger, client: ClientId) -> None:
    """A client left for good: it holds nothing any more but by keys."""
    for call in [call for call in ledger.calls.values() if call.held and call.owner == client]:
        call.held = False
        let_go(ledger, call)


def let_go(ledger: Ledger, call: Call) -> None:
    """Forget a call that has ended when nobody needs it; one that makes a lost value again need not."""
    if not (call.held or call.keyed or call.needed):
        if call.state in FINAL:
            forget(ledger, call)
        elif call.again:
            ledger.unwanted.append(call)


def is_idle(call: Call) -> bool:
    """Whether a call waits to make a lost value again that nobody needs any more, not even for other values."""
    is_needed = call.held or call.keyed or call.needed > 0 or bool(call.heirs)
    return bool(call.again) and not is_needed and call.state in (TaskState.WAITING, TaskState.READY)


def forget(ledger: Ledger, call: Call) -> None:
    """Nobody will ask for this call again."""
    del ledger.calls[call.id]
    if not call.kept and not call.lost:
        assert call.engine is not None, f"the value of {call.id} lies nowhere"
        del ledger.engines[call.engine].values[call.id]
        ledger.outbox.drops.setdefault(call.engine, []).append(call.id)
    if call.kept and call.heirs is None:
        ledger.outbox.forgotten.append(call.id)
    else:
        recipes.let_go(ledger, call)


def users_without(lost: list[Call]) -> list[tuple[Call, Rejected]]:
    """The calls that wait and cannot run without these values, which are gone for good, with the reason."""
    hopeless: dict[TaskId, tuple[Call, Rejected]] = {}
    for call in lost:
        for user in call.users:
            if user.state in (TaskState.WAITING, TaskState.READY):
                hopeless.setdefault(user.id, (user, _lost(call)))
    return list(hopeless.values())


def refuse_known(ledger: Ledger, names: list[TaskId]) -> None:
    """Refuse ids that are in use, or twice among these."""
    known = (ledger.calls.keys(), ledger.tasks.keys(), ledger.recipes.past.keys())
    if len(set(names)) < len(names) or not all(table.isdisjoint(names) for table in known):
        raise UsageError("the ids of these calls are in use or not distinct; each call needs its own")
