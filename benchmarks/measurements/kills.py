"""From kill -9 of an engine to its successor's answer."""

from __future__ import annotations

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import Heals, System

TIMES = 3


def run(system: System, run_id: str) -> Samples:
    """Kill one of two engines a few times, each time when it answers again."""
    assert isinstance(system, Heals)
    system.start(2)
    system.do_nothing(2)
    delays = [system.kill_delay() for _ in range(TIMES)]
    system.stop()
    return {"answers_again_s": delays}


MEASUREMENT = Measurement(
    "kill",
    "kill -9 to the engine answering again",
    Heals,
    run,
    bars=(Bar("kill -9 to the engine answering again, median", "answers_again_s", 2.0),),
)
