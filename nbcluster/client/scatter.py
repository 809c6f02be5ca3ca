"""Splits data into parts for engines and joins them: sequences, numpy arrays, pandas by rows. Knows no engines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from nbcluster.errors import UsageError


def split(data: Any, count: int, axis: int = 0) -> list[Any]:
    """Split data into parts that differ by at most one item in length.

    Parameters
    ----------
    data : sequence, numpy array, pandas DataFrame or Series
    count : int
    axis : int
        Of an array; a DataFrame is split by rows.

    Raises
    ------
    UsageError
        For what cannot be split so.
    """
    if _is_pandas(data):
        if axis != 0:
            raise UsageError(f"a {type(data).__name__} is scattered by rows: axis=0, not {axis}")
        return [data.iloc[begin:end] for begin, end in _bounds(len(data), count)]
    shape = getattr(data, "shape", None)
    if isinstance(shape, tuple):
        if not shape or not -len(shape) <= axis < len(shape):
            raise UsageError(f"an array of shape {shape} has no axis {axis} to be scattered along")
        place = axis % len(shape)
        before = (slice(None),) * place
        return [data[(*before, slice(begin, end))] for begin, end in _bounds(shape[place], count)]
    if axis != 0:
        raise UsageError(f"a {type(data).__name__} has one axis: axis=0, not {axis}")
    if not isinstance(data, Sequence):
        try:
            data = list(data)
        except TypeError as error:
            raise UsageError(
                f"a {type(data).__name__} cannot be scattered; give a sequence, an array or a DataFrame"
            ) from error
    return [data[begin:end] for begin, end in _bounds(len(data), count)]


def join(parts: Sequence[Any], axis: int = 0) -> Any:
    """Join parts in order: arrays along an axis, DataFrames by rows, others into a list.

    Raises
    ------
    UsageError
        When the parts do not fit together.
    """
    if not parts:
        return []
    first = parts[0]
    try:
        if _is_pandas(first):
            import pandas

            return pandas.concat(list(parts))
        if _is_array(first):
            import numpy

            return numpy.concatenate([numpy.asarray(part) for part in parts], axis=axis)
        if isinstance(first, str | bytes | bytearray):
            return type(first)().join(parts)
        return [item for part in parts for item in part]
    except (TypeError, ValueError) as error:
        kinds = ", ".join(dict.fromkeys(type(part).__name__ for part in parts))
        raise UsageError(
            f"the parts cannot be joined ({kinds}): {error}; `view[name]` gives them by engine"
        ) from error


def _is_pandas(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series | pandas.Index)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _bounds(length: int, count: int) -> list[tuple[int, int]]:
    size, longer = divmod(length, count)
    ends = [size * (at + 1) + min(at + 1, longer) for at in range(count)]
    return list(zip([0, *ends[:-1]], ends, strict=True))
