"""What a view costs the controller that follows a client's calls from their beginning to their end."""

from __future__ import annotations

import time
from functools import partial

import psutil

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.with_nbcluster import Driver
from nbcluster.core.board import Board

BATCH = 100_000
"""Calls that are submitted before the first of them is looked at; then they are dropped."""

PAIRS = 10
SETTLE = 1.5
"""Seconds between two: labels that have rested count anew, and what was let go of is gone everywhere."""

TIME_LIMIT = 3600.0
"""Seconds: a million calls are made 21 times."""


def run(system: System, run_id: str, *, batches: int = 1) -> Samples:
    """Submit and gather, watched and unwatched in turn; the first one warms up."""
    assert isinstance(system, Driver)
    system.start(2)
    (controller,) = system.pids()["controller"]
    meter = psutil.Process(controller)
    samples: Samples = {"unwatched_cpu_s": [], "watched_cpu_s": [], "boards_count": []}
    _once(system, meter, samples, 1, watched=False)
    samples["unwatched_cpu_s"].clear()
    for number in range(PAIRS):
        for watched in (False, True) if number % 2 else (True, False):
            _once(system, meter, samples, batches, watched=watched)
    system.stop()
    pairs = zip(samples["watched_cpu_s"], samples["unwatched_cpu_s"], strict=True)
    return {**samples, "ratio_count": [with_it / without for with_it, without in pairs]}


def _once(system: Driver, meter: psutil.Process, samples: Samples, batches: int, *, watched: bool) -> None:
    boards: list[Board] = []
    if watched:
        system.cluster.watch(boards.append)
    before = meter.cpu_times()
    for _ in range(batches):
        system.gather(system.submit(BATCH))
    if watched:
        done = system.cluster.unwatch(boards.append).bars[0].done
        assert done >= BATCH
        assert done % BATCH == 0, f"{done:,} of {batches * BATCH:,} are told of as done"
        samples["boards_count"].append(len(boards))
    after = meter.cpu_times()
    spent = after.user + after.system - before.user - before.system
    samples["watched_cpu_s" if watched else "unwatched_cpu_s"].append(spent)
    time.sleep(SETTLE)


def _measurement(name: str, batches: int) -> Measurement:
    return Measurement(
        name,
        f"CPU of the controller for {batches * BATCH:,} no-op calls, with a view that reads everything and without, "
        f"{PAIRS} pairs",
        Driver,
        partial(run, batches=batches),
        bars=(Bar("CPU of the controller, watched to unwatched, by pairs", "ratio_count", 1.05),),
        only=frozenset({"nbcluster"}),
        rounds=1,
        time_limit=TIME_LIMIT,
    )


MEASUREMENT = _measurement("watched", 1)
MILLION = _measurement("watched_million", 10)
