"""A thread that makes spares of something when they are wanted, and drops those that nobody uses. Knows not of what."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Spares(Generic[T]):
    """Makes and drops, one at a time; the thread ends when there is nothing to do.

    Parameters
    ----------
    make : callable
        Makes a spare of a size; None when that cannot be.
    drop : callable
        Takes away a spare that may have been used since.
    life : float
        Seconds between the two.
    """

    def __init__(self, make: Callable[[int], T | None], drop: Callable[[T], None], life: float) -> None:
        self._make = make
        self._drop = drop
        self._life = life
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._runs = False

    def want(self, size: int) -> None:
        """Have a spare made."""
        self._wanted.put(size)
        with self._lock:
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._serve, name="nbcluster spare memory", daemon=True).start()

    def close(self) -> None:
        """Make and drop nothing any more."""
        self._wanted.put(None)

    def _serve(self) -> None:
        made: deque[tuple[float, T]] = deque()
        while True:
            left = made[0][0] - time.monotonic() if made else 0.0
            try:
                size = self._wanted.get(timeout=max(0.0, left))
            except queue.Empty:
                if made:
                    self._drop(made.popleft()[1])
                    continue
                with self._lock:
                    if self._wanted.empty():
                        self._runs = False
                        return
                continue
            if size is None:
                return
            spare = self._make(size)
            if spare is not None:
                made.append((time.monotonic() + self._life, spare))
