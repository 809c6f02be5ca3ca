"""What kill -9 of one engine costs the calls of all."""

from __future__ import annotations

import os
import signal
import threading
import time

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System
from benchmarks.systems.calls import KnowsProcesses, Survives

COUNT = 2_000
SECONDS = 0.01
ENGINES = 4
PATIENCE = 60.0


def run(system: System, run_id: str) -> Samples:
    """Run all undisturbed; run all again and kill one of the processes when half the time is over."""
    assert isinstance(system, Survives)
    system.start(ENGINES)
    system.gather(system.submit_naps(ENGINES * 5, SECONDS))
    begun = time.perf_counter()
    pids = set(system.gather(system.submit_naps(COUNT, SECONDS)))
    undisturbed = time.perf_counter() - begun
    victim = max(pids)
    back: list[float] = []
    killer = threading.Timer(undisturbed / 2, kill, (system, victim, back))
    cpu = cpu_seconds(run_id)
    begun = time.perf_counter()
    killer.start()
    ran_in = system.gather(system.submit_naps(COUNT, SECONDS))
    disturbed = time.perf_counter() - begun
    used = cpu_seconds(run_id) - cpu
    killer.join()
    assert len(ran_in) == COUNT
    assert disturbed > undisturbed / 2, "all was over before the kill"
    system.stop()
    samples: Samples = {
        "undisturbed_s": [undisturbed],
        "with_kill_s": [disturbed],
        "beyond_the_bar_s": [disturbed - (1.5 * undisturbed + 1.0)],
        "cpu_s": [used],
    }
    return {**samples, "engine_back_s": back} if back else samples


def kill(system: System, victim: int, back: list[float]) -> None:
    """Kill, and note the seconds until all engines are ready again, where a system tells."""
    os.kill(victim, signal.SIGKILL)
    begun = time.perf_counter()
    if not isinstance(system, KnowsProcesses):
        return
    while time.perf_counter() - begun < PATIENCE:
        engines = system.pids()["engine"]
        if len(engines) == ENGINES and victim not in engines:
            back.append(time.perf_counter() - begun)
            return
        time.sleep(0.02)


MEASUREMENT = Measurement(
    "killtasks",
    f"{COUNT:,} calls of {SECONDS * 1000:g} ms on {ENGINES} engines, kill -9 of one in the middle",
    Survives,
    run,
    bars=(
        Bar("with a kill: seconds beyond 1.5 of undisturbed plus 1 s", "beyond_the_bar_s", 0),
        Bar("the killed engine is back, seconds", "engine_back_s", PATIENCE),
    ),
    rounds=3,
)
