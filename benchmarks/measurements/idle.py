"""What four engines cost that do nothing."""

from __future__ import annotations

import os
import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import all_processes, cpu_seconds, pss_bytes
from benchmarks.systems.base import System

SETTLE = 5.0
WINDOW = 30.0


def run(system: System, run_id: str) -> Samples:
    """Start four engines, use them once, look away for a while."""
    engines = 1 if system.name == "ipykernel" else 4
    system.start(engines)
    system.do_nothing(engines)
    time.sleep(SETTLE)
    cpu = cpu_seconds(run_id)
    time.sleep(WINDOW)
    used = cpu_seconds(run_id) - cpu
    memory = pss_bytes(run_id, without=os.getpid()) / 1e6
    count = len(all_processes(run_id)) - 1
    system.stop()
    return {"cpu_in_30s_s": [used], "pss_mb": [memory], "processes": [float(count)]}


MEASUREMENT = Measurement(
    "idle",
    "idle, 4 engines (ipykernel: 1); CPU with the client's process, memory without",
    System,
    run,
    bars=(
        Bar("CPU seconds in 30 s of idling", "cpu_in_30s_s", 0.3),
        Bar("sum of PSS, MB", "pss_mb", 250),
    ),
    rounds=2,
)
