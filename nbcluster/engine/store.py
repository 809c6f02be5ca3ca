"""The values that this engine keeps for the cluster, pickled, by task. Knows no sockets and never unpickles.

Pickled, because a value that is kept as an object would change with the namespace that also holds it.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable
from enum import Enum

from msgspec import Struct

from nbcluster.protocol.calls import KEPT_BY_CONTROLLER

Buffer = bytes | memoryview


class Where(Enum):
    """Where the bytes of a value are."""

    HERE = "in this process"
    SEGMENT = "in shared memory that this engine has filled"
    ADOPTED = "in shared memory that a client has filled"
    FILE = "in a file of what is shared, where there is no memory to share"
    DISK = "in a file on disk, for want of memory"


IN_MEMORY = (Where.HERE, Where.SEGMENT, Where.ADOPTED)


class Kept(Struct, frozen=True):
    """One value: its pickle and its out-of-band buffers, or the envelope that says in which file they are."""

    payload: bytes
    buffers: tuple[Buffer, ...] = ()
    lease: object = None
    """What keeps the file from being used again, as long as it lives."""
    shared: int = 0
    """Bytes in the file."""
    where: Where = Where.HERE

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
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        """The least recently used first."""
        self._lock = threading.Lock()
        self._nbytes: Counter[Where] = Counter()

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return sum(self._nbytes.values())

    @property
    def on_disk(self) -> int:
        """Bytes of the values on disk."""
        return self._nbytes[Where.DISK]

    def bytes_in(self, *places: Where) -> int:
        """Bytes of the values that are in one of these places."""
        return sum(self._nbytes[place] for place in places)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, task: str, value: Kept) -> None:
        """Keep a value until it is dropped; a later attempt's takes the place of an earlier one's."""
        with self._lock:
            before = self._kept.pop(task, None)
            self._kept[task] = value
            self._count(before, value)

    def get(self, task: str) -> Kept | None:
        """Return a value, which counts as its use; None when it is not here."""
        with self._lock:
            found = self._kept.get(task)
            if found is not None:
                self._kept.move_to_end(task)
            return found

    def drop(self, tasks: Iterable[str]) -> None:
        """Let values go; those that are not here are passed over."""
        dropped = []  # what lets go of files runs without the lock
        with self._lock:
            for task in tasks:
                value = self._kept.pop(task, None)
                self._count(value, None)
                dropped.append(value)

    # -- for who moves values to disk ----------------------------------------------------------

    def in_memory(self) -> list[tuple[str, int]]:
        """Return the values that take memory and their bytes, the least recently used first."""
        with self._lock:
            return [(task, value.nbytes) for task, value in self._kept.items() if value.where in IN_MEMORY]

    def peek(self, task: str) -> Kept | None:
        """Return a value without using it; None when it is not here."""
        return self._kept.get(task)

    def replace(self, task: str, before: Kept, after: Kept) -> bool:
        """Put a value in the place of one that says the same; False when that is not here any more."""
        with self._lock:
            if self._kept.get(task) is not before:
                return False
            self._kept[task] = after
            self._count(before, after)
            return True

    def _count(self, before: Kept | None, after: Kept | None) -> None:
        if before is not None:
            self._nbytes[before.where] -= before.nbytes
        if after is not None:
            self._nbytes[after.where] += after.nbytes
