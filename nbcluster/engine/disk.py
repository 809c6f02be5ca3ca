"""Writes values that have to leave memory into files of the cluster's directory on disk. Decides nothing.

A file is laid out as a segment of shared memory is, and mapped as one is: its pages are the system's to give back, and
nothing need be read as a whole to be used.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress

from nbcluster.engine.store import Kept, Where
from nbcluster.errors import NBClusterError
from nbcluster.payload.envelopes import SegmentRef, reference_in, seal
from nbcluster.transport.filling import write_all
from nbcluster.transport.segments import HEADER, NONCE, Hold, SpillDirectory
from nbcluster.transport.sharedmem import Lease, spans_of

LEAVE = 0.05
"""Share of the file system that is left to others."""

SMALL_PICKLE = 1024
"""Bytes of a pickle that stays in memory, with the place of its buffers."""

_STEP = 64 << 20
"""Bytes that are written at a time: Python's other threads have their turn in between."""


class OnDisk:
    """A value's file, which goes with this object: also one that could not be written to its end."""

    def __init__(self, directory: SpillDirectory, name: str) -> None:
        self._directory = directory
        self._name = name
        self._pid = os.getpid()
        self.open = Hold(directory.create(name))
        self._hold: Hold | None = None

    def take_name(self, reference: SegmentRef) -> None:
        """Have the name under which others look for a value of this engine."""
        name = self._directory.file_of(reference)
        self._directory.rename(self._name, name)
        self._name = name
        del self.open

    def share_name(self, reference: SegmentRef) -> None:
        """Have the name of a value that a client has filled, and that other engines may write as well.

        The lock says that it is needed: nobody looks after it by its name.
        """
        name = self._directory.file_of(reference)
        fcntl.flock(self.open.fileno(), fcntl.LOCK_SH)
        self._hold = self.open
        try:
            self._directory.link(self._name, name)
        except FileExistsError:
            self._hold = self._directory.hold(reference)
        self._directory.unlink(self._name)
        self._name = name
        del self.open

    def __del__(self) -> None:
        # At the end of the interpreter nothing is certain; the controller removes what is left.
        with suppress(Exception):
            if os.getpid() != self._pid:
                return  # a child that was forked has it, too; the file is not its own
            if self._hold is not None:
                fcntl.flock(self._hold.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._directory.unlink(self._name)


class Disk:
    """What one engine writes to the directory of its cluster.

    Parameters
    ----------
    directory : SpillDirectory
    owner : str
        Begins the names of what this engine fills.
    """

    def __init__(self, directory: SpillDirectory, owner: str) -> None:
        self.directory = directory
        self._owner = owner

    def move(self, kept: Kept) -> Kept:
        """Write a value; return what is to be kept in its place. The value itself is left as it is.

        Raises
        ------
        OSError
            When it cannot be written; nothing of it is left then.
        """
        reference = reference_in(kept.payload)
        if reference is None:
            return self.write(kept.payload, [memoryview(buffer) for buffer in kept.buffers])
        assert isinstance(kept.lease, Lease | Hold), "what lies in shared memory is held there"
        source, end = kept.lease.fileno(), HEADER + reference.end
        file = self._begin(end)
        at = 0
        while at < end:
            # From file to file, past this process: no memory is needed to free some.
            copied = os.sendfile(file.open.fileno(), source, at, min(_STEP, end - at))
            if not copied:
                raise OSError(errno.EIO, f"the segment {reference.name} ends early")
            at += copied
        return self._finish(file, reference, kept.payload, kept.nbytes)

    def write(self, payload: bytes, buffers: Sequence[memoryview]) -> Kept:
        """Write a pickle and its contiguous buffers; return what is to be kept of them.

        Raises
        ------
        OSError
            When they cannot be written; nothing of them is left then.
        """
        inside = len(payload) > SMALL_PICKLE
        parts = [memoryview(payload), *buffers] if inside else list(buffers)
        spans, end = spans_of(parts)
        file = self._begin(HEADER + end)
        fd = file.open.fileno()
        for (offset, _), part in zip(spans, parts, strict=True):
            flat = part.cast("B") if part.format != "B" or part.ndim != 1 else part
            for step in range(0, len(flat), _STEP):
                write_all(fd, flat[step : step + _STEP], HEADER + offset + step)
        nonce = os.urandom(NONCE)
        write_all(fd, memoryview(nonce), 0)
        reference = SegmentRef(f"{self._owner}-0", nonce, tuple(spans), None if inside else payload)
        nbytes = len(payload) + sum(buffer.nbytes for buffer in buffers)
        return self._finish(file, reference, seal(reference), nbytes)

    def _begin(self, size: int) -> OnDisk:
        found = os.statvfs(self.directory.path)
        left = found.f_bavail * found.f_frsize - size
        if left < found.f_blocks * found.f_frsize * LEAVE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return OnDisk(self.directory, f"{self._owner}-0-{os.urandom(NONCE).hex()}")

    def _finish(self, file: OnDisk, reference: SegmentRef, payload: bytes, nbytes: int) -> Kept:
        if reference.name.startswith(f"{self._owner}-"):
            file.take_name(reference)
        else:
            try:
                file.share_name(reference)
            except NBClusterError as error:  # another engine has just let go of its file
                raise OSError(errno.EBUSY, str(error)) from error
        return Kept(payload, lease=file, shared=nbytes, where=Where.DISK)
