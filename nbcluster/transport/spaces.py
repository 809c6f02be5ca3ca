"""Memory in which large values land; memory that was used before is used again. Knows no values.

The first touch of fresh pages takes as long as to copy what comes into them, and giving them back takes its time, too.
"""

from __future__ import annotations

import mmap
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct

LIFE = 30.0
"""Seconds after its last value began to come in which memory may take another."""

MOST = 1 << 30
"""Bytes that are kept to be used again, at most."""

WASTE = 1.25
"""Times the size of a value that memory which is used again may have."""

_CAN_TELL = sys.platform == "linux"
"""Whether it can be found out that nobody looks at a mapping: where it could change its size."""


class _Space(Struct, eq=False):
    area: mmap.mmap
    until: float


class Spaces:
    """Gives memory out, and looks itself whether anybody still has a view of what it gave. Any thread may ask.

    Parameters
    ----------
    clock : callable
        Seconds that go on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spaces: list[_Space] = []
        self._lock = threading.Lock()

    def take(self, size: int) -> memoryview:
        """Return memory of a size, with anything in it. It is free again when no view of it is left.

        Raises
        ------
        OSError, ValueError, OverflowError
            When there is not so much.
        """
        with self._lock:
            fit = [each for each in self._spaces if size <= len(each.area) <= WASTE * size]
            for space in sorted(fit, key=lambda each: len(each.area)):
                if _is_free(space.area):
                    space.until = self._clock() + LIFE
                    return memoryview(space.area)[:size]
        area = _fresh(size)
        if _CAN_TELL and size <= MOST:
            with self._lock:
                self._spaces.append(_Space(area, self._clock() + LIFE))
                while sum(len(each.area) for each in self._spaces) > MOST:
                    del self._spaces[0]
        return memoryview(area)

    def trim(self) -> float | None:
        """Let go of what was not used lately; return the seconds until there is more, None when nothing is left."""
        with self._lock:
            now = self._clock()
            self._spaces = [each for each in self._spaces if each.until > now]
            return min((each.until - now for each in self._spaces), default=None)

    def relieve(self) -> None:
        """Let go of all: memory of which somebody has a view is the viewer's alone from here on."""
        with self._lock:
            self._spaces.clear()


def _fresh(size: int) -> mmap.mmap:
    area = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a wish: filling takes a third less time
            area.madvise(mmap.MADV_HUGEPAGE)
    return area


def _is_free(area: mmap.mmap) -> bool:
    """Whether nobody has a view: a mapping with views refuses to change its size, also to the one that it has."""
    try:
        area.resize(len(area))
    except (BufferError, OSError, SystemError, ValueError):
        return False
    return True
