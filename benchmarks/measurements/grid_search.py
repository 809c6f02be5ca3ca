"""scikit-learn's GridSearchCV through joblib: on a cluster and in loky's processes."""

from __future__ import annotations

import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System
from benchmarks.systems.calls import Searches

TURNS = 3


def run(system: System, run_id: str) -> Samples:
    """Search a few times; the first one warms up, since engines import scikit-learn in it."""
    assert isinstance(system, Searches)
    system.start(2)
    system.grid_search()
    walls = []
    cpu = cpu_seconds(run_id)
    for _ in range(TURNS):
        begun = time.perf_counter()
        score = system.grid_search()
        walls.append(time.perf_counter() - begun)
        assert score > 0.7, score
    used = cpu_seconds(run_id) - cpu
    system.stop()
    return {"total_s": walls, "cpu_s": [used / TURNS]}


MEASUREMENT = Measurement(
    "gridsearch",
    "GridSearchCV through joblib: 40 fits on 1.4 MB, 2 engines",
    Searches,
    run,
    bars=(Bar("GridSearchCV, wall, against loky", "total_s", 1.0, "loky"),),
)
