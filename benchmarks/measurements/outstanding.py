"""What a call costs while few and while many others wait."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System
from benchmarks.systems.calls import Holds

TURNS = {1_000: 9, 10_000: 5, 100_000: 1}
"""How often each number of waiting calls is measured: short ones are noisy."""
WAIT = 60.0


def run(system: System, run_id: str) -> Samples:
    """Submit while both engines are occupied, so that all wait at once; let go; gather."""
    assert isinstance(system, Holds)
    system.start(2)
    system.gather(system.submit(1_000))
    samples: Samples = {}
    for count, turns in TURNS.items():
        walls, cpus = zip(*(once(system, run_id, count) for _ in range(turns)), strict=True)
        samples[f"each_of_{count}_us"] = list(walls)
        samples[f"each_of_{count}_cpu_us"] = [sum(cpus) / turns]  # counted in ticks of 10 ms
    system.stop()
    costs = [median(samples[f"each_of_{count}_us"]) for count in TURNS]
    samples["dearest_to_cheapest_x"] = [max(costs) / min(costs)]
    return samples


def once(system: Holds, run_id: str, count: int) -> tuple[float, float]:
    """Return microseconds a call from the first submit to the last result: wall, and CPU of all processes."""
    with tempfile.TemporaryDirectory(prefix="nbcb", dir="/tmp") as top:
        free = Path(top) / "free"
        held = system.hold(2, str(free))
        until = time.monotonic() + WAIT
        while len(list(Path(top).iterdir())) < 2:
            assert time.monotonic() < until, "the engines were not occupied"
            time.sleep(0.002)
        cpu = cpu_seconds(run_id)
        begun = time.perf_counter()
        handles = system.submit(count)
        free.touch()
        system.gather(handles)
        took = time.perf_counter() - begun
        used = cpu_seconds(run_id) - cpu
        assert len(set(system.gather(held))) == 2, "one engine was held twice"
    return took / count * 1e6, used / count * 1e6


MEASUREMENT = Measurement(
    "outstanding",
    "cost of a no-op call with 1,000, 10,000 and 100,000 outstanding, 2 engines",
    Holds,
    run,
    bars=(Bar("cost per call, dearest to cheapest of 1,000, 10,000, 100,000", "dearest_to_cheapest_x", 1.5),),
    rounds=3,
)
