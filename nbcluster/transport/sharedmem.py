"""Puts large values into files of shared memory, one for each, and uses the files again. Knows no tasks.

A fresh file costs several times what a warm one does, since the system must find and clear its pages. A file that
was let go is filled again only when the exclusive lock on it can be had: then no reader has it mapped (see segments).
A fresh one is filled by write(), never through a mapping: on a full file system that fails where a mapping would kill.
A warm one in memory has all its pages, and is filled through a mapping that is kept, which takes half the time.
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
from nbcluster.transport.filling import WarmMap, is_in_memory, write_all
from nbcluster.transport.segments import HEADER, NONCE, SharedDirectory, is_scarce
from nbcluster.transport.spares import Spares

SHARED_FROM = 256 << 10
"""Bytes of a value from which on it is shared; smaller ones travel as bytes, which takes no longer.

Measured by the benchmark `shared_from`: arguments, results and pushes of 256 KiB take less time shared than sent.
"""

WARM = 1 << 30
"""Bytes of segments without a value that are kept to be filled again, in each process."""

SPARE_FROM = 8 << 20
"""Bytes of a fresh segment from which on a spare of that size is made ready."""

SPARE_LIFE = 30.0
"""Seconds that a spare waits to be used."""

LOOSE = 4
"""A segment may be so many times larger than what is put into it."""

_STEP = 64 << 20
"""Bytes of a spare between which it is looked whether it is still wanted."""

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
    warm: WarmMap | None = None
    """Through which it is filled again."""
    hollow: bool = False
    """Whether some of its pages may not be there yet."""
    spare: bool = False
    """Whether it was made ready and has not been used."""

    def close(self) -> None:
        """Let go of it here."""
        warm, self.warm = self.warm, None
        if warm is not None:
            warm.close()
        os.close(self.fd)


class Lease:
    """Keeps a value in its segment while this object lives."""

    def __init__(self, pool: Pool, segment: _Segment, nbytes: int) -> None:
        self._pool = pool
        self._segment = segment
        self.nbytes = nbytes

    def fileno(self) -> int:
        """The descriptor of the segment."""
        return self._segment.fd

    def adopt(self) -> None:
        """Note that an engine or the controller may hold the segment by its name when this is gone."""
        self._segment.adopted = True

    def filled(self) -> None:
        """Note that others have filled all that was reserved."""
        self._segment.hollow = False

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
    warm : int
        Bytes without a value that are kept.
    spares : bool
        Whether a spare is made ready, on another thread, when a fresh segment had to be filled: who sends one large
        value to engines soon sends the next, while they still have the first.
    """

    def __init__(
        self, directory: SharedDirectory, owner: str, *, warm: int | None = None, spares: bool = False
    ) -> None:
        self.directory = directory
        self._warm = warm
        self.returned: deque[_Segment] = deque()
        """Let go, oldest first, and perhaps still mapped by readers."""
        self._owner = owner
        self._numbers = count()
        self._all: set[_Segment] = set()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._maps = is_in_memory(directory.path)
        self._filling = threading.Lock()
        self._spares = (
            Spares(self._make_spare, self._drop_spare, SPARE_LIFE) if spares and self._maps else None
        )

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
        spans, end = spans_of(parts)
        if os.getpid() != self._pid:
            return None
        with self._lock:
            if self._closed:
                return None
            segment = self._take(end) or self._make()
            if segment is None:
                return None
            nonce = os.urandom(NONCE)
            places = [(HEADER + at, part) for (at, _), part in zip(spans, parts, strict=True)]
            try:
                self._fill(segment, end, nonce, places)
                fcntl.flock(segment.fd, fcntl.LOCK_UN)
            except OSError:  # the file system is full
                self._discard(segment)
                return None
            except BaseException:  # Ctrl-C
                self._discard(segment)
                raise
            if segment.size < end:
                segment.size = end
                if self._spares is not None and end >= SPARE_FROM:
                    self._spares.want(end)
        inside = len(parts) > len(buffers)
        reference = SegmentRef(segment.name, nonce, tuple(spans), None if inside else payload)
        return seal(reference), Lease(self, segment, total)

    def reserve(self, nbytes: int) -> tuple[SegmentRef, Lease] | None:
        """Take a segment for others to fill, who write into it while this keeps its lease (`SharedDirectory.fill`).

        Returns
        -------
        tuple of SegmentRef and Lease, or None
            What the whole of it means, and what keeps it. None when there is no room.
        """
        if os.getpid() != self._pid:
            return None
        with self._lock:
            if self._closed:
                return None
            segment = self._take(nbytes) or self._make()
            if segment is None:
                return None
            nonce = os.urandom(NONCE)
            try:
                self._room_for(segment, nbytes)
                if segment.size < nbytes:
                    os.ftruncate(segment.fd, HEADER + nbytes)
                    segment.size, segment.hollow = nbytes, True
                write_all(segment.fd, memoryview(nonce), 0)
                fcntl.flock(segment.fd, fcntl.LOCK_UN)
            except OSError:
                self._discard(segment)
                return None
        return SegmentRef(segment.name, nonce, ((0, nbytes),), b""), Lease(self, segment, nbytes)

    def trim(self, keep: int | None = None) -> None:
        """Let go of what was returned beyond the bound, or `keep` bytes, and of all that could not be used again."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            surplus = sum(segment.size for segment in list(self.returned))
            surplus -= self._most_warm if keep is None else keep
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
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._spares is not None:
            self._spares.close()
        with self._filling, self._lock:
            returned = set(self.returned)
            for segment in list(self._all):
                if segment in returned and _lock(segment):
                    self._discard(segment)
                else:
                    segment.close()
            self._all.clear()

    @property
    def _most_warm(self) -> int:
        return WARM if self._warm is None else self._warm

    def _make_spare(self, size: int) -> _Segment | None:
        """Make a segment that can be filled at once."""
        with self._filling:
            with self._lock:
                segment = self._make() if not self._closed and self._is_spare_wanted(size) else None
            if segment is None:
                return None
            try:
                for at in range(0, HEADER + size, _STEP):
                    if self._closed:
                        raise OSError("it is not needed any more")
                    os.posix_fallocate(segment.fd, at, min(_STEP, HEADER + size - at))
                segment.warm = WarmMap(segment.fd, HEADER + size)
                segment.warm.enter()
            except OSError:
                with self._lock:
                    self._discard(segment)
                return None
            with self._lock:
                segment.size, segment.spare = size, True
                self.returned.append(segment)
            return segment

    def _is_spare_wanted(self, size: int) -> bool:
        """Whether none is free that was used before, and there is room."""
        for segment in list(self.returned):
            if not segment.spare and size <= segment.size <= LOOSE * size and _lock(segment):
                fcntl.flock(segment.fd, fcntl.LOCK_UN)
                return False
        spared = sum(segment.size for segment in self._all if segment.spare)
        return self._most_warm - spared >= size <= self.directory.limit - self.directory.used

    def _drop_spare(self, segment: _Segment) -> None:
        with self._lock:
            if segment.spare and segment in self.returned and not self._closed and _lock(segment):
                self.returned.remove(segment)
                self._discard(segment)

    def _take(self, size: int) -> _Segment | None:
        """The smallest segment that was let go, is large enough and is mapped by nobody; it is locked then."""
        fitting = [each for each in list(self.returned) if size <= each.size <= LOOSE * size]
        for segment in sorted(fitting, key=lambda each: each.size):
            if not _lock(segment):
                continue
            self.returned.remove(segment)
            if segment.hollow:
                self._discard(segment)
                continue
            segment.adopted = segment.spare = False
            return segment
        return None

    def _make(self) -> _Segment | None:
        name = f"{self._owner}-{next(self._numbers)}"
        try:
            segment = _Segment(name, self.directory.create(name), 0)
        except OSError:
            return None
        if is_scarce(segment.fd):
            self._discard(segment)
            return None
        self._all.add(segment)
        return segment

    def _fill(
        self, segment: _Segment, size: int, nonce: bytes, parts: Sequence[tuple[int, memoryview]]
    ) -> None:
        self._room_for(segment, size)
        write_all(segment.fd, memoryview(_NOTHING), 0)
        if self._maps and segment.size >= size and segment.warm is None and not is_scarce(segment.fd):
            os.ftruncate(segment.fd, HEADER + segment.size)  # to the end of its last page at most
            with suppress(OSError):  # too many files are open
                segment.warm = WarmMap(segment.fd, HEADER + segment.size)
        for at, part in parts:
            if segment.warm is not None:
                segment.warm.write(part, at)
            else:
                write_all(segment.fd, part, at)
        write_all(segment.fd, memoryview(nonce), 0)

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
        segment.close()


def _lock(segment: _Segment) -> bool:
    try:
        fcntl.flock(segment.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def spans_of(parts: Sequence[memoryview]) -> tuple[list[tuple[int, int]], int]:
    """Say where parts lie behind the header of a segment, and where the last one ends."""
    spans = []
    at = 0
    for part in parts:
        spans.append((at, part.nbytes))
        at += -(-part.nbytes // _ALIGNED) * _ALIGNED
    return spans, at
