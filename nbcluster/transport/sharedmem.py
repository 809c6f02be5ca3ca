"""Puts large values into files of shared memory, one for each, and uses the files again. Knows no tasks.

A fresh file costs several times what a warm one does, since the system must find and clear its pages. A file that
was let go is filled again only when the exclusive lock on it can be had: then no reader has it mapped (see segments).
It is filled by write(), never through a mapping: on a full file system that fails where a mapping would kill.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from nbcluster.payload.envelopes import SegmentRef, seal
from nbcluster.transport.segments import HEADER, NONCE, SharedDirectory

SHARED_FROM = 1 << 20
"""Bytes of a value from which on it is shared; smaller ones travel as bytes: each has a file of its own."""

WARM = 1 << 30
"""Bytes of segments without a value that are kept to be filled again, in each process."""

SPARE = 4
"""A segment may be so many times larger than what is put into it."""

_ALIGNED = 64
_NOTHING = bytes(NONCE)


@dataclass(slots=True, eq=False)
class _Segment:
    name: str
    fd: int
    size: int
    """Bytes after the header."""
    adopted: bool = False
    """Whether others may know it by name after it was let go here."""


class Lease:
    """Keeps a value in its segment while this object lives."""

    def __init__(self, pool: Pool, segment: _Segment, nbytes: int) -> None:
        self._pool = pool
        self._segment = segment
        self.nbytes = nbytes

    def adopt(self) -> None:
        """Note that an engine will hold the segment by its name when this is gone."""
        self._segment.adopted = True

    def __del__(self) -> None:
        # May run at any point of any thread: it takes no lock.
        self._pool.returned.append(self._segment)


class Pool:
    """The segments that one process fills.

    Parameters
    ----------
    directory : SharedDirectory
    owner : str
        Begins their names: lower case letters and digits, of this process alone within the cluster.
    """

    def __init__(self, directory: SharedDirectory, owner: str) -> None:
        self.directory = directory
        self.returned: deque[_Segment] = deque()
        """Let go, oldest first, and perhaps still mapped by readers."""
        self._owner = owner
        self._numbers = count()
        self._all: set[_Segment] = set()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False

    @property
    def nbytes(self) -> int:
        """Bytes of all segments of this process."""
        return sum(segment.size for segment in list(self._all))

    def share(self, payload: bytes, buffers: Sequence[memoryview]) -> tuple[bytes, Lease] | None:
        """Put a pickle and its buffers into a segment.

        Parameters
        ----------
        payload : bytes
        buffers : sequence of memoryview
            Contiguous, of bytes.

        Returns
        -------
        tuple of bytes and Lease, or None
            The envelope that stands for them, and what keeps them there. None when they are small, or there is no
            room: they have to travel as they are.
        """
        total = len(payload) + sum(buffer.nbytes for buffer in buffers)
        if total < SHARED_FROM:
            return None
        parts = [memoryview(payload), *buffers] if len(payload) >= SHARED_FROM else list(buffers)
        spans, end = _places(parts)
        with self._lock:
            if self._closed or os.getpid() != self._pid:
                return None
            segment = self._take(end) or self._make()
            if segment is None:
                return None
            nonce = os.urandom(NONCE)
            try:
                self._room_for(segment, end)
                _write_all(segment.fd, memoryview(_NOTHING), 0)
                for (offset, _), part in zip(spans, parts, strict=True):
                    _write_all(segment.fd, part, HEADER + offset)
                _write_all(segment.fd, memoryview(nonce), 0)
            except OSError:  # the file system is full
                self._discard(segment)
                return None
            finally:
                with suppress(OSError, ValueError):
                    fcntl.flock(segment.fd, fcntl.LOCK_UN)
            segment.size = max(segment.size, end)
        inside = len(parts) > len(buffers)
        reference = SegmentRef(segment.name, nonce, tuple(spans), None if inside else payload)
        return seal(reference), Lease(self, segment, total)

    def trim(self) -> None:
        """Let go of what was returned beyond the bound, and of all that could not be used again."""
        with self._lock:
            if os.getpid() != self._pid:
                return
            surplus = sum(segment.size for segment in list(self.returned)) - WARM
            for segment in list(self.returned):
                if surplus <= 0:
                    return
                # What only readers have mapped goes with their mappings; what is known by name must stay.
                if segment.adopted and not _lock(segment):
                    continue
                self.returned.remove(segment)
                surplus -= segment.size
                self._discard(segment)

    def close(self) -> None:
        """Fill nothing any more, and unlink what nobody needs; the controller removes the rest in time."""
        with self._lock:
            if os.getpid() != self._pid or self._closed:
                return
            self._closed = True
            returned = set(self.returned)
            for segment in list(self._all):
                if segment in returned and _lock(segment):
                    self._discard(segment)
                else:
                    os.close(segment.fd)
            self._all.clear()

    def _take(self, size: int) -> _Segment | None:
        """The smallest segment that was let go, is large enough and is mapped by nobody; it is locked then."""
        fitting = [each for each in list(self.returned) if size <= each.size <= SPARE * size]
        for segment in sorted(fitting, key=lambda each: each.size):
            if _lock(segment):
                self.returned.remove(segment)
                segment.adopted = False
                return segment
        return None

    def _make(self) -> _Segment | None:
        name = f"{self._owner}-{next(self._numbers)}"
        try:
            segment = _Segment(name, self.directory.create(name), 0)
        except OSError:
            return None
        self._all.add(segment)
        return segment

    def _room_for(self, segment: _Segment, size: int) -> None:
        """Raise OSError when a fresh segment would take more than the cluster may have."""
        if segment.size >= size:
            return
        if self.directory.used + size > self.directory.limit:
            self._make_room(self.directory.used + size - self.directory.limit)
            if self.directory.used + size > self.directory.limit:
                raise OSError(f"more than the {self.directory.limit} bytes that this cluster may share")

    def _make_room(self, wanted: int) -> None:
        for segment in list(self.returned):
            if wanted <= 0:
                return
            if _lock(segment):
                self.returned.remove(segment)
                wanted -= segment.size
                self._discard(segment)

    def _discard(self, segment: _Segment) -> None:
        self._all.discard(segment)
        self.directory.unlink(segment.name)
        os.close(segment.fd)


def _lock(segment: _Segment) -> bool:
    try:
        fcntl.flock(segment.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _places(parts: Sequence[memoryview]) -> tuple[list[tuple[int, int]], int]:
    spans = []
    at = 0
    for part in parts:
        spans.append((at, part.nbytes))
        at += -(-part.nbytes // _ALIGNED) * _ALIGNED
    return spans, at


def _write_all(fd: int, part: memoryview, at: int) -> None:
    part = part.cast("B") if part.format != "B" or part.ndim != 1 else part
    while part:
        written = os.pwrite(fd, part, at)
        part, at = part[written:], at + written
