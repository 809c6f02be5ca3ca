"""Calls that are to end early: cancelled, or out of time. Knows no processes and no clock."""

from __future__ import annotations

from typing import assert_never

from nbcluster.core import calls, takingback, values
from nbcluster.core.cells import GRACE
from nbcluster.core.effects import SetTimer
from nbcluster.core.ledger import Ledger
from nbcluster.core.model import MOVES, Call, Engine, StopCause, TaskState
from nbcluster.ids import ClientId, TaskId
from nbcluster.protocol.outcomes import Withdrawn
from nbcluster.protocol.tasks import CallRef


def cancel(ledger: Ledger, names: tuple[TaskId, ...], reason: str, force: bool = False) -> list[Call]:
    """Cancel calls for a person. Returns those whose engine must be restarted to get rid of them."""
    stuck, interrupted = [], []
    for name in names:
        call = ledger.calls.get(name)
        if call is None:
            continue
        match call.state:
            case TaskState.WAITING | TaskState.READY:
                calls.withdraw(ledger, call, TaskState.CANCELLED, Withdrawn(reason))
            case TaskState.RUNNING:
                call.stop_reason = reason
                call.force |= force
                _stop(ledger, call, StopCause.CANCEL)
                interrupted.append(call)
            case TaskState.STOPPING:
                call.force |= force
                _ask_to_stop(ledger, call)
            case TaskState.GIVEN_UP if force:
                stuck.append(call)
            case TaskState.GIVEN_UP:
                _ask_to_stop(ledger, call)
            case TaskState.DONE | TaskState.FAILED | TaskState.CANCELLED | TaskState.LOST:
                continue
            case _:
                assert_never(call.state)
    if interrupted:
        _give_grace(ledger, interrupted)
    return stuck


def owned_by(ledger: Ledger, client: ClientId) -> tuple[TaskId, ...]:
    """The calls of a client that have not been told their end, in the order of submission."""
    return tuple(call.id for call in ledger.calls.values() if call.owner == client and call.outcome is None)


def _stop(ledger: Ledger, call: Call, cause: StopCause) -> None:
    assert TaskState.STOPPING in MOVES[call.state], f"call {call.id} cannot be stopped while {call.state}"
    if call.kind.alone:
        values.clear_timer(ledger, call)
    call.state = TaskState.STOPPING
    call.stop_cause = cause
    _ask_to_stop(ledger, call)


def _ask_to_stop(ledger: Ledger, call: Call) -> None:
    assert call.engine is not None, f"call {call.id} runs nowhere"
    ledger.outbox.stops.setdefault(call.engine, []).append(CallRef(call.id, call.attempt))


def _give_grace(ledger: Ledger, stopping: list[Call]) -> None:
    """Be told when these should have ended: one timer for all that were stopped together."""
    timer = f"grace/{stopping[0].id}/{stopping[0].attempt}"
    ledger.call_timers[timer] = tuple(stopping)
    ledger.effects.append(SetTimer(timer, GRACE))


def timer_fired(ledger: Ledger, timer: str) -> list[Call]:
    """Attempts were out of time, or did not end when asked. Returns those whose engine must be restarted for it."""
    stuck = []
    for call in ledger.call_timers.pop(timer, ()):
        if call.state is TaskState.RUNNING:
            _stop(ledger, call, StopCause.TIMEOUT)
            _give_grace(ledger, [call])
        elif call.state is TaskState.STOPPING and call.force:
            stuck.append(call)
        elif call.state is TaskState.STOPPING:
            _give_up(ledger, call)
    return stuck


def _give_up(ledger: Ledger, call: Call) -> None:
    """Tell the owner the end of a call that its engine does not let go of, and have the others run elsewhere."""
    engine = engine_of(ledger, call)
    _, outcome = calls.stopped(
        call,
        f"engine {engine.number} is still stuck in it: "
        f"`%cluster restart {engine.number}` restarts that engine alone",
    )
    call.state = TaskState.GIVEN_UP
    values.tell(ledger, call, outcome)
    engine.stuck += 1
    engine.note = f"it does not let go of {call.title!r}, which was given up"
    ledger.show(engine)
    ledger.hungry.add(engine.number)
    takingback.take_back(ledger, engine)


def engine_of(ledger: Ledger, call: Call) -> Engine:
    """The engine that a call was sent to."""
    assert call.engine is not None, f"call {call.id} runs nowhere"
    return ledger.engines[call.engine]
