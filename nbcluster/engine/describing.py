"""What can be said of a value at once: its type, shape and size. Knows no namespaces, and runs no code of users.

Looked up by type in a table, so that a value whose properties are slow, or raise, is named and left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from nbcluster.protocol.tasks import NameInfo

PREVIEW = 60
"""Characters of a preview."""

SIZED = (str, bytes, bytearray, list, tuple, dict, set, frozenset, range)
PLAIN = (bool, int, float, complex, type(None), str, bytes)
DIGITS = 256
"""Bits of an integer that is shown: the text of a longer one takes long to make."""

Shape = tuple[int, ...]
Look = Callable[[Any], tuple[Shape | None, int | None]]


# Not `kind.__mro__` and so on: a metaclass may have its own.
_bases_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_module_of: Callable[[type], str] = type.__dict__["__module__"].__get__
_title_of: Callable[[type], str] = type.__dict__["__qualname__"].__get__


def describe(name: str, value: Any, digest: str = "") -> NameInfo:
    """Say of a variable what can be said without running any code of its value."""
    kind = type(value)
    shape, nbytes = _measure(value, kind)
    return NameInfo(name, _name_of(kind), shape, nbytes, digest, _preview(value, kind))


def _name_of(kind: type) -> str:
    package = str(_module_of(kind)).partition(".")[0]
    title = _title_of(kind)
    return title if package in ("builtins", "__main__") else f"{package}.{title}"


def _measure(value: Any, kind: type) -> tuple[Shape | None, int | None]:
    if kind in SIZED:
        return (len(value),), sys.getsizeof(value)
    if kind in PLAIN:
        return None, sys.getsizeof(value)
    look = _find_look(kind)
    if look is None:
        return None, None
    try:
        return look(value)
    except Exception:  # it may change under our eyes, and what is asked is optional
        return None, None


def _find_look(kind: type) -> Look | None:
    for base in _bases_of(kind):
        module, title = str(_module_of(base)), _title_of(base)
        look = _LOOKS.get((module, title))
        if look is not None and getattr(sys.modules.get(module.partition(".")[0]), title, None) is base:
            return look
    return None


def _array(value: Any) -> tuple[Shape, int]:
    array = sys.modules["numpy"].ndarray
    return array.shape.__get__(value), array.nbytes.__get__(value)


def _scalar(value: Any) -> tuple[Shape, int]:
    generic = sys.modules["numpy"].generic
    return (), generic.nbytes.__get__(value)


def _frame(value: Any) -> tuple[Shape, int]:
    frame = sys.modules["pandas"].DataFrame
    return frame.shape.__get__(value), int(frame.memory_usage(value, deep=False).sum())


def _series(value: Any) -> tuple[Shape, int]:
    series = sys.modules["pandas"].Series
    return series.shape.__get__(value), int(series.memory_usage(value, deep=False))


def _index(value: Any) -> tuple[Shape, int]:
    index = sys.modules["pandas"].Index
    return index.shape.__get__(value), int(index.memory_usage(value, deep=False))


_LOOKS: dict[tuple[str, str], Look] = {
    ("numpy", "ndarray"): _array,
    ("numpy", "generic"): _scalar,
    ("pandas.core.frame", "DataFrame"): _frame,
    ("pandas.core.series", "Series"): _series,
    ("pandas.core.indexes.base", "Index"): _index,
    ("pandas", "DataFrame"): _frame,
    ("pandas", "Series"): _series,
    ("pandas", "Index"): _index,
}
"""By module and name of a type as the type says it; pandas 3 says "pandas"."""


def _preview(value: Any, kind: type) -> str:
    if kind not in PLAIN:
        return ""
    if kind is int and value.bit_length() > DIGITS:
        return ""
    if kind in (str, bytes):
        shown = repr(value[: PREVIEW + 1])
        return shown if len(value) <= PREVIEW and len(shown) <= PREVIEW + 3 else f"{shown[:PREVIEW]}…"
    return repr(value)
