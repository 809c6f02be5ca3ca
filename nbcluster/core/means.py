"""How long calls of each function have taken. Knows digests and seconds; knows no calls."""

from __future__ import annotations

UNKNOWN = 1.0
"""Seconds that a call of a function is expected to take of which none has ended yet."""

_MEMORY = 20
"""So many calls back the mean reaches, about: what a function does may change."""

_LIMIT = 4096
"""Functions that are remembered."""


class Mean:
    """A running mean of what calls of one function took.

    Attributes
    ----------
    seconds : float
        What a call is expected to take.
    is_guess : bool
        None has ended yet.
    """

    __slots__ = ("_count", "is_guess", "seconds")

    def __init__(self) -> None:
        self.seconds = UNKNOWN
        self.is_guess = True
        self._count = 0

    def learn(self, seconds: float) -> None:
        """A call took so long."""
        count = self._count
        if count < _MEMORY:
            self._count = count = count + 1
            self.is_guess = False
        self.seconds += (seconds - self.seconds) / count

    def learn_at_least(self, seconds: float) -> None:
        """A call has taken so long and has not ended."""
        if not self.is_guess and self.seconds < seconds:
            self.learn(seconds)


class Means:
    """The means of the functions that were called last."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Mean] = {}

    def of(self, function: str) -> Mean:
        """The mean of a function, by its digest."""
        mean = self._known.get(function)
        if mean is None:
            if len(self._known) >= _LIMIT:
                del self._known[next(iter(self._known))]
            mean = self._known[function] = Mean()
        return mean
