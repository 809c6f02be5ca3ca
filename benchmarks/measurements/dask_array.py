"""An array of Dask in many chunks: the same graph through Dask's scheduler and through `cluster.get`."""

from __future__ import annotations

import math
import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System
from benchmarks.systems.calls import ComputesArrays

CHUNKS = (40, 50)
TURNS = 5


def run(system: System, run_id: str) -> Samples:
    """Compute a few times; the first one warms up."""
    assert isinstance(system, ComputesArrays)
    system.start(2)
    system.compute_array(*CHUNKS)
    walls = []
    cpu = cpu_seconds(run_id)
    for _ in range(TURNS):
        begun = time.perf_counter()
        found = system.compute_array(*CHUNKS)
        walls.append(time.perf_counter() - begun)
        assert math.isclose(found, math.sqrt(1 / 12), rel_tol=0.01), found
    used = cpu_seconds(run_id) - cpu
    system.stop()
    return {"total_s": walls, "cpu_s": [used / TURNS]}


MEASUREMENT = Measurement(
    "daskarray",
    f"dask.array of {math.prod(CHUNKS):,} chunks, (x - x.mean(axis=0)).std(), 2 engines",
    ComputesArrays,
    run,
    bars=(Bar("dask.array of 2,000 chunks, wall, against dask.distributed", "total_s", 1.0, "dask"),),
)
