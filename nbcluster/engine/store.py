"""The values that this engine keeps for the cluster, pickled, by task. Knows no sockets and never unpickles.

Pickled, because a value that is kept as an object would change with the namespace that also holds it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from msgspec import Struct

from nbcluster.protocol.calls import KEPT_BY_CONTROLLER

Buffer = bytes | memoryview


class Kept(Struct, frozen=True):
    """One value: its pickle and its out-of-band buffers, or the envelope that says where they are shared."""

    payload: bytes
    buffers: tuple[Buffer, ...] = ()
    lease: object = None
    """What keeps shared memory from being used again, as long as it lives."""
    shared: int = 0
    """Bytes in shared memory."""

    @property
    def nbytes(self) -> int:
        """Bytes of the pickle and its buffers."""
        return self.shared or len(self.payload) + sum(len(buffer) for buffer in self.buffers)

    @property
    def envelope(self) -> bytes | None:
        """What can be told in its place; None where it is not shared, or its pickle is long."""
        return self.payload if self.shared and len(self.payload) <= KEPT_BY_CONTROLLER else None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Lengths of the buffers."""
        return tuple(len(buffer) for buffer in self.buffers)


class Store:
    """Values by task; each thread may ask."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._lock = threading.Lock()
        self._nbytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self._nbytes

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, task: str, value: Kept) -> None:
        """Keep a value until it is dropped; a later attempt's takes the place of an earlier one's."""
        with self._lock:
            before = self._kept.get(task)
            self._kept[task] = value
            self._nbytes += value.nbytes - (before.nbytes if before is not None else 0)

    def get(self, task: str) -> Kept | None:
        """Return a value, None when it is not here."""
        return self._kept.get(task)

    def drop(self, tasks: Iterable[str]) -> None:
        """Let values go; those that are not here are passed over."""
        with self._lock:
            for task in tasks:
                value = self._kept.pop(task, None)
                if value is not None:
                    self._nbytes -= value.nbytes
