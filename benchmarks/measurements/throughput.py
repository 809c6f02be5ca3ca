"""Many calls of an empty function: submitted one by one, then gathered."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System
from benchmarks.systems.calls import Calls

COUNT = 10_000
WARM_UP = 500


def run(system: System, run_id: str) -> Samples:
    """Submit all, gather all, on two engines that have worked before."""
    assert isinstance(system, Calls)
    system.start(2)
    system.gather(system.submit(WARM_UP))
    cpu = cpu_seconds(run_id)
    begun = time.perf_counter()
    handles = system.submit(COUNT)
    submitted = time.perf_counter()
    results = system.gather(handles)
    took = time.perf_counter() - begun
    used = cpu_seconds(run_id) - cpu
    assert results == [None] * COUNT
    system.stop()
    return {
        "total_s": [took],
        "submit_s": [submitted - begun],
        "cpu_s": [used],
        "calls_per_s": [COUNT / took],
    }


MEASUREMENT = Measurement(
    "calls",
    f"{COUNT:,} no-op calls submitted then gathered, 2 engines",
    Calls,
    run,
    bars=(
        Bar(
            "10,000 no-op calls, wall, against ProcessPoolExecutor (2.5 times)", "total_s", 0.4, "processpool"
        ),
        Bar("10,000 no-op calls, wall, against ray (8 times)", "total_s", 0.125, "ray"),
        Bar("10,000 no-op calls, wall, against dask (20 times)", "total_s", 0.05, "dask"),
        Bar("10,000 no-op calls, wall, against ipyparallel (40 times)", "total_s", 0.025, "ipyparallel"),
    ),
)
