"""Whether an engine that died is started again. Knows times of death; knows no clock and no engines."""

from __future__ import annotations

from collections.abc import Sequence

LIMIT = 5
"""So many deaths within the window are borne; one more and the engine has failed."""

WINDOW = 60.0
"""Seconds."""


def recent(deaths: Sequence[float], now: float) -> list[float]:
    """The deaths that still count, this one included. Older ones need not be remembered."""
    return [*(at for at in deaths if now - at < WINDOW), now]


def is_too_many(deaths: Sequence[float]) -> bool:
    """Whether an engine with these recent deaths is better left alone."""
    return len(deaths) > LIMIT
