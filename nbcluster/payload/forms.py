"""What is said of an array in place of its items, and what arrays one behind the other make. Knows no bytes."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_KINDS = frozenset("biufcmMSU")
"""Of types whose items are their bytes and whose name says all of them."""


@dataclass(frozen=True)
class Form:
    """Type and shape of an array whose items lie one behind the other, the last axis first."""

    dtype: str
    """As numpy writes it: ``<f8``."""
    shape: tuple[int, ...]
    itemsize: int

    @property
    def nbytes(self) -> int:
        """Bytes of all items."""
        return math.prod(self.shape) * self.itemsize


def form_of(value: Any, least: int) -> Form | None:
    """Return the form of an array that has so many bytes at least; None for anything else.

    Examples
    --------
    >>> form_of(numpy.zeros((2, 3)), 1)
    Form(dtype='<f8', shape=(2, 3), itemsize=8)
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray or value.nbytes < least or not value.ndim:
        return None
    if not value.flags.c_contiguous or value.dtype.kind not in _KINDS:
        return None
    return Form(value.dtype.str, tuple(value.shape), value.itemsize)


def joined(forms: Sequence[Form]) -> Form | None:
    """Return the form of arrays one behind the other along their first axis; None when they do not fit."""
    first = forms[0]
    if any((each.dtype, each.shape[1:]) != (first.dtype, first.shape[1:]) for each in forms):
        return None
    return Form(first.dtype, (sum(each.shape[0] for each in forms), *first.shape[1:]), first.itemsize)
