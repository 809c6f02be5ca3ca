"""A pickle and its buffers as one row of bytes. Knows no sockets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from nbcluster.transport.frames import Buffer


class Parts:
    """What a value is sent from.

    Parameters
    ----------
    payload : bytes
    buffers : sequence of bytes-like
    """

    def __init__(self, payload: bytes, buffers: Sequence[Any]) -> None:
        self._parts = [memoryview(part).cast("B") for part in (payload, *buffers) if len(part)]
        self._ends = list(accumulate(map(len, self._parts)))
        self.nbytes = self._ends[-1] if self._ends else 0

    def piece(self, at: int, end: int) -> Buffer:
        """Return the bytes from one place to another: a view, or where they are of several parts a copy."""
        pieces = self.between(at, end)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def between(self, at: int, end: int) -> list[memoryview]:
        """Return the bytes from one place to another, where they lie."""
        pieces = []
        for part, last in zip(self._parts, self._ends, strict=True):
            first = last - len(part)
            if last > at and first < end:
                pieces.append(part[max(at, first) - first : min(end, last) - first])
        return pieces
