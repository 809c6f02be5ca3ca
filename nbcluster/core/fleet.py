"""The life of engines: added, ready, restarted, dead, removed. Knows no processes and no clock."""

from __future__ import annotations

from itertools import count

from nbcluster.core import calls, cells, eligible, gpus, restarts, targets
from nbcluster.core.effects import StartEngine, StopEngine, TellEngines
from nbcluster.core.inputs import Add, EngineDied, EngineReady, Remove, Restart, Scale
from nbcluster.core.ledger import Ledger
from nbcluster.core.model import Engine, EngineState, Task, title
from nbcluster.errors import EngineLost, UsageError
from nbcluster.ids import EngineNumber
from nbcluster.protocol.messages import KernelSpecRef
from nbcluster.protocol.outcomes import EngineGone, Rejected

# -- orders -----------------------------------------------------------------------------------


def add(ledger: Ledger, order: Add) -> None:
    """Start n engines more, or as many as are missing to n of their kernel."""
    _refuse_malformed(order.n, order.spec)
    present = sum(engine.spec.kernel == order.spec.kernel for engine in _staying(ledger))
    started = _start_new(ledger, order.n - present if order.up_to else order.n, order.spec)
    ledger.effects.append(TellEngines(started))


def scale(ledger: Ledger, order: Scale) -> None:
    """Start or remove engines until there are n, of whatever kernel. Failed ones go first, then idle ones."""
    _refuse_malformed(order.n, order.spec)
    staying = _staying(ledger)
    started = _start_new(ledger, order.n - len(staying), order.spec)
    surplus = sorted(staying, key=_worth)[: max(0, len(staying) - order.n)]
    for engine in surplus:
        _remove_one(ledger, engine)
    ledger.effects.append(TellEngines(started or tuple(sorted(engine.number for engine in surplus))))


def remove(ledger: Ledger, order: Remove) -> None:
    """Stop engines for good; what they run and what waits for them is lost."""
    for engine in [ledger.engine(number) for number in dict.fromkeys(order.engines)]:
        _remove_one(ledger, engine)
    ledger.effects.append(TellEngines(tuple(dict.fromkeys(order.engines))))


def restart(ledger: Ledger, order: Restart) -> None:
    """Give engines a new life under their numbers; what they run is lost, what waits for them runs after."""
    numbers = tuple(dict.fromkeys(order.engines))
    for engine in [ledger.engine(number) for number in numbers]:
        if engine.state is EngineState.STOPPING:
            raise EngineLost(f"engine {engine.number} is being removed and cannot be restarted")
    for number in numbers:
        restart_one(ledger, ledger.engines[number], order.reason)
    ledger.effects.append(TellEngines(numbers))


def _refuse_malformed(n: int, spec: KernelSpecRef) -> None:
    if n < 0:
        raise UsageError(f"{n} engines cannot be: the number of engines is 0 or more")
    targets.check_tags(spec.tags)


def _staying(ledger: Ledger) -> list[Engine]:
    return [engine for engine in ledger.engines.values() if engine.state is not EngineState.STOPPING]


def _worth(engine: Engine) -> tuple[int, int]:
    """Sorts engines by how little is lost with them."""
    order = {EngineState.FAILED: 0, EngineState.IDLE: 1}
    return order.get(engine.state, 2), -engine.number


def _start_new(ledger: Ledger, n: int, spec: KernelSpecRef) -> tuple[EngineNumber, ...]:
    free = (EngineNumber(number) for number in count() if number not in ledger.engines)
    started = []
    for own in gpus.hand_out(max(0, n), spec, [engine.spec for engine in ledger.engines.values()]):
        number = next(free)
        engine = Engine(number, ledger.next_incarnation(), own)
        ledger.engines[number] = engine
        ledger.moved[number] = None
        ledger.effects.append(StartEngine(number, engine.incarnation, own))
        ledger.show(engine)
        started.append(number)
    return tuple(started)


def _remove_one(ledger: Ledger, engine: Engine) -> None:
    if engine.state is EngineState.STOPPING:
        return
    _lose_running(ledger, engine, f"engine {engine.number} was removed")
    _lose_lane(ledger, engine, f"engine {engine.number} was removed before it could run this")
    if engine.state is EngineState.FAILED:
        ledger.remove(engine)
        return
    if engine.state is not EngineState.RESTARTING:  # else it has been asked already
        ledger.effects.append(StopEngine(engine.number, engine.incarnation))
    ledger.set_state(engine, EngineState.STOPPING)


def restart_one(ledger: Ledger, engine: Engine, reason: str) -> None:
    """Restart an engine. Cells that it runs are lost; calls run elsewhere where they may."""
    _lose_running(ledger, engine, f"engine {engine.number} was {reason or 'restarted'}")
    _note_loss(engine, reason or "restarted")
    if engine.state is EngineState.FAILED:
        engine.deaths.clear()  # a person has looked at it
        _begin(ledger, engine)
    elif engine.state is not EngineState.RESTARTING:
        ledger.effects.append(StopEngine(engine.number, engine.incarnation))
        ledger.set_state(engine, EngineState.RESTARTING)


def _begin(ledger: Ledger, engine: Engine) -> None:
    engine.incarnation = ledger.next_incarnation()
    engine.starts += 1
    ledger.effects.append(StartEngine(engine.number, engine.incarnation, engine.spec))
    ledger.set_state(engine, EngineState.STARTING)


def _note_loss(engine: Engine, reason: str) -> None:
    if engine.language:  # one that never answered had no names to lose
        engine.notice = f"engine {engine.number} was {reason}; its names are lost"


def _lose_running(ledger: Ledger, engine: Engine, what: str, *, blame: bool = False) -> None:
    names = [*engine.beside] if engine.running is None else [engine.running, *engine.beside]
    for task in [ledger.tasks[name] for name in names]:
        ledger.lose(task, f"{what} while it ran {title(task.order)!r}")
    calls.engine_ended(ledger, engine, what, blame=blame)


def _lose_lane(ledger: Ledger, engine: Engine, reason: str) -> None:
    """End everything that waits for an engine that will not run it."""
    for item in list(engine.lane):
        if isinstance(item, Task):
            ledger.lose(item, reason)
    calls.lose_pinned(ledger, engine, EngineGone(reason))


# -- facts ------------------------------------------------------------------------------------


def ready(ledger: Ledger, fact: EngineReady) -> None:
    """An engine that was starting answers: startup cells first, then what waits for it."""
    engine = ledger.engines.get(fact.engine)
    if engine is None or engine.incarnation != fact.incarnation or engine.state is not EngineState.STARTING:
        return
    engine.language, engine.kernel = fact.language, fact.kernel
    engine.host, engine.can_call = fact.host, fact.can_call
    ledger.set_state(engine, EngineState.IDLE)
    if not engine.can_call:
        calls.lose_pinned(ledger, engine, Rejected("NotSupported", eligible.why_unable(engine)))
    cells.run_startup(ledger, engine)


def died(ledger: Ledger, fact: EngineDied) -> None:
    """A process ended: as it was asked to, before it was up, or under its work."""
    engine = ledger.engines.get(fact.engine)
    if engine is None or engine.incarnation != fact.incarnation:
        return
    match engine.state:
        case EngineState.STOPPING:
            _lose_lane(ledger, engine, f"engine {engine.number} was removed before it could run this")
            ledger.remove(engine)
        case EngineState.RESTARTING:
            _begin(ledger, engine)
        case EngineState.STARTING:
            _fail(ledger, engine, f"it did not start: {fact.cause}")
        case EngineState.IDLE | EngineState.BUSY:
            _crashed(ledger, engine, fact)
        case EngineState.FAILED:
            pass  # told twice


def _crashed(ledger: Ledger, engine: Engine, fact: EngineDied) -> None:
    _lose_running(ledger, engine, f"engine {engine.number} {_ended(fact.cause)}", blame=True)
    if not engine.spec.restart:
        again = f"`%cluster restart {engine.number}` starts it again"
        _fail(ledger, engine, f"it {_ended(fact.cause)}, and restart='never' leaves it so; {again}")
        return
    _note_loss(engine, f"restarted after it {_ended(fact.cause)}")
    engine.deaths = restarts.recent(engine.deaths, fact.at)
    if not restarts.is_too_many(engine.deaths):
        _begin(ledger, engine)
        return
    _fail(
        ledger,
        engine,
        f"it died {len(engine.deaths)} times within {restarts.WINDOW:g} s and is left alone, "
        f"at last it {_ended(fact.cause)}; `%cluster restart {engine.number}` starts it again",
    )


def _fail(ledger: Ledger, engine: Engine, note: str) -> None:
    ledger.set_state(engine, EngineState.FAILED, note)
    _lose_lane(ledger, engine, f"engine {engine.number} failed before it could run this: {note}")


def _ended(cause: str) -> str:
    """A cause as the end of a sentence about the engine."""
    return f"was {cause}" if cause.startswith("killed") else cause
