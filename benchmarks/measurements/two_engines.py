"""The round trip of a cell of `pass` on two engines at once."""

from __future__ import annotations

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.measurements.round_trips import round_trips
from benchmarks.systems.base import System


def run(system: System, run_id: str) -> Samples:
    """Repeat `pass` on two of two engines."""
    return round_trips(system, run_id, engines=2)


MEASUREMENT = Measurement(
    "pass2",
    "`pass` on two engines (dask, ray: an empty function)",
    System,
    run,
    bars=(
        Bar("`pass` on two engines, CPU, against ipyparallel", "cpu_ms", 0.55, "ipyparallel"),
        Bar("`pass` on two engines, wall, against ipyparallel", "wall_ms", 0.5, "ipyparallel"),
    ),
    only=frozenset({"nbcluster", "ipyparallel", "dask", "ray"}),
)
