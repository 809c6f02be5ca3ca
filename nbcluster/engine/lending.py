"""How code that waits here lends its engine to other calls meanwhile. Knows no queue and no Futures."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from nbcluster.engine import context

T = TypeVar("T")


class Lender(Protocol):
    """What runs calls on top of one that waits."""

    def is_here(self) -> bool:
        """Whether the calling code can lend: it belongs to a call or a cell, on the main thread."""

    def serve(self, is_over: Callable[[], bool], seconds: float | None) -> None:
        """Run calls as they come until `is_over` or the time is; looks anew after `wake`."""

    def wake(self) -> None:
        """Have `serve` look whether it is over. Any thread may ask."""


lender: Lender | None = None
"""That of this process, when it is an engine."""


def lender_here() -> Lender | None:
    """Return the lender when code that waits here and now is to wait in its `serve`."""
    return lender if lender is not None and lender.is_here() else None


def wake() -> None:
    """Say that something may have come for which code waits."""
    if lender is not None:
        lender.wake()


def level_here() -> int:
    """Return how deep calls are nested that are submitted here: 0, and on an engine one deeper than what runs."""
    if lender is None:
        return 0
    call = context.current.get()
    return 1 if call is None else call.options.level + 1


class Mailbox(Generic[T]):
    """A queue whose reader lends its engine while it waits."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[T] = queue.SimpleQueue()

    def put(self, item: T) -> None:
        """Give the reader something."""
        self._queue.put(item)
        wake()

    def get_nowait(self) -> T:
        """Take what is there, or raise queue.Empty."""
        return self._queue.get_nowait()

    def get(self, timeout: float | None = None) -> T:
        """Wait for something and take it, or raise queue.Empty when the time is over."""
        here = lender_here()
        if here is None:
            return self._queue.get(timeout=timeout)
        until = None if timeout is None else time.monotonic() + timeout
        here.serve(lambda: not self._queue.empty(), timeout)
        # Another reader may have been quicker; then this waits for the rest of the time.
        while until is None and self._queue.empty():
            here.serve(lambda: not self._queue.empty(), None)
        return self._queue.get_nowait()


class Waker:
    """Waits for a future among its waiters, as concurrent.futures has them."""

    def __init__(self, lender: Lender) -> None:
        self._lender = lender

    def add_result(self, future: object) -> None:
        """It has a result."""
        self._lender.wake()

    def add_exception(self, future: object) -> None:
        """It has an error."""
        self._lender.wake()

    def add_cancelled(self, future: object) -> None:
        """It was cancelled."""
        self._lender.wake()
