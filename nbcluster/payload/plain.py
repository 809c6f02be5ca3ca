"""Values of Python's own plain types as pickles that run no code when they are made or read. Knows no other pickles."""

from __future__ import annotations

import pickle
import sys
from io import BytesIO
from typing import Any


class NotPlain(Exception):
    """A value holds something else than plain data, or is too large."""


class _Pickler(pickle.Pickler):
    """Refuses what is not of a type that pickle has an opcode for."""

    def reducer_override(self, value: Any) -> Any:
        raise NotPlain(type(value).__name__)


class _Unpickler(pickle.Unpickler):
    """Refuses every global, so that nothing is called."""

    def find_class(self, module: str, name: str) -> Any:
        raise NotPlain(f"{module}.{name}")


def dump_plain(value: Any, limit: int) -> bytes:
    """Pickle plain data.

    Parameters
    ----------
    value : object
        Numbers, texts, bytes, None, and tuples, lists, dicts and sets of these.
    limit : int
        Bytes that the pickle may have.

    Raises
    ------
    NotPlain
        For anything else, and for more.

    Examples
    --------
    >>> load_plain(dump_plain({"a": [1, 2.5]}, 1000))
    {'a': [1, 2.5]}
    """
    if sys.getsizeof(value) > limit:
        raise NotPlain("too large")
    file = BytesIO()
    try:
        _Pickler(file, protocol=5).dump(value)
    except (RecursionError, RuntimeError) as error:  # too deep, or changed by a thread meanwhile
        raise NotPlain(str(error)) from error
    if file.tell() > limit:
        raise NotPlain("too large")
    return file.getvalue()


def load_plain(payload: bytes) -> Any:
    """Read what `dump_plain` wrote.

    Raises
    ------
    NotPlain
        When it names a global.
    """
    return _Unpickler(BytesIO(payload)).load()


PLAIN_TYPES = (int, float, str, bytes, bytearray, bool, type(None), tuple, list, dict, set, frozenset)


def is_plain_at_the_top(value: Any) -> bool:
    """Whether a value is of a plain type itself, whatever it holds."""
    return type(value) in PLAIN_TYPES
