"""Decides what an engine does about its memory: what goes to disk, what may stay, whether calls may begin. Pure.

Knows numbers of bytes; measures nothing, writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

SPILL_FROM = 0.7
"""Share of the limit from which on values go to disk."""

SPILL_TO = 0.6
"""Share of the limit down to which they go then, so that not every new value sets another one going."""

SMALLEST = 4096
"""Bytes of a value below which its file would cost more than it frees."""

RESERVE = 0.02
"""Share of the host's memory that is to stay available."""

RESERVE_LEAST = 64 << 20
RESERVE_MOST = 512 << 20


class Limits(Struct, frozen=True):
    """What an engine may use.

    `strict` tells a limit that the user gave, which holds whatever else the host has free, from a share of the host's
    memory that nobody asked for: exceeding that is refused only when the host runs out.
    """

    limit: int
    """Bytes; 0 for no limit."""
    strict: bool = False
    reserve: int = RESERVE_LEAST
    """Bytes that are to stay available on the host."""

    @property
    def spill_from(self) -> int:
        """Bytes in use from which on values go to disk."""
        return int(self.limit * SPILL_FROM)

    @property
    def spill_to(self) -> int:
        """Bytes in use down to which they go."""
        return int(self.limit * SPILL_TO)


class Use(Struct, frozen=True):
    """What is used. Bytes."""

    used: int
    """By this engine: its own memory, and the shared memory of its values."""
    available: int
    """On the host, or in what its control group leaves of it."""


def reserve_of(total: int) -> int:
    """Return the bytes that are to stay available of a host's memory."""
    return min(max(int(total * RESERVE), RESERVE_LEAST), RESERVE_MOST, total // 4)


def wants_relief(use: Use, limits: Limits) -> bool:
    """Whether values should go to disk."""
    return (limits.limit > 0 and use.used > limits.spill_from) or use.available < limits.reserve


def to_spill(use: Use, limits: Limits, values: Sequence[tuple[str, int]]) -> list[str]:
    """Return which values go to disk.

    Parameters
    ----------
    use : Use
    limits : Limits
    values : sequence of (str, int)
        Those in memory and their bytes, the least recently used first.

    Returns
    -------
    list of str
        No more than are needed, the least recently used first; all of some size when that is not enough.
    """
    if not wants_relief(use, limits):
        return []
    surplus = use.used - limits.spill_to if limits.limit else 0
    surplus = max(surplus, 2 * limits.reserve - use.available)
    chosen = []
    for name, nbytes in values:
        if surplus <= 0:
            break
        if nbytes >= SMALLEST:
            chosen.append(name)
            surplus -= nbytes
    return chosen


def has_room(use: Use, limits: Limits, nbytes: int) -> bool:
    """Whether a value may be kept in memory, rather than be written to disk at once."""
    return (not limits.limit or use.used + nbytes <= limits.limit) and not _drains(use, limits, nbytes)


def may_stay(use: Use, limits: Limits, nbytes: int) -> bool:
    """Whether a value that cannot be written to disk may be kept in memory all the same."""
    return not (limits.strict and use.used + nbytes > limits.limit) and not _drains(use, limits, nbytes)


def may_begin(use: Use, limits: Limits) -> bool:
    """Whether another call may begin: None of what it will need is known, so something must be left."""
    return may_stay(use, limits, 0)


def _drains(use: Use, limits: Limits, nbytes: int) -> bool:
    return use.available - nbytes < limits.reserve
