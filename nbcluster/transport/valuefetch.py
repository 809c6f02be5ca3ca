"""Fetches large values from the engines that offered them, a few at once. Knows bytes and tickets; never unpickles.

A connection that breaks is made again, and the transfer goes on with what had not come. When that does not
help, the fetch fails and the caller asks the controller, who knows whether the engine still lives.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from nbcluster.errors import NBClusterError
from nbcluster.protocol.offers import Offer
from nbcluster.transport.landing import Broken, Landing, NotFetched, Unwanted, Value
from nbcluster.transport.spaces import Spaces
from nbcluster.transport.streamline import StreamLine

AT_ONCE = 4
"""Values that one process fetches at the same time; others wait."""

TRIES = 4
"""Connections in a row that bring nothing before the fetch is given up."""

PAUSE = 0.05
"""Seconds before the second of them; doubled each time."""

SHUNNED = 60.0
"""Seconds in which an address that could not be reached is not tried again."""


def fetch(
    offer: Offer,
    is_wanted: Callable[[], bool] = lambda: True,
    spaces: Spaces | None = None,
) -> Value:
    """Fetch a value; return its pickle and its buffers, which belong to the caller.

    Raises
    ------
    NotFetched
        When it cannot be had from there.
    Unwanted
        When `is_wanted` has said no.
    NBClusterError
        When there is no memory for it here.
    """
    landing = Landing(offer.sizes, spaces)
    failures = 0
    pause = threading.Event()
    while landing.missing:
        before = landing.at
        line: StreamLine | None = None
        try:
            line = StreamLine(offer, is_wanted)
            line.bring(landing)
        except Broken as error:
            failures = 1 if landing.at > before else failures + 1
            if failures >= TRIES:
                raise NotFetched(
                    f"{offer.url} cannot be reached, {landing} have come: {error}",
                    is_unreachable=not landing.at,
                ) from error
            pause.wait(PAUSE * 2 ** (failures - 1))
        finally:
            if line is not None:
                line.close()
    return landing.value


Then = Callable[[Value | Exception], None]
"""Told the value; or NotFetched, Unwanted, or the NBClusterError of a value for which there is no memory."""


class Fetcher:
    """Fetches on threads of its own, at most `AT_ONCE` values at the same time."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[Offer, Callable[[], bool], Then] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        self._lock = threading.Lock()
        self._under_way = 0
        self._shunned: dict[str, float] = {}
        self._spaces = Spaces()
        self.relieve = self._spaces.relieve
        """Lets go of the memory that is kept for the next value."""

    def fetch(self, offer: Offer, is_wanted: Callable[[], bool], then: Then) -> None:
        """Fetch a value; `then` is told the outcome on a thread of the fetcher."""
        with self._lock:
            if self._is_closed:
                return
            self._under_way += 1
            if len(self._threads) < min(AT_ONCE, self._under_way):
                thread = threading.Thread(target=self._work, name="nbcluster fetch", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._asked.put((offer, is_wanted, then))

    @property
    def is_at_work(self) -> bool:
        """Whether it has threads."""
        return bool(self._threads)

    def close(self) -> None:
        """Give up what is under way; nobody is told."""
        with self._lock:
            self._is_closed = True
            for _ in self._threads:
                self._asked.put(None)

    def _work(self) -> None:
        self._fetch_all()
        with self._lock:
            self._threads.remove(threading.current_thread())

    def _fetch_all(self) -> None:
        while (asked := self._next()) is not None and not self._is_closed:
            offer, is_wanted, then = asked
            outcome: Value | Exception
            try:
                self._refuse_shunned(offer.url)
                outcome = fetch(offer, lambda: not self._is_closed and is_wanted(), self._spaces)  # noqa: B023  # ends here
            except (NotFetched, Unwanted, NBClusterError) as error:
                outcome = error
                if isinstance(error, NotFetched) and error.is_unreachable:
                    self._shunned[offer.url] = time.monotonic() + SHUNNED
            except Exception as error:  # whatever it was, who waits is told
                outcome = NotFetched(f"{type(error).__name__}: {error}")
            with self._lock:
                self._under_way -= 1
            if not self._is_closed:
                then(outcome)
            del outcome, then, asked

    def _next(self) -> tuple[Offer, Callable[[], bool], Then] | None:
        while True:
            with suppress(queue.Empty):
                return self._asked.get(timeout=self._spaces.trim())

    def _refuse_shunned(self, url: str) -> None:
        if time.monotonic() < self._shunned.get(url, 0.0):
            raise NotFetched(f"{url} could not be reached a moment ago")
        self._shunned.pop(url, None)
