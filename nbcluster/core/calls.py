"""The life of calls: submitted, ready, begun, answered, given back, run again. Knows no processes and no clock."""

from __future__ import annotations

from typing import assert_never

from nbcluster.core import dispatch, eligible, guesses, recipes, recompute, takingback, values
from nbcluster.core.effects import CallBegin
from nbcluster.core.inputs import (
    CallReturn,
    CallsAnswered,
    CallsGivenBack,
    CallsHaveBegun,
    EngineLends,
    SubmitCallOrders,
)
from nbcluster.core.kinds import Kind
from nbcluster.core.ledger import Ledger
from nbcluster.core.model import Call, Engine, EngineState, StopCause, TaskState, sent_to
from nbcluster.ids import EngineNumber
from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.outcomes import (
    CallOutcome,
    EngineGone,
    OutOfTime,
    Rejected,
    Returned,
    Threw,
    Withdrawn,
)

LOSSES = 3
"""A call that has taken down so many engines is not tried on another."""

_DONE, _GIVEN_UP = TaskState.DONE, TaskState.GIVEN_UP
_READY, _RUNNING, _WAITING = TaskState.READY, TaskState.RUNNING, TaskState.WAITING


# -- submitting -------------------------------------------------------------------------------


def submit(ledger: Ledger, order: SubmitCallOrders) -> None:
    """Take calls. Each that cannot be ends at once."""
    values.refuse_known(ledger, [call.task for call in order.calls])
    client, table, mean = order.client, ledger.calls, ledger.means.of("")
    function = ""
    alike: dict[int, tuple[Kind, EngineNumber | None, Rejected | None]] = {}
    """By identity: most calls of a batch share their options."""
    ledger.open_calls += len(order.calls)
    for sequence, given in enumerate(order.calls, ledger.next_sequences(len(order.calls))):
        options = given.options
        where = alike.get(id(options))
        if where is None:
            where = alike[id(options)] = _where(ledger, options)
        kind, engine, refused = where
        if given.function != function:
            function = given.function
            mean = ledger.means.of(function)
        call = table[given.task] = Call(client, given, sequence, kind, mean)
        if given.key:
            values.take_key(ledger, call)
        if refused is None:
            call.engine = engine
            if given.inputs or given.after:
                refused = values.wait_for_inputs(ledger, call)
        if refused is not None:
            values.end(ledger, call, TaskState.FAILED, refused)
        elif not call.missing:
            _let_wait(ledger, call)


def _where(ledger: Ledger, options: CallOptions) -> tuple[Kind, EngineNumber | None, Rejected | None]:
    place = eligible.place(ledger, options)
    if isinstance(place, Rejected):
        return ledger.no_kind, None, place
    return place.kind, place.engine, None


def make_ready(ledger: Ledger, call: Call) -> None:
    """Let a call wait for an engine, or end it when there can be none."""
    refused: CallOutcome | None = None
    for source in call.sources:
        if source.state is not _DONE or source.lost:
            refused = values.unusable_input(ledger, call)
            if refused is None and recompute.waits_again(ledger, call):
                _wait(call)
                return
            break
    _let_wait(ledger, call, refused)


def _let_wait(ledger: Ledger, call: Call, refused: CallOutcome | None = None) -> None:
    """Let a call that has all that it takes wait for an engine, or end it when there can be none, or it is refused."""
    order = call.order
    if order.options.pinned:
        engine = ledger.engines.get(call.engine) if call.engine is not None else None
        refused = refused or why_not_there(call, engine)
        if refused is None and engine is not None:
            call.move(_READY)
            engine.lane.push(-order.options.priority, call.sequence, call)
            ledger.hungry.add(engine.number)
            return
    else:
        kind = call.kind if call.kind.listed else eligible.current(ledger, call)
        if refused is None and kind.engines:
            state = call.state
            assert state is _WAITING or state is _RUNNING, f"call {call.id} cannot be ready: {state}"
            call.state = _READY
            call.engine = None
            kind.ready.push(call.owner, -order.options.priority, call.place, call)
            ledger.fed[kind] = None
            if kind.alone:
                ledger.limited[kind] = None
            return
        refused = refused or Rejected("NoEngines", eligible.why_none(ledger, kind, call.title))
    end = TaskState.LOST if isinstance(refused, EngineGone) else TaskState.FAILED
    assert refused is not None, f"call {call.id} has no place and no reason"
    values.end(ledger, call, end, refused)


def wait_again(ledger: Ledger, call: Call) -> None:
    """Let a call that was sent and has not run wait for an engine, or for what it needs; end it when that failed."""
    if not call.missing:
        make_ready(ledger, call)
        return
    for source in call.sources:
        if source.outcome is not None and not isinstance(source.outcome, Returned):
            values.end(ledger, call, TaskState.FAILED, values.because_of(ledger, call, source))
            return
    recompute.waits_again(ledger, call)
    _wait(call)
    for source in call.sources:
        if source.state is TaskState.RUNNING and source.engine is not None:
            ledger.engines[source.engine].followers[call.id] = call
            ledger.hungry.add(source.engine)


def _wait(call: Call) -> None:
    if call.state is not TaskState.WAITING:
        call.move(TaskState.WAITING)
    if not call.order.options.pinned:
        call.engine = None


def why_not_there(call: Call, engine: Engine | None) -> CallOutcome | None:
    """Why the engine that a call is about will not run it."""
    if engine is None or engine.state in (EngineState.STOPPING, EngineState.FAILED):
        return EngineGone(f"engine {call.engine} was removed or failed before it could run {call.title!r}")
    if engine.language and not engine.can_call:
        return Rejected("NotSupported", eligible.why_unable(engine))
    return None


def withdraw(ledger: Ledger, call: Call, state: TaskState, outcome: CallOutcome) -> None:
    """End a call that has not been sent, or was taken back."""
    if call.queued:
        dispatch.unqueue(ledger, call)
    values.end(ledger, call, state, outcome)


def draw_consequences(ledger: Ledger) -> None:
    """What engines that came or went, and calls that ended, mean for calls that wait."""
    if ledger.moved:
        for kind in eligible.refresh(ledger):
            for call in list(kind.ready):
                why = eligible.why_none(ledger, kind, call.title)
                withdraw(ledger, call, TaskState.FAILED, Rejected("NoEngines", why))
    while ledger.freed or ledger.doomed or ledger.unwanted:
        for call in ledger.freed:
            if call.state is _WAITING:
                # What it has had for long may have been lost while it was sent ahead.
                make_ready(ledger, call)
        ledger.freed.clear()
        if ledger.unwanted or ledger.doomed:
            _end_in_vain(ledger)


def _end_in_vain(ledger: Ledger) -> None:
    """End calls that nobody needs any more, and those that cannot have what they take."""
    unwanted, ledger.unwanted = ledger.unwanted, []
    for call in unwanted:
        if values.is_idle(call):
            withdraw(ledger, call, TaskState.CANCELLED, Withdrawn("nobody needs its value any more"))
    doomed, ledger.doomed = ledger.doomed, []
    for call, source in doomed:
        if call.state is TaskState.WAITING:
            values.end(ledger, call, TaskState.FAILED, values.because_of(ledger, call, source))
        elif call.state is TaskState.RUNNING:
            takingback.expect_back((call,))  # it was sent ahead: its engine gives it back, and it ends then


# -- engines speak ----------------------------------------------------------------------------


def _speaker(
    ledger: Ledger, fact: CallsHaveBegun | CallsAnswered | CallsGivenBack | EngineLends
) -> Engine | None:
    """The engine that says it, if it is still in that life."""
    engine = ledger.engines.get(fact.engine)
    return engine if engine is not None and engine.incarnation == fact.incarnation else None


def begun(ledger: Ledger, fact: CallsHaveBegun) -> None:
    """Calls run, and have for a while: tell their owners, and do not let others wait behind them in vain."""
    engine = _speaker(ledger, fact)
    if engine is None:
        return
    for task, attempt in ((ref.task, ref.attempt) for ref in fact.calls):
        call = sent_to(engine, task)
        if call is None or call.attempt != attempt or call.begun or call.state is TaskState.GIVEN_UP:
            continue
        if not call.again:
            told = ledger.outbox.begun.setdefault((call.owner, engine.number), [])
            told.append(CallBegin(task, attempt))
        takingback.has_begun(ledger, engine, call)


def answered(ledger: Ledger, fact: CallsAnswered) -> None:
    """Take what attempts came to, if they are the present ones, in this life of their engine."""
    engine = _speaker(ledger, fact)
    if engine is None:
        return
    inflight = engine.inflight
    for result in fact.results:
        call, outcome = inflight.get(result.task), result.outcome
        if (
            call is None
            or call.attempt != result.attempt
            or call.state is not _RUNNING
            or call.missing
            or call.again
            or type(outcome) is not Returned
        ):
            _take_answer(ledger, engine, result)
            continue
        del inflight[result.task]  # what most answers are
        engine.load -= call.expected
        if call.mean.is_guess:
            guesses.correct(ledger, call.mean, result.seconds)
        if call.kind.alone:
            values.clear_timer(ledger, call)
        call.seconds = result.seconds
        call.mean.learn(result.seconds)
        call.nbytes = outcome.nbytes
        if not result.kept_here:
            _leave_there(ledger, engine, call, result)
        values.succeed(ledger, call, outcome)
    rest(ledger, engine)


def _take_answer(ledger: Ledger, engine: Engine, result: CallReturn) -> None:
    """Take what an attempt came to, whatever had been asked of it; one that is not the present one does not count."""
    call = sent_to(engine, result.task)
    if call is None or call.attempt != result.attempt:
        return
    _leave(ledger, engine, call)
    outcome = result.outcome
    call.seconds = result.seconds
    if call.missing and isinstance(outcome, Returned | Threw) and _too_early(ledger, engine, call, result):
        return
    if isinstance(outcome, Returned) and call.state is not _GIVEN_UP:
        _learn(ledger, call, result.seconds)
        call.nbytes, call.kept = outcome.nbytes, True
        if not result.kept_here:
            _leave_there(ledger, engine, call, result)
        values.end(ledger, call, TaskState.DONE, outcome)
    else:
        _judge(ledger, engine, call, result)


def _learn(ledger: Ledger, call: Call, seconds: float) -> None:
    if call.mean.is_guess:
        guesses.correct(ledger, call.mean, seconds)
    call.mean.learn(seconds)


def _leave_there(ledger: Ledger, engine: Engine, call: Call, result: CallReturn) -> None:
    """Note that the value of a call that has just returned lies on its engine alone."""
    call.kept = False
    engine.values[call.id] = None
    recipes.keep(ledger, call, result.recipe, result.function)


def _too_early(ledger: Ledger, engine: Engine, call: Call, result: CallReturn) -> bool:
    """Whether a call that was sent ahead ran on the value of one that was given up: that does not count."""
    if call.state is TaskState.GIVEN_UP:
        return False
    if isinstance(result.outcome, Returned) and not result.kept_here:
        ledger.outbox.drops.setdefault(engine.number, []).append(call.id)
    if call.state is TaskState.RUNNING:
        _come_back(ledger, call)
        wait_again(ledger, call)
    else:
        values.end(ledger, call, *stopped(call))
    return True


def _come_back(ledger: Ledger, call: Call) -> None:
    """A call that was sent is on no engine any more and has not ended."""
    call.begun = call.recalled = False
    if call.again:  # perhaps nobody needs what it makes any more: while it ran it was left to
        ledger.unwanted.append(call)
    for waiter in call.waiters or ():
        waiter.unsent += 1


def _judge(ledger: Ledger, engine: Engine, call: Call, result: CallReturn) -> None:
    """What an answer other than a value means, given what had been asked of the engine."""
    outcome = result.outcome
    if call.state is TaskState.GIVEN_UP:
        if isinstance(outcome, Returned) and not result.kept_here:
            ledger.outbox.drops.setdefault(engine.number, []).append(call.id)
        values.end(ledger, call, *stopped(call))
        return
    match outcome:
        case Threw(ename, evalue):
            _learn(ledger, call, result.seconds)
            if call.state is TaskState.RUNNING and call.failures < call.order.options.retries:
                call.failures += 1
                call.seconds = 0.0
                _come_back(ledger, call)
                make_ready(ledger, call)
            elif call.stop_cause is StopCause.TIMEOUT:
                values.end(ledger, call, *stopped(call, f"when interrupted it raised {ename}: {evalue}"))
            else:
                values.end(ledger, call, TaskState.FAILED, outcome)
        case Withdrawn():
            told = (TaskState.CANCELLED, outcome) if call.stop_cause is None else stopped(call)
            values.end(ledger, call, *told)
        case EngineGone():
            values.end(ledger, call, TaskState.LOST, outcome)
        case OutOfTime() | Rejected():
            values.end(ledger, call, TaskState.FAILED, outcome)
        case Returned():
            raise AssertionError(f"the value of {call.id} was to be kept")
        case _:
            assert_never(outcome)


def stopped(call: Call, note: str = "") -> tuple[TaskState, CallOutcome]:
    """How a call ends that was asked to: by whoever asked."""
    match call.stop_cause:
        case StopCause.CANCEL:
            return TaskState.CANCELLED, Withdrawn(f"{call.stop_reason}; {note}" if note else call.stop_reason)
        case StopCause.TIMEOUT:
            return TaskState.FAILED, OutOfTime(call.order.options.timeout or 0.0, note)
        case None:
            raise AssertionError(f"call {call.id} was never asked to end")
        case _:
            assert_never(call.stop_cause)


def given_back(ledger: Ledger, fact: CallsGivenBack) -> None:
    """Let calls that had not begun wait again; the engine that they were wanted for can look anew."""
    engine = _speaker(ledger, fact)
    if engine is None:
        return
    for ref in fact.calls:
        call = sent_to(engine, ref.task)
        if call is None or call.attempt != ref.attempt:
            continue
        _leave(ledger, engine, call)
        if call.state is TaskState.RUNNING:
            _come_back(ledger, call)
            wait_again(ledger, call)
        else:
            values.end(ledger, call, *stopped(call))
    if engine.thief is not None:
        ledger.hungry.add(engine.thief)
        engine.thief = None
    rest(ledger, engine)


def _leave(ledger: Ledger, engine: Engine, call: Call) -> None:
    """Take a call out of what an engine has in flight."""
    if engine.inflight.pop(call.id, None) is None:
        del engine.suspended[call.id]  # what was sent for the time of its wait goes on
    else:
        engine.load -= call.expected
    if call.mean.is_guess:
        guesses.forget(ledger, call)
    if call.kind.alone:
        values.clear_timer(ledger, call)
    if call.state is _GIVEN_UP:
        engine.stuck -= 1
        if not engine.stuck:
            engine.note = ""
            ledger.show(engine)


def rest(ledger: Ledger, engine: Engine) -> None:
    """An engine has less to do than before."""
    inflight = engine.inflight
    ledger.hungry.add(engine.number)
    if engine.alone:
        engine.alone = any(call.kind.alone for call in inflight.values())
    if len(inflight) > 1:
        return
    if ledger.laden:
        ledger.laden.pop(engine.number, None)
    if not inflight:
        engine.load = 0.0


def lends(ledger: Ledger, fact: EngineLends) -> None:
    """What runs on an engine waits for calls, or does no more."""
    engine = _speaker(ledger, fact)
    if engine is not None and engine.level != fact.level:
        takingback.lend(ledger, engine, fact.level)


# -- engines end ------------------------------------------------------------------------------


def engine_ended(ledger: Ledger, engine: Engine, what: str, *, blame: bool) -> None:
    """An engine's life is over: what it had in flight runs elsewhere, where it may; its values are gone.

    Of what was in flight only the first can have begun, so it alone is blamed when the engine died unasked.
    """
    inflight = [*engine.inflight.values(), *engine.suspended.values()]
    engine.inflight, engine.suspended, engine.level = {}, {}, -1
    engine.load, engine.alone, engine.stuck, engine.thief = 0.0, False, 0, None
    engine.accepts = False
    engine.followers.clear()
    ledger.laden.pop(engine.number, None)
    hopeless = values.users_without(recompute.values_lost(ledger, engine, what))
    for call in inflight:
        if call.mean.is_guess:
            guesses.forget(ledger, call)
        if call.kind.alone:
            values.clear_timer(ledger, call)
        if call.state is TaskState.RUNNING:
            _come_back(ledger, call)
        if call.missing and call.state is TaskState.RUNNING:
            wait_again(ledger, call)
            continue
        if blame:
            call.losses = (*call.losses, what)
            blame = False
        _lost_under(ledger, call, what)
    for call, refused in hopeless:
        if call.state in (TaskState.WAITING, TaskState.READY):
            withdraw(ledger, call, TaskState.FAILED, refused)


def _lost_under(ledger: Ledger, call: Call, what: str) -> None:
    options = call.order.options
    if call.state is not TaskState.RUNNING:
        values.end(ledger, call, *stopped(call, what))
    elif options.pinned or not options.repeatable:
        values.end(ledger, call, TaskState.LOST, EngineGone(f"{what} before {call.title!r} had ended"))
    elif len(call.losses) >= LOSSES:
        story = f"{call.title!r} took down {len(call.losses)} engines: {'; '.join(call.losses)}"
        values.end(ledger, call, TaskState.LOST, EngineGone(story))
    else:
        make_ready(ledger, call)


def lose_pinned(ledger: Ledger, engine: Engine, outcome: CallOutcome) -> None:
    """End the calls that wait for an engine that will not run them."""
    state = TaskState.LOST if isinstance(outcome, EngineGone) else TaskState.FAILED
    for item in list(engine.lane):
        if isinstance(item, Call):
            withdraw(ledger, item, state, outcome)
