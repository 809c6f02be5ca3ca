"""Repeats a piece of empty work: the wall time of each, the CPU of all processes over all of them."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System

WARM_UP = 30
REPEATS = 200


def round_trips(system: System, run_id: str, engines: int) -> Samples:
    """Return milliseconds a round trip; CPU is a mean, since it is counted in ticks of 10 ms."""
    system.start(engines)
    for _ in range(WARM_UP):
        system.do_nothing(engines)
    walls = []
    cpu = cpu_seconds(run_id)
    for _ in range(REPEATS):
        begun = time.perf_counter()
        system.do_nothing(engines)
        walls.append((time.perf_counter() - begun) * 1000)
    used = cpu_seconds(run_id) - cpu
    system.stop()
    return {"wall_ms": walls, "cpu_ms": [used / REPEATS * 1000]}
