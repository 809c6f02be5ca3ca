"""How long an interrupt takes to end a loop, a sleep and an await, and whether the engine keeps its names."""

from __future__ import annotations

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import ENDLESS, Interrupts, System

TIMES = {"nbcluster": 100}
"""How often each kind is interrupted; peers, of which some hang, five times."""
PATIENCE = 10.0
GIVE_UP_AFTER = 2
"""Interrupts without effect after which a kind is not tried again."""


def run(system: System, run_id: str) -> Samples:
    """Interrupt each kind of cell again and again, on the same engine."""
    assert isinstance(system, Interrupts)
    samples: Samples = {"lost_state": [0.0]}
    system.start(1)
    for kind, code in ENDLESS.items():
        delays: list[float] = []
        failures = 0
        for turn in range(TIMES.get(system.name, 5)):
            system.remember(turn)
            delay = system.interrupt_delay(code, PATIENCE)
            if delay is None:
                failures += 1
            else:
                delays.append(delay)
            samples["lost_state"][0] += system.recall() != turn
            if failures >= GIVE_UP_AFTER:
                break
        samples[f"{kind}_failed"] = [float(failures)]
        if delays:
            samples[f"{kind}_s"] = delays
            samples[f"{kind}_worst_s"] = [max(delays)]
    system.stop()
    return samples


MEASUREMENT = Measurement(
    "interrupt",
    "interrupt of a pure-Python cell, of sleep, of await (nbcluster: 100 each; others: 5 each)",
    Interrupts,
    run,
    bars=(
        *(Bar(f"interrupt of {kind}, median", f"{kind}_s", 0.3) for kind in ENDLESS),
        *(Bar(f"interrupts of {kind} without effect", f"{kind}_failed", 0) for kind in ENDLESS),
        Bar("interrupts that lost the state", "lost_state", 0),
    ),
    rounds=1,
)
