"""An array of 256 MB that a call made: brought here, and used on another engine. Nobody can change it any more."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.values import ReturnsArrays

ITEMS = 32 << 20
TIMES = 5


def run(system: System, run_id: str) -> Samples:
    """Make one, bring it, use it elsewhere; let it go before the next."""
    assert isinstance(system, ReturnsArrays)
    system.start(2)
    samples = use_and_bring(system)
    system.stop()
    return samples


def use_and_bring(system: ReturnsArrays) -> Samples:
    """The times of a system that has started: to make an array, to use it on another engine, to bring it here."""
    system.use_elsewhere(system.make(1000))
    bring, use, make = [], [], []
    for _ in range(TIMES):
        begun = time.perf_counter()
        made = system.make(ITEMS)
        make.append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        assert system.use_elsewhere(made) == 1.0
        use.append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        array = system.bring(made)
        assert array[-1] == 1.0
        bring.append((time.perf_counter() - begun) * 1000)
        del made, array
    return {"make_ms": make, "bring_ms": bring, "use_elsewhere_ms": use}


MEASUREMENT = Measurement(
    "pull256",
    "256 MB that a call made on one engine of two, used on another and brought here: mapped",
    ReturnsArrays,
    run,
    bars=(
        Bar("256 MB brought here, wall, against ray", "bring_ms", 1.0, "ray"),
        Bar("256 MB used on another engine, wall, against ray", "use_elsewhere_ms", 1.0, "ray"),
    ),
    rounds=3,
)
