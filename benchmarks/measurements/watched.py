"""What a view costs the controller that follows a client's calls from their beginning to their end."""

from __future__ import annotations

import time

import psutil

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.with_nbcluster import Driver
from nbcluster.core.board import Board

COUNT = 100_000
PAIRS = 10
SETTLE = 1.5
"""Seconds between two: labels that have rested count anew, and what was let go of is gone everywhere."""


def run(system: System, run_id: str) -> Samples:
    """Submit and gather, watched and unwatched in turn; the first one warms up."""
    assert isinstance(system, Driver)
    system.start(2)
    (controller,) = system.pids()["controller"]
    meter = psutil.Process(controller)
    samples: Samples = {"unwatched_cpu_s": [], "watched_cpu_s": [], "boards_count": []}
    _once(system, meter, samples, watched=False)
    samples["unwatched_cpu_s"].clear()
    for number in range(PAIRS):
        for watched in (False, True) if number % 2 else (True, False):
            _once(system, meter, samples, watched=watched)
    system.stop()
    pairs = zip(samples["watched_cpu_s"], samples["unwatched_cpu_s"], strict=True)
    return {**samples, "ratio_count": [with_it / without for with_it, without in pairs]}


def _once(system: Driver, meter: psutil.Process, samples: Samples, *, watched: bool) -> None:
    boards: list[Board] = []
    if watched:
        system.cluster.watch(boards.append)
    before = meter.cpu_times()
    system.gather(system.submit(COUNT))
    if watched:
        assert system.cluster.unwatch(boards.append).bars[0].done == COUNT
        samples["boards_count"].append(len(boards))
    after = meter.cpu_times()
    spent = after.user + after.system - before.user - before.system
    samples["watched_cpu_s" if watched else "unwatched_cpu_s"].append(spent)
    time.sleep(SETTLE)


MEASUREMENT = Measurement(
    "watched",
    f"CPU of the controller for {COUNT:,} no-op calls, with a view that reads everything and without, {PAIRS} pairs",
    Driver,
    run,
    bars=(Bar("CPU of the controller, watched to unwatched, by pairs", "ratio_count", 1.05),),
    only=frozenset({"nbcluster"}),
    rounds=1,
)
