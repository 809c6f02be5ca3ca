"""A map over many items whose own work is next to nothing."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System
from benchmarks.systems.calls import Maps

COUNT = 100_000
TURNS = 5


def run(system: System, run_id: str) -> Samples:
    """Map a few times; the first one warms up."""
    assert isinstance(system, Maps)
    wanted = sum(number * number for number in range(COUNT))
    system.start(2)
    assert system.map_squares(COUNT) == wanted
    walls = []
    cpu = cpu_seconds(run_id)
    for _ in range(TURNS):
        begun = time.perf_counter()
        total = system.map_squares(COUNT)
        walls.append(time.perf_counter() - begun)
        assert total == wanted
    used = cpu_seconds(run_id) - cpu
    system.stop()
    return {"total_s": walls, "cpu_s": [used / TURNS]}


MEASUREMENT = Measurement(
    "map100k",
    f"map of {COUNT:,} small items, automatic chunks, 2 engines",
    Maps,
    run,
    bars=(
        Bar(
            "map of 100,000 items, wall, against ProcessPoolExecutor with the same chunks",
            "total_s",
            1.5,
            "processpool",
        ),
    ),
)
