"""Writes seconds as people read them. Knows no clock."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return how long something took.

    Examples
    --------
    >>> duration(0.25)
    '250 ms'
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
