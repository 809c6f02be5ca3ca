"""What is measured, one file each, with the bars that nbcluster must reach."""

from __future__ import annotations

from benchmarks.measurements import (
    added_engines,
    idle,
    import_time,
    interrupts,
    kills,
    one_engine,
    printing,
    start,
    two_engines,
)
from benchmarks.measurements.base import Measurement

MEASUREMENTS: dict[str, Measurement] = {
    module.MEASUREMENT.name: module.MEASUREMENT
    for module in (
        start,
        added_engines,
        one_engine,
        two_engines,
        printing,
        interrupts,
        kills,
        idle,
        import_time,
    )
}
