"""The one I/O thread of a process: an asyncio loop that any thread can hand coroutines to. Knows no clusters."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from nbcluster.client.raising import prepared
from nbcluster.errors import UsageError

T = TypeVar("T")

SAY_AFTER = 2.0
"""Seconds of waiting after which it is said what is waited for."""


class Portal:
    """Runs coroutines on a loop in a daemon thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="nbcluster I/O", daemon=True)
        self._at_exit: list[Callable[[], Coroutine[Any, Any, object]]] = []
        self._thread.start()
        atexit.register(self._end)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop."""
        return self._loop

    def is_inside(self) -> bool:
        """Whether the caller is on the I/O thread."""
        return threading.current_thread() is self._thread

    def at_exit(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Have a coroutine function run when the interpreter ends."""
        self._at_exit.append(work)

    def call(
        self,
        work: Coroutine[Any, Any, T],
        timeout: float | None = None,
        waiting: Callable[[], str] | None = None,
    ) -> T:
        """Run a coroutine and wait for it.

        Parameters
        ----------
        work : coroutine
        timeout : float, optional
            Seconds after which the wait is given up and the coroutine cancelled.
        waiting : callable, optional
            Says what is waited for; asked once, after two seconds.

        Raises
        ------
        TimeoutError
            When the wait was given up.
        UsageError
            When called on the I/O thread itself, where it could never end.
        """
        if self.is_inside():
            work.close()
            raise UsageError(
                "the blocking API was called on nbcluster's own I/O thread (in a callback?), where it would wait "
                "for itself; call it from another thread, or use AsyncCluster there"
            )
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return self._wait(future, timeout, waiting)
        except concurrent.futures.TimeoutError as error:
            if future.done():
                prepared(error)
                raise
            future.cancel()
            what = f" for {waiting()}" if waiting is not None else ""
            raise prepared(TimeoutError(f"gave up after waiting {timeout:g} s{what}")) from None
        except Exception as error:
            prepared(error)
            raise
        except KeyboardInterrupt as interrupt:
            future.cancel()
            prepared(interrupt)
            raise

    def _wait(
        self, future: concurrent.futures.Future[T], timeout: float | None, waiting: Callable[[], str] | None
    ) -> T:
        if waiting is None or (timeout is not None and timeout <= SAY_AFTER):
            return future.result(timeout)
        try:
            return future.result(SAY_AFTER)
        except concurrent.futures.TimeoutError:
            if future.done():
                raise
        sys.stderr.write(f"nbcluster: waiting for {waiting()}\n")
        sys.stderr.flush()
        return future.result(None if timeout is None else timeout - SAY_AFTER)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        if pending:
            self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self._loop.close()

    def _end(self) -> None:
        for work in self._at_exit:
            with contextlib.suppress(Exception):  # the process ends; nobody is left to tell
                asyncio.run_coroutine_threadsafe(work(), self._loop).result(3)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(3)


_portal: Portal | None = None
_portal_lock = threading.Lock()


def portal() -> Portal:
    """The portal of this process, made when first asked for."""
    global _portal
    with _portal_lock:
        if _portal is None or not _portal._thread.is_alive():
            _portal = Portal()
        return _portal
