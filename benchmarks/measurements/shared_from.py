"""Arrays of several sizes, sent in messages and through shared memory: where one becomes quicker than the other."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.measurements.base import Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System
from benchmarks.systems.values import SharesOrSends

SIZES = (80, 128, 256, 512, 1024, 2048, 4096)
"""In KiB; what has less than 64 rides within the message."""

NEVER = 1 << 60
TURNS = 4
REPEATS = 30


def run(system: System, run_id: str) -> Samples:
    """Each size, each way, in turns: shared against sent, as ratios, and CPU seconds of all processes likewise."""
    import numpy

    assert isinstance(system, SharesOrSends)
    system.start(2)
    samples: Samples = {}
    for kib in SIZES:
        array = numpy.ones(kib * 128)
        ways = {
            "argument": lambda array=array: system.use_here(array),
            "result": lambda array=array: system.return_array(array.size),
            "push": lambda array=array: system.spread(array),
        }
        walls: dict[tuple[str, bool], list[float]] = {}
        cpus: dict[tuple[str, bool], float] = {}
        for _ in range(TURNS):
            for shared in (False, True):
                system.share_from(1 if shared else NEVER)
                for way, go in ways.items():
                    go()
                    before = cpu_seconds(run_id)
                    for _ in range(REPEATS):
                        begun = time.perf_counter()
                        go()
                        walls.setdefault((way, shared), []).append(time.perf_counter() - begun)
                    cpus[way, shared] = cpus.get((way, shared), 0.0) + cpu_seconds(run_id) - before
        for way in ways:
            samples[f"{way}_{kib}k_shared_of_sent"] = [median(walls[way, True]) / median(walls[way, False])]
            samples[f"{way}_{kib}k_cpu_of_sent"] = [cpus[way, True] / max(cpus[way, False], 0.01)]
    system.stop()
    return samples


MEASUREMENT = Measurement(
    "shared_from",
    "arrays through shared memory, as a share of what they take in messages",
    SharesOrSends,
    run,
    rounds=2,
)
