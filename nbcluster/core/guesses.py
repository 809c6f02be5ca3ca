"""What calls are expected to take of whose function none has ended is a guess, until one has. Sends none."""

from __future__ import annotations

from nbcluster.core.ledger import Ledger
from nbcluster.core.means import Mean
from nbcluster.core.model import Call
from nbcluster.core.takingback import is_laden


def note(ledger: Ledger, call: Call) -> None:
    """A call is sent to an engine, and nobody knows what it takes."""
    ledger.guessed.setdefault(call.mean, {})[call] = None


def correct(ledger: Ledger, mean: Mean, seconds: float) -> None:
    """The first call of a function has ended: what others were expected to take is known better now."""
    for call in ledger.guessed.pop(mean, ()):
        engine = ledger.engines.get(call.engine) if call.engine is not None else None
        if engine is None or call.begun or call.id not in engine.inflight:
            continue
        engine.load += seconds - call.expected
        call.expected = seconds
        if is_laden(engine):
            ledger.laden[engine.number] = None
        ledger.hungry.add(engine.number)


def forget(ledger: Ledger, call: Call) -> None:
    """An engine has a call no more."""
    guessed = ledger.guessed.get(call.mean)
    if guessed is not None:
        guessed.pop(call, None)
        if not guessed:
            del ledger.guessed[call.mean]
