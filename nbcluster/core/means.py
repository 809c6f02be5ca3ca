"""How long calls of each function have taken. Knows digests and seconds; knows no calls."""

from __future__ import annotations

UNKNOWN = 1.0
"""Seconds that a call of a function is expected to take of which none has ended yet."""

_MEMORY = 20
"""So many calls back the mean reaches, about: what a function does may change."""

_LIMIT = 4096
"""Functions that are remembered."""


class Means:
    """A running mean for each of the functions that were called last."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, list[float]] = {}
        """The mean, and of how many."""

    def expected(self, function: str) -> float:
        """Seconds that a call of this function is expected to take."""
        known = self._known.get(function)
        return UNKNOWN if known is None else known[0]

    def learn(self, function: str, seconds: float) -> None:
        """A call of this function took so long."""
        known = self._known.get(function)
        if known is None:
            if len(self._known) >= _LIMIT:
                del self._known[next(iter(self._known))]
            self._known[function] = [seconds, 1]
            return
        if known[1] < _MEMORY:
            known[1] += 1
        known[0] += (seconds - known[0]) / known[1]

    def learn_at_least(self, function: str, seconds: float) -> None:
        """A call of this function has taken so long and has not ended."""
        known = self._known.get(function)
        if known is not None and known[0] < seconds:
            self.learn(function, seconds)
