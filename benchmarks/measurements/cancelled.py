"""How long the cancelling of a running call takes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.calls import Calls, Cancels

TURNS = 50


def run(system: System, run_id: str) -> Samples:
    """Cancel an endless loop in pure Python again and again; the engines work on afterwards."""
    assert isinstance(system, Cancels)
    system.start(2)
    system.do_nothing(2)
    with tempfile.TemporaryDirectory(prefix="nbcb", dir="/tmp") as top:
        delays = [system.cancel_running(str(Path(top) / str(turn))) for turn in range(TURNS)]
    assert isinstance(system, Calls)
    assert system.gather(system.submit(100)) == [None] * 100
    system.stop()
    return {"cancelled_s": delays, "worst_s": [max(delays)]}


MEASUREMENT = Measurement(
    "cancel",
    "cancel of a running call in pure Python",
    Cancels,
    run,
    bars=(Bar("cancel of a running call, median", "cancelled_s", 0.3),),
    rounds=3,
)
