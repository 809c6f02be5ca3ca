"""One call of an empty function at a time, from submit to result."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System
from benchmarks.systems.calls import Calls

WARM_UP = 50
REPEATS = 300


def run(system: System, run_id: str) -> Samples:
    """Submit one, wait for it, again and again."""
    assert isinstance(system, Calls)
    system.start(2)
    for _ in range(WARM_UP):
        system.gather(system.submit(1))
    walls = []
    cpu = cpu_seconds(run_id)
    for _ in range(REPEATS):
        begun = time.perf_counter()
        system.gather(system.submit(1))
        walls.append((time.perf_counter() - begun) * 1000)
    used = cpu_seconds(run_id) - cpu
    system.stop()
    return {"wall_ms": walls, "cpu_ms": [used / REPEATS * 1000]}


MEASUREMENT = Measurement(
    "call1",
    "one no-op call, submit to result, 2 engines",
    Calls,
    run,
    bars=(Bar("one no-op call, wall, against ray", "wall_ms", 0.5, "ray"),),
)
