"""A small variable set on an engine and got back."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System
from benchmarks.systems.calls import KeepsVariables

WARM_UP = 50
REPEATS = 300


def run(system: System, run_id: str) -> Samples:
    """Set and get again and again, with another value each time."""
    assert isinstance(system, KeepsVariables)
    system.start(2)
    for value in range(WARM_UP):
        system.set_and_get(value)
    walls = []
    cpu = cpu_seconds(run_id)
    for value in range(REPEATS):
        begun = time.perf_counter()
        got = system.set_and_get(value)
        walls.append((time.perf_counter() - begun) * 1000)
        assert got == value
    used = cpu_seconds(run_id) - cpu
    system.stop()
    return {"wall_ms": walls, "cpu_ms": [used / REPEATS * 1000]}


MEASUREMENT = Measurement(
    "variable",
    "a small variable set and got back (ray: an actor)",
    KeepsVariables,
    run,
    bars=(
        Bar("a variable set and got, wall, against ray's actor (2 times)", "wall_ms", 0.5, "ray"),
        Bar("a variable set and got, wall, against ipyparallel (4 times)", "wall_ms", 0.25, "ipyparallel"),
    ),
)
