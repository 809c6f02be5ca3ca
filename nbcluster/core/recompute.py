"""Values that were lost with an engine are made again from their recipes, with all that they need. Knows no bounds."""

from __future__ import annotations

from collections.abc import Iterable

from nbcluster.core import recipes
from nbcluster.core.dispatch import unqueue
from nbcluster.core.effects import MakeAgain, ValueLoss
from nbcluster.core.ledger import Ledger
from nbcluster.core.model import ON_ENGINE, Call, Engine, TaskState
from nbcluster.ids import TaskId

Verdicts = dict[TaskId, tuple[Call, str] | None]
"""For each value that is gone: None when it can be made again, else the call that cannot, and why."""


def values_lost(ledger: Ledger, engine: Engine, what: str) -> list[Call]:
    """The values that lay on an engine alone are gone: have them made again. Returns those that cannot be."""
    if not engine.values:
        return []
    lost = [ledger.calls[name] for name in engine.values]
    engine.values.clear()
    how = f"was lost with engine {engine.number}: {what}"
    for call in lost:
        call.lost = how
    verdicts = _judge(ledger, lost)
    gone_for_good = []
    for call in lost:
        verdict = verdicts[call.id]
        if verdict is not None:
            culprit, why = verdict
            reason = (
                why
                if culprit is call
                else f"it takes the value of {culprit.title!r} ({culprit.id}), and {why}"
            )
            call.lost = f"{how}, and is not computed again: {reason}"
            ledger.outbox.lost.append(
                ValueLoss(call.id, f"the value of {call.title!r} ({call.id}) {call.lost}")
            )
            gone_for_good.append(call)
    _revive(ledger, [call for call in lost if verdicts[call.id] is None])
    for call in gone_for_good:
        recipes.cut(ledger, call, f"value {how}, and is not computed again")
    return gone_for_good


def _judge(ledger: Ledger, lost: Iterable[Call]) -> Verdicts:
    """Say which values can be made again: those whose inputs are there, or can be in turn."""
    verdicts: Verdicts = {}
    for root in lost:
        path = [root]
        while path:
            call = path[-1]
            if call.id in verdicts:
                path.pop()
                continue
            why = _why_not(ledger, call)
            verdict = (call, why) if why else None
            if verdict is None and (gone := _gone_inputs(ledger, call)):
                unknown = [source for source in gone if source.id not in verdicts]
                if unknown:
                    path += unknown
                    continue
                verdict = next((found for source in gone if (found := verdicts[source.id])), None)
            verdicts[call.id] = verdict
            path.pop()
    return verdicts


def _why_not(ledger: Ledger, call: Call) -> str:
    """Why a value that is gone cannot be made again, for reasons of its own."""
    if call.remade >= recipes.AGAIN:
        return f"it was made again {call.remade} times before"
    if call.id in ledger.recipes.sizes:
        return ""
    return recipes.forbids(call.order.options) or call.unmade


def _gone_inputs(ledger: Ledger, call: Call) -> list[Call]:
    gone = {}
    for name in call.order.inputs:
        source = recipes.find(ledger, name)
        assert source is not None, f"{name} was forgotten, and the recipe of {call.id} needs it"
        if (
            source.state is TaskState.DONE
            and not source.kept
            and (source.lost or name in ledger.recipes.past)
        ):
            gone[name] = source
    return list(gone.values())


def _revive(ledger: Ledger, lost: list[Call]) -> None:
    """Let calls run again, and with them the past ones that made what they take and is gone."""
    if not lost:
        return
    again = _with_gone_inputs(ledger, lost)
    for call in again.values():
        _begin_again(ledger, call)
    ledger.effects.append(MakeAgain(tuple(again)))
    for call in again.values():
        call.sources = tuple([_wanted_again(ledger, name) for name in call.order.inputs])
        for source in call.sources:
            if source.heirs is not None and source.heirs.pop(call.id, None) is not None and not source.heirs:
                source.heirs = None
            source.needed += 1
            if source.takers is None:
                source.takers = []
            source.takers.append(call)
    for source in again.values():
        for user in source.users:
            if user.state is TaskState.READY:
                unqueue(ledger, user)
                user.move(TaskState.WAITING)
            if user.state is TaskState.WAITING:
                wait_for(ledger, user, source)
    ledger.freed += [call for call in again.values() if not call.missing]


def _with_gone_inputs(ledger: Ledger, lost: list[Call]) -> dict[TaskId, Call]:
    again = {call.id: call for call in lost}
    coming = list(lost)
    while coming:
        for source in _gone_inputs(ledger, coming.pop()):
            if source.id not in again:
                source.again = "had been let go, and another value that was lost is made from it"
                again[source.id] = source
                coming.append(source)
    return again


def _begin_again(ledger: Ledger, call: Call) -> None:
    ledger.recipes.remove(call)
    if ledger.recipes.past.pop(call.id, None) is not None:
        ledger.calls[call.id] = call
    call.move(TaskState.WAITING)
    call.again, call.lost = call.lost or call.again, ""
    call.remade += 1
    call.outcome, call.engine, call.kept = None, None, True
    call.place_of_value = None
    call.missing = call.unsent = call.failures = 0
    call.begun = call.recalled = False
    call.seconds = 0.0
    call.stop_cause, call.stop_reason, call.force = None, "", False
    ledger.open_calls += 1


def _wanted_again(ledger: Ledger, name: TaskId) -> Call:
    """An input of a call that runs again; a past value that the controller has is in use once more."""
    source = ledger.recipes.past.get(name)
    if source is None:
        return ledger.calls[name]
    ledger.recipes.remove(source)
    del ledger.recipes.past[name]
    ledger.calls[name] = source
    return source


def wait_for(ledger: Ledger, call: Call, source: Call) -> None:
    """Let a call wait for a value that is being made."""
    call.missing += 1
    call.unsent += source.state not in ON_ENGINE
    if source.waiters is None:
        source.waiters = []
    source.waiters.append(call)
    if source.state is TaskState.RUNNING and source.engine is not None:
        ledger.engines[source.engine].followers[call.id] = call
        ledger.hungry.add(source.engine)


def waits_again(ledger: Ledger, call: Call) -> bool:
    """Let a call that was ready or sent wait for its inputs that are being made again. Whether there are any."""
    for source in dict.fromkeys(call.sources):
        if source.again and source.outcome is None and call not in (source.waiters or ()):
            wait_for(ledger, call, source)
    return bool(call.missing)
