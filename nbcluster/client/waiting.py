"""Waits for many Futures at once, in the calling thread. Knows no calls."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence

from nbcluster.client.futures import SAY_AFTER, Future, say
from nbcluster.client.raising import prepared
from nbcluster.engine.lending import Mailbox


class Arrivals:
    """The Futures of a collection in the order in which they end.

    Parameters
    ----------
    futures : sequence of Future
        Each once.
    """

    def __init__(self, futures: Sequence[Future]) -> None:
        self._done: Mailbox[Future] = Mailbox()
        self.left = 0
        for future in futures:
            self.add(future)

    def add(self, future: Future) -> None:
        """Wait for one more."""
        self.left += 1
        if future.done():
            self._done.put(future)
        else:
            future._refuse_wait_on_its_loop()
            future.tell_when_done(self._done.put)

    def take_ended(self) -> Iterator[Future]:
        """Give those that have ended, without waiting."""
        while self.left:
            try:
                future = self._done.get_nowait()
            except queue.Empty:
                return
            self.left -= 1
            yield future

    def next(self, until: float | None, why: Callable[[], str]) -> Future:
        """Give the next one that ends.

        Parameters
        ----------
        until : float or None
            Monotonic seconds.
        why : callable
            Says what is waited for: asked after two seconds, and when time is over.

        Raises
        ------
        TimeoutError
            When time is over.
        """
        first = time.monotonic() + SAY_AFTER
        if until is None or until > first:
            try:
                return self._next_by(first)
            except queue.Empty:
                say(f"waiting for {why()}")
        try:
            return self._next_by(until)
        except queue.Empty:
            raise prepared(TimeoutError(f"gave up waiting for {why()}; the work goes on")) from None

    def poll(self, seconds: float) -> Future | None:
        """Give the next one that ends within so many seconds, None when none does."""
        try:
            return self._next_by(time.monotonic() + seconds)
        except queue.Empty:
            return None

    def _next_by(self, until: float | None) -> Future:
        left = None if until is None else max(0.0, until - time.monotonic())
        future = self._done.get(timeout=left)
        self.left -= 1
        return future
