"""How long a printed line is on its way to the notebook side."""

from __future__ import annotations

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import PRINT, PRINT_MIDWAY, Prints, System


def run(system: System, run_id: str) -> Samples:
    """Print as the last thing of a cell, and in the middle of one."""
    assert isinstance(system, Prints)
    system.start(1)
    for _ in range(5):
        system.print_delay(PRINT)
    last = [system.print_delay(PRINT) * 1000 for _ in range(100)]
    midway = [system.print_delay(PRINT_MIDWAY) * 1000 for _ in range(8)]
    system.stop()
    return {"last_line_ms": last, "midway_ms": midway}


MEASUREMENT = Measurement(
    "print",
    "a printed line reaches the notebook side (at the end of a cell; in the middle of one)",
    Prints,
    run,
    bars=(
        Bar("a printed line, against a bare kernel", "last_line_ms", 1.5, "ipykernel"),
        Bar("a line in the middle of a cell, against a bare kernel", "midway_ms", 1.5, "ipykernel"),
    ),
)
