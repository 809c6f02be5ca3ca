"""Says what runs on this engine: a cell, a call, or neither. Knows no kernel and no time.

Calls that do not await run in one step of the loop; those that do hold the gate like cells. Other threads may use a
moment in which neither runs; nothing begins on the main thread meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Gate:
    """Closed while a cell runs, also while it is suspended in an `await`; cells may nest."""

    def __init__(self) -> None:
        self._cells = 0
        self._turns = 0
        self._call: asyncio.Event | None = None
        self._lock = threading.Lock()
        """Held for the begin of a cell and of calls, and by others for the moment in which neither runs."""
        self.on_open: Callable[[], None] = lambda: None
        """Called when the outermost cell has ended."""

    @property
    def closed(self) -> bool:
        """Whether a cell runs now."""
        return self._cells > 0

    @contextmanager
    def cell(self) -> Iterator[None]:
        """Keep the gate closed for the length of a cell."""
        with self._lock:
            self._cells += 1
        try:
            yield
        finally:
            self._cells -= 1
            if not self._cells:
                self.on_open()

    @contextmanager
    def calls(self) -> Iterator[None]:
        """Run calls in one step of the loop."""
        with self._lock:
            self._turns += 1
        try:
            yield
        finally:
            self._turns -= 1

    @contextmanager
    def unused(self, patience: float) -> Iterator[bool]:
        """Use a moment in which nothing runs, on any thread; tells whether this is one. What is done must be short.

        Parameters
        ----------
        patience : float
            Seconds that another thread's moment may take.
        """
        if not self._lock.acquire(timeout=patience):
            yield False
            return
        try:
            yield not (self._cells or self._turns or self._call is not None)
        finally:
            self._lock.release()

    def hold(self) -> None:
        """A call is suspended in an `await`: cells wait until `release`."""
        self._call = asyncio.Event()

    def release(self) -> None:
        """The call is over."""
        over, self._call = self._call, None
        if over is not None:
            over.set()

    async def wait_for_call(self) -> None:
        """Wait until no call is suspended. What follows without an `await` comes before the next one."""
        while self._call is not None:
            await self._call.wait()
