"""Writes bytes into files: by write(), or through a mapping of pages that are there already. Knows no segments.

Filling pages that a mapping has takes half of what write() does: the copy alone. A page that is not there yet costs the
same either way, and only write() can fail for want of room: through a mapping that kills.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from pathlib import Path

_PIECE = 8 << 20
"""Bytes between which other threads get their turn."""

_POPULATE_READ = 22
"""MADV_POPULATE_READ, since Linux 5.14: enters pages into a mapping at once, in place of at a fault for each."""

_MOUNTS = Path("/proc/self/mountinfo")


def write_all(fd: int, part: memoryview, at: int) -> None:
    """Write all of a part to a place in a file.

    Raises
    ------
    OSError
        When the file system is full.
    """
    part = _bytes_of(part)
    while part:
        written = os.pwrite(fd, part, at)
        part, at = part[written:], at + written


def is_in_memory(path: str) -> bool:
    """Whether the files of a directory are memory: what has been written to them needs no room any more."""
    try:
        device = os.stat(path).st_dev
        mounts = _MOUNTS.read_text()
    except OSError:  # no Linux
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        words = line.split()  # see proc_pid_mountinfo(5): behind the " - " is the file system's type
        if words[2] == wanted:
            return words[words.index("-") + 1] == "tmpfs"
    return False


class WarmMap:
    """A mapping through which a file of memory is filled that has all its pages.

    Parameters
    ----------
    fd : int
    size : int
        Of the file, which is never made shorter.

    Raises
    ------
    OSError
        When it cannot be mapped.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._map = mmap.mmap(fd, size)
        self._entered = 0

    def write(self, part: memoryview, at: int) -> None:
        """Write all of a part to a place in the file."""
        part = _bytes_of(part)
        self._enter(at + len(part))
        with memoryview(self._map) as whole:
            numpy = sys.modules.get("numpy")
            if numpy is not None:
                # All at once: other threads run meanwhile, and only very large copies leave the caches out, which
                # takes half the time.
                numpy.copyto(numpy.frombuffer(whole[at : at + len(part)], "u1"), numpy.frombuffer(part, "u1"))
                return
            for begin in range(0, len(part), _PIECE):
                piece = part[begin : begin + _PIECE]
                whole[at + begin : at + begin + len(piece)] = piece

    def enter(self) -> None:
        """Have the system enter all pages now, rather than when they are first written to."""
        self._enter(len(self._map))

    def close(self) -> None:
        """Give the mapping up."""
        self._map.close()

    def _enter(self, end: int) -> None:
        end = min(-(-end // mmap.PAGESIZE) * mmap.PAGESIZE, len(self._map))
        while self._entered < end:
            length = min(_PIECE, end - self._entered)
            with suppress(
                OSError, ValueError
            ):  # an older system enters them one by one, when they are written to
                self._map.madvise(_POPULATE_READ, self._entered, length)
            self._entered += length


def _bytes_of(part: memoryview) -> memoryview:
    return part.cast("B") if part.format != "B" or part.ndim != 1 else part
