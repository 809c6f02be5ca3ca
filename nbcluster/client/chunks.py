"""Chooses how many items of a map go into one call, by what the calls before took. Knows no calls and no clocks."""

from __future__ import annotations

TARGET = 0.03
"""Seconds that a chunk should take: long against the cost of a call, short against a person's patience."""

LEAST = 0.003
"""Seconds that a chunk takes at least, however few items are left: engines that end so far apart end together."""

GROWTH = 8
"""A chunk is at most so many times as large as the largest that was measured."""

MOST_ITEMS = 50_000
MOST_BYTES = 1 << 20
"""Bytes of arguments that a chunk should have at most; an item alone may have more."""

MEMORY = 0.7
"""Weight of what was known before against the latest measurement."""


class ChunkSizer:
    """Sizes of chunks.

    Parameters
    ----------
    fixed : int or None
        The size that the user chose.
    total : int or None
        Items in all, where it is known: towards the end chunks get smaller, so that engines end together.
    """

    def __init__(self, fixed: int | None = None, total: int | None = None) -> None:
        self._fixed = fixed
        self._left = total
        self._measured = 0
        self._seconds: float | None = None
        self._bytes = 0.0

    @property
    def seconds(self) -> float | None:
        """Seconds that an item takes, None when it is not known yet."""
        return self._seconds

    @property
    def is_growing(self) -> bool:
        """Whether chunks would be larger if larger ones had been measured."""
        if self._fixed is not None:
            return False
        return self._seconds is None or self._measured * GROWTH < min(
            TARGET / max(self._seconds, 1e-9), MOST_ITEMS
        )

    def next(self, engines: int) -> int:
        """Return how many items the next chunk should have."""
        if self._fixed is not None:
            return self._fixed
        if self._seconds is None:
            return 1
        size = int(TARGET / max(self._seconds, 1e-9))
        size = min(size, self._measured * GROWTH, MOST_ITEMS)
        if self._bytes:
            size = min(size, int(MOST_BYTES / self._bytes))
        if self._left is not None:
            share = self._left // (2 * max(1, engines))
            size = min(size, max(share, int(LEAST / max(self._seconds, 1e-9))))
        return max(1, size)

    def drawn(self, count: int, nbytes: int) -> None:
        """So many items were drawn, and their arguments took so many bytes."""
        self._bytes = nbytes / count
        if self._left is not None:
            self._left = max(0, self._left - count)

    def measured(self, count: int, seconds: float) -> None:
        """A chunk of so many items ran so long."""
        each = seconds / count
        if self._seconds is None or count >= self._measured * 2:
            self._seconds = each  # what was measured on few items says little
        else:
            self._seconds = MEMORY * self._seconds + (1 - MEMORY) * each
        self._measured = max(self._measured, count)
