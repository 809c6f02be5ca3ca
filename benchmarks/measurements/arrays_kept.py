"""An array of 256 MB in a variable of an engine, brought here: it may change there, so it has to be written once."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.values import KeepsArrays

ITEMS = 32 << 20
TIMES = 6


def run(system: System, run_id: str) -> Samples:
    """Bring it, let go of it, bring it again; the first time apart."""
    assert isinstance(system, KeepsArrays)
    system.start(2)
    system.keep(1000)
    system.pull()
    system.keep(ITEMS)
    walls = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        array = system.pull()
        assert array[-1] == 1.0
        walls.append((time.perf_counter() - begun) * 1000)
        del array
    system.stop()
    return {"first_pull_ms": walls[:1], "pull_ms": walls[1:]}


MEASUREMENT = Measurement(
    "variable256",
    "256 MB in a variable of an engine, brought here: written once, mapped (ray: an actor's attribute)",
    KeepsArrays,
    run,
    bars=(Bar("a variable of 256 MB brought here, wall, against ray", "pull_ms", 1.0, "ray"),),
    rounds=3,
)
