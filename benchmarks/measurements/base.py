"""What a measurement and a bar are. Knows no system."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.systems.base import System

Samples = dict[str, list[float]]
"""Figures of one run by their name; every name ends in its unit (`_s`, `_ms`, `_mb`) or counts."""


@dataclass(frozen=True)
class Bar:
    """A figure of nbcluster must be at most `limit`, or `limit` times the same figure of another system."""

    what: str
    figure: str
    limit: float
    against: str | None = None


@dataclass(frozen=True)
class Measurement:
    """One question to a system that has the features of `needs`.

    `run` gets a driver that was not started and the id of the run, returns samples, stops what it starts.
    """

    name: str
    title: str
    needs: Any
    run: Callable[[System, str], Samples]
    bars: tuple[Bar, ...] = ()
    only: frozenset[str] = frozenset()
    """Systems that are asked; all when empty."""
    rounds: int | None = None
    """How often at most, where once takes long."""
    time_limit: float = 600.0
    """Seconds that once may take."""


@dataclass(frozen=True)
class Verdict:
    """What became of a bar."""

    bar: Bar
    value: float
    """The figure, or the ratio."""

    @property
    def is_met(self) -> bool:
        """Return whether the bar is reached."""
        return self.value <= self.bar.limit


def judge(bar: Bar, medians: Mapping[str, Mapping[str, float]], ours: str = "nbcluster") -> Verdict | None:
    """Hold a bar against medians by system and figure; None when a figure that it needs was not measured."""
    figure = medians.get(ours, {}).get(bar.figure)
    if figure is None:
        return None
    if bar.against is None:
        return Verdict(bar, figure)
    other = medians.get(bar.against, {}).get(bar.figure)
    return None if not other else Verdict(bar, figure / other)
