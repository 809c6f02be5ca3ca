"""Estimates how large values are, without pickling them. Knows no pickles."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

HUGE = 16 << 20
"""Bytes from which on a value that is sent is worth a warning."""

_SAMPLE = 64
_DEPTH = 4


def approximate_size(value: Any, depth: int = _DEPTH) -> int:
    """Return about how many bytes a value takes, as its pickle would: containers are estimated from a sample."""
    match value:
        case bytes() | bytearray() | str():
            return len(value)
        case memoryview():
            return value.nbytes
        case type():
            return 64
        case _:
            known = _told(value)
    if known is not None:
        return known
    if depth == 0:
        return 16
    match value:
        case dict():
            sample = list(islice(value.items(), _SAMPLE))
            return _extrapolate([each for pair in sample for each in pair], len(sample), len(value), depth)
        case list() | tuple() | set() | frozenset():
            items = list(islice(value, _SAMPLE))
            return _extrapolate(items, len(items), len(value), depth)
        case _:
            attributes = getattr(value, "__dict__", None)
            if isinstance(attributes, dict) and not callable(value):
                return 16 + approximate_size(attributes, depth - 1)
            return 16


def huge(values: Mapping[str, Any], limit: int = HUGE) -> list[tuple[str, int]]:
    """Return names and sizes of the values over a limit, the largest first."""
    sizes = ((name, approximate_size(value)) for name, value in values.items())
    return sorted(((name, size) for name, size in sizes if size > limit), key=lambda pair: -pair[1])


def readable(size: int) -> str:
    """Return a size as people read it."""
    if size < 1 << 20:
        return f"{size / 1024:.3g} KiB"
    if size < 1 << 30:
        return f"{size / (1 << 20):.4g} MiB"
    return f"{size / (1 << 30):.4g} GiB"


def _extrapolate(items: list[Any], sampled: int, count: int, depth: int) -> int:
    if not sampled:
        return 16
    return 16 + sum(approximate_size(item, depth - 1) for item in items) * count // sampled


def _told(value: Any) -> int | None:
    """What a value says of itself, as arrays and data frames do."""
    kind = type(value)
    try:
        if hasattr(kind, "nbytes"):
            told = value.nbytes
        elif hasattr(kind, "memory_usage"):
            told = value.memory_usage(index=True)
            told = told.sum() if hasattr(told, "sum") else told
        else:
            return None
        return int(told)
    except Exception:  # a foreign property may do anything: its size is unknown then
        return None
