"""From a fresh process to four engines that are ready; the import of the package is part of it."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System


def run(system: System, run_id: str) -> Samples:
    """Start, use all four once, stop."""
    cpu = cpu_seconds(run_id)
    begun = time.perf_counter()
    system.start(1 if system.name == "ipykernel" else 4)
    took = time.perf_counter() - begun
    used = cpu_seconds(run_id) - cpu
    if system.name != "ipykernel":
        system.do_nothing(4)  # a system that is called ready must be
    begun = time.perf_counter()
    system.stop()
    return {"start_s": [took], "start_cpu_s": [used], "stop_s": [time.perf_counter() - begun]}


MEASUREMENT = Measurement(
    "start",
    "start to 4 engines ready and client connected, cold (ipykernel: 1)",
    System,
    run,
    bars=(
        Bar("start against ipyparallel", "start_s", 0.25, "ipyparallel"),
        Bar("start against dask", "start_s", 1.0, "dask"),
    ),
)
