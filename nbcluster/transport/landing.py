"""Where the bytes of a large value are put as they come. Knows no sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbcluster.errors import NBClusterError
from nbcluster.payload.sizes import readable
from nbcluster.transport.frames import Buffer
from nbcluster.transport.spaces import Spaces

LARGE = 1 << 20
"""Bytes of a part that gets pages of its own."""

Value = tuple[bytes, Sequence[Buffer]]


class NotFetched(Exception):
    """A value could not be fetched directly; the text says why. The controller may still bring it."""

    def __init__(self, why: str, *, is_unreachable: bool = False) -> None:
        super().__init__(why)
        self.is_unreachable = is_unreachable
        """Whether nothing ever came from there."""


class Unwanted(Exception):
    """Nobody waits for the value any more."""


class Broken(Exception):
    """A connection ended, or could not be made."""


class Tampered(Broken):
    """What came over a connection is not what the other end sent."""


class Landing:
    """Where the bytes of one value are put. What is in it can be written to.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of the pickle and of each buffer.
    spaces : Spaces, optional
        Gives the memory of large parts.

    Raises
    ------
    NBClusterError
        When there is not so much memory.
    """

    def __init__(self, sizes: Sequence[int], spaces: Spaces | None = None) -> None:
        self._total = sum(sizes)
        take = (spaces or Spaces()).take
        try:
            self._parts = [_space_of(size, take) for size in sizes]
        except (MemoryError, OSError, ValueError, OverflowError) as error:
            raise NBClusterError(
                f"there is no memory here for a value of {readable(self._total)}: {error}; have a call on its engine "
                "make it smaller, or write a file"
            ) from error
        self._open = [part for part in reversed(self._parts) if len(part)]
        self.at = 0
        """Bytes that have come."""

    def __str__(self) -> str:
        return f"{readable(self.at)} of {readable(self._total)}"

    @property
    def missing(self) -> int:
        """Bytes that have not come."""
        return self._total - self.at

    def put(self, came: memoryview) -> None:
        """Take the next bytes, no more than are missing."""
        while came:
            count = min(len(self.room), len(came))
            self.room[:count] = came[:count]
            self.took(count)
            came = came[count:]

    @property
    def room(self) -> memoryview:
        """Where the next bytes are to be put, while some are missing."""
        return self._open[-1]

    def took(self, count: int) -> None:
        """So many bytes were put there."""
        self.at += count
        room = self._open.pop()
        if count < len(room):
            self._open.append(room[count:])

    @property
    def value(self) -> Value:
        """The pickle and its buffers, when all has come."""
        payload, *buffers = self._parts
        return bytes(payload), buffers


def _space_of(size: int, take: Callable[[int], memoryview]) -> memoryview:
    return memoryview(bytearray(size)) if size < LARGE else take(size)
