"""The round trip of a cell of `pass` on one engine."""

from __future__ import annotations

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.measurements.round_trips import round_trips
from benchmarks.systems.base import System


def run(system: System, run_id: str) -> Samples:
    """Repeat `pass` on one of one engine."""
    return round_trips(system, run_id, engines=1)


MEASUREMENT = Measurement(
    "pass1",
    "`pass` on one engine (dask, ray: an empty function)",
    System,
    run,
    bars=(Bar("`pass` on one engine, wall, against a bare kernel", "wall_ms", 1.1, "ipykernel"),),
)
