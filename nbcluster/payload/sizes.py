"""How large values are, estimated without pickling them, and sizes as people read and write them. Knows no pickles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from math import isfinite
from types import ModuleType
from typing import Any

from nbcluster.errors import UsageError

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
        case type() | ModuleType():  # goes by its name
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
    if size < 1 << 10:
        return f"{size} bytes"
    if size < 1 << 20:
        return f"{size / 1024:.3g} KiB"
    if size < 1 << 30:
        return f"{size / (1 << 20):.4g} MiB"
    return f"{size / (1 << 30):.4g} GiB"


_UNITS = {
    "": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "t": 10**12, "tb": 10**12,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}  # fmt: skip

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]*)\s*")

LEAST_MEMORY = 100_000_000
"""Bytes below which a limit cannot be meant: an engine with numpy has most of them before its first call."""


def parse_size(text: str) -> int | None:
    """Return the bytes that a text such as "2GB", "512 MiB" or "1.5g" means; None when it means none.

    Examples
    --------
    >>> parse_size("2GB"), parse_size("1.5 KiB"), parse_size("many")
    (2000000000, 1536, None)
    """
    found = _SIZE.fullmatch(text)
    unit = _UNITS.get(found[2].lower()) if found else None
    return None if found is None or unit is None else int(float(found[1]) * unit)


def parse_memory_limit(limit: float | str | None) -> int | None:
    """Return a limit in bytes; 0 for "none" or 0, which is no limit, and None for None, a share of the host.

    Raises
    ------
    UsageError
        When it cannot be meant.
    """
    if limit is None:
        return None
    if limit in ("none", 0) and limit is not False:
        return 0
    nbytes = parse_size(limit) if isinstance(limit, str) else None
    if isinstance(limit, int | float) and not isinstance(limit, bool) and isfinite(limit):
        nbytes = int(limit)
    if nbytes is None or nbytes < LEAST_MEMORY:
        why = "" if nbytes is None else f"an engine alone needs much of {LEAST_MEMORY // 10**6}MB, so "
        raise UsageError(
            f"memory_limit={limit!r} cannot be: {why}give bytes or a text such as '2GB' or '512MiB', at least "
            f"{LEAST_MEMORY // 10**6}MB, or 'none' for no limit"
        )
    return nbytes


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
