"""What is left in memory after a million calls that nobody holds any more."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds, pss_of
from benchmarks.systems.base import System
from benchmarks.systems.calls import Calls, KnowsProcesses

BATCH = 10_000
BATCHES = 100
WARM_UP = 2
"""Batches before the first look at memory: modules, buffers and pools are there then."""


def run(system: System, run_id: str) -> Samples:
    """Submit a batch, gather it, drop its handles, a hundred times."""
    assert isinstance(system, Calls)
    assert isinstance(system, KnowsProcesses)
    system.start(2)
    for _ in range(WARM_UP):
        system.gather(system.submit(BATCH))
    pids = system.pids()
    before = {pid: pss_of(pid) for role in pids.values() for pid in role}
    cpu = cpu_seconds(run_id)
    begun = time.perf_counter()
    for _ in range(BATCHES):
        system.gather(system.submit(BATCH))
    took = time.perf_counter() - begun
    used = cpu_seconds(run_id) - cpu
    assert system.pids() == pids, "a process ended on the way"
    samples = {
        f"{role}_grows_mb": [max((pss_of(pid) - before[pid]) / 1e6 for pid in members)]
        for role, members in pids.items()
    }
    system.stop()
    return {**samples, "total_s": [took], "cpu_s": [used]}


MEASUREMENT = Measurement(
    "million",
    f"{BATCH * BATCHES:,} no-op calls in batches of {BATCH:,} that are dropped: growth of PSS, the worst engine",
    KnowsProcesses,
    run,
    bars=(
        Bar("growth of the controller, MB", "controller_grows_mb", 50),
        Bar("growth of the client, MB", "client_grows_mb", 50),
        Bar("growth of the worst engine, MB", "engine_grows_mb", 50),
    ),
    rounds=1,
)
