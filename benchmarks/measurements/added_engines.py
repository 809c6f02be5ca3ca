"""What each engine after the fourth costs, up to sixteen."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import Grows, System


def run(system: System, run_id: str) -> Samples:
    """Start four, add twelve, use all sixteen once."""
    assert isinstance(system, Grows)
    system.start(4)
    system.do_nothing(4)
    cpu = cpu_seconds(run_id)
    begun = time.perf_counter()
    system.add(12)
    took = time.perf_counter() - begun
    used = cpu_seconds(run_id) - cpu
    system.do_nothing(16)
    system.stop()
    return {"each_engine_s": [took / 12], "each_engine_cpu_s": [used / 12]}


MEASUREMENT = Measurement(
    "added",
    "each engine after the fourth, up to 16",
    Grows,
    run,
    bars=(Bar("each engine after the fourth", "each_engine_s", 0.15),),
    rounds=3,
)
