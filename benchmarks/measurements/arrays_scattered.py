"""An array of 1 GB cut into parts for four engines, and joined again."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.values import Scatters

ITEMS = 125_000_000
ENGINES = 4
TIMES = 3


def run(system: System, run_id: str) -> Samples:
    """Scatter and gather again and again."""
    import numpy

    assert isinstance(system, Scatters)
    system.start(ENGINES)
    array = numpy.arange(ITEMS, dtype="f8")
    scatter, gather, both = [], [], []
    for _ in range(TIMES):
        begun = time.perf_counter()
        parts = system.scatter(array)
        middle = time.perf_counter()
        came = system.gather_parts(parts)
        end = time.perf_counter()
        assert came.shape == array.shape
        assert came[-1] == array[-1]
        scatter.append(middle - begun)
        gather.append(end - middle)
        both.append(end - begun)
        del came, parts
    system.stop()
    return {"scatter_s": scatter, "gather_s": gather, "both_s": both}


MEASUREMENT = Measurement(
    "scatter1g",
    "1 GB scattered over 4 engines and gathered",
    Scatters,
    run,
    bars=(Bar("scatter and gather of 1 GB, wall, against dask (3 times)", "both_s", 1 / 3, "dask"),),
    rounds=3,
)
