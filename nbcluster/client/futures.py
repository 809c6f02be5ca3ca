"""What every Future of a cluster has: waits that end, callbacks on their own thread, fresh errors. Knows no tasks.

A Future is made for every call, so it costs little: its lock, its waiters and its callbacks are made when
somebody first asks for them. Whether there is a lock is asked and decided under one lock that all share, for a moment:
so who waits with concurrent.futures either sees the end, or is told of it, and never both.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, NoReturn

from nbcluster.client import callbacks
from nbcluster.client.raising import prepared
from nbcluster.engine.lending import Waker, lender_here
from nbcluster.errors import NotSerializable, TaskCancelled, UsageError

log = logging.getLogger(__name__)

PENDING = "PENDING"
FINISHED = "FINISHED"
"""The two states that a Future of ours has in the eyes of concurrent.futures; `status` tells more."""

SAY_AFTER = 2.0
"""Seconds of waiting after which it is said what is waited for."""

EXPLAIN_PATIENCE = 2.0
"""Seconds that a wait gives the controller to say why it is waited for."""


before_raise: list[Callable[[BaseException], object]] = []
"""Called with what a Future is about to raise: a notebook adds what helps there."""


_deciding = threading.RLock()
"""Held while a Future gets its condition, or ends without one. Never held while anything else is waited for."""


class _WhenAsked:
    """An attribute that is made when it is first asked for; two threads that ask at once get the same."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, future: Any, owner: type | None = None) -> Any:
        made = self._make()
        with _deciding:
            return future.__dict__.setdefault(self._name, made)


class Future(concurrent.futures.Future[Any]):
    """The future of a call or a cell; a `concurrent.futures.Future` that can also be awaited.

    `result()` brings the value here, or raises what the work raised. Dropping a Future lets its value go, never its
    work. Waiting for it can be given up (TimeoutError, Ctrl-C) without any effect on the work; `cancel()` ends that.
    """

    _condition = _WhenAsked(threading.Condition)
    _waiters = _WhenAsked(list)
    _tells = _WhenAsked(list)
    _result: Any = None
    _exception: BaseException | None = None

    def __init__(self) -> None:
        # Not concurrent.futures' own: it makes a lock and two lists that few Futures ever need.
        self._state = PENDING

    # -- what is known ------------------------------------------------------------------------

    @property
    def what(self) -> str:
        """What it is the Future of, in a few words."""
        return "some work"

    @property
    def status(self) -> str:
        """queued, running, stopping, done, failed or cancelled."""
        return "done" if self.done() else "queued"

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that completes it, and on which it cannot be waited for."""
        return None

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._state == FINISHED

    def running(self) -> bool:
        """Whether an engine is at it."""
        return not self.done() and self.status in ("running", "stopping")

    def cancelled(self) -> bool:
        """Whether it was cancelled before it completed."""
        return self.done() and isinstance(self._error(), TaskCancelled)

    # -- waiting ------------------------------------------------------------------------------

    def result(self, timeout: float | None = None) -> Any:
        """Return the value, or raise what the work raised.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for it.

        Raises
        ------
        TimeoutError
            When the wait was given up; the work goes on.
        UsageError
            On the thread that would have to bring it, where the wait could never end.
        """
        until = None if timeout is None else time.monotonic() + timeout
        self.wait_done(timeout)
        error = self._error()
        if error is not None:
            self._raise(error)
        return self._value(until)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the work raised, None when it returned; waits like `result`."""
        self.wait_done(timeout)
        return self._error()

    def wait_done(self, timeout: float | None = None) -> None:
        """Wait until it has ended, whatever it holds.

        Raises
        ------
        TimeoutError
            When the wait was given up.
        """
        if self._state == FINISHED:
            return
        try:
            self.wait_quietly(timeout)
        except KeyboardInterrupt as interrupt:
            say(f"stopped waiting for {self.what}, which goes on; .cancel() of its Future cancels it")
            prepared(interrupt)
            raise

    def wait_quietly(self, timeout: float | None = None) -> None:
        """Wait like `wait_done`, for whoever deals with Ctrl-C."""
        if self._state == FINISHED:
            return
        self._refuse_wait_on_its_loop()
        self._wait(timeout)

    def _wait(self, timeout: float | None) -> None:
        until = None if timeout is None else time.monotonic() + timeout
        if timeout is None or timeout > SAY_AFTER:
            if self._ends_within(SAY_AFTER):
                return
            why = self.why_waiting()
            if self._state != FINISHED:  # asking why took a while
                say(f"waiting for {why}")
        if not self._ends_within(None if until is None else until - time.monotonic()):
            raise prepared(
                TimeoutError(
                    f"gave up after waiting {timeout:g} s for {self.what}, which goes on ({self.status})"
                )
            )

    def _ends_within(self, seconds: float | None) -> bool:
        condition = self._condition
        lender = lender_here()
        if lender is None:
            with condition:
                return bool(condition.wait_for(self.done, seconds))
        waker = Waker(lender)
        with condition:
            if self.done():
                return True
            self._waiters.append(waker)
        try:
            lender.serve(self.done, seconds)
        finally:
            with condition:
                self._waiters.remove(waker)
        return self.done()

    def _refuse_wait_on_its_loop(self) -> None:
        loop = asyncio._get_running_loop()
        if loop is not None and loop is self.loop:
            raise UsageError(
                f"waiting for {self.what} on the thread that would have to bring its result, where the wait could "
                "never end: await the Future there, or wait on another thread"
            )

    def __await__(self) -> Generator[Any, None, Any]:
        # Cancelling the await does not cancel the work.
        yield from wait_done(self).__await__()
        yield from self._bring().__await__()
        return self.result(0)

    # -- ends ---------------------------------------------------------------------------------

    def cancel(self, timeout: float = 5, force: bool = False) -> bool:
        """Withdraw what waits and interrupt what runs, and wait for the engine's word.

        Parameters
        ----------
        timeout : float
            Seconds to wait for it.
        force : bool
            Restart an engine that does not let go.

        Returns
        -------
        bool
            True only when the work will not complete.
        """
        if self.done():
            return self.cancelled()
        self.ask_to_stop("cancelled by its owner", force=force)
        loop = asyncio._get_running_loop()
        if loop is None or loop is not self.loop:  # there the engine's word comes later
            try:
                self.wait_done(timeout)
            except TimeoutError:
                return False
        return self.cancelled()

    def ask_to_stop(self, reason: str, *, force: bool = False) -> None:
        """Ask that it be withdrawn or interrupted; does not wait."""

    @property
    def failed(self) -> bool:
        """Whether it has ended, and without a value."""
        return self.done() and self._error() is not None

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Have a function called with this future when it is done, on a thread for callbacks, where it may wait."""
        self.tell_when_done(lambda _: callbacks.call_soon(fn, self))

    def tell_when_done(self, tell: Callable[[Any], object]) -> None:
        """Have a function called at once when it is done, on whatever thread that is; it must not wait."""
        self._tells.append(tell)
        if self._state == FINISHED:
            self._tell_all()
        else:
            self._hold()

    def set_result(self, result: Any) -> None:
        """Complete it with a value."""
        self._refuse_a_second_end()
        self._result = result
        self._finish(failed=False)

    def set_exception(self, exception: BaseException | None) -> None:
        """Complete it with an error."""
        self._refuse_a_second_end()
        self._exception = exception
        self._finish(failed=True)

    def _refuse_a_second_end(self) -> None:
        if self._state == FINISHED:
            raise concurrent.futures.InvalidStateError(f"{self!r} has ended already")

    def _finish(self, *, failed: bool) -> None:
        asked_for = self.__dict__
        with _deciding:
            if "_condition" not in asked_for:
                self._state = FINISHED
        if "_condition" in asked_for:
            with self._condition:
                self._state = FINISHED
                for waiter in self._waiters:
                    (waiter.add_exception if failed else waiter.add_result)(self)
                self._condition.notify_all()
        if "_tells" in asked_for:
            self._tell_all()

    def _tell_all(self) -> None:
        tells = self._tells
        while tells:
            try:
                tell = tells.pop(0)
            except IndexError:  # another thread was quicker: each is told once
                return
            try:
                tell(self)
            except Exception:
                log.exception("%r could not tell %r that it has ended", self, tell)

    # -- what kinds of Future do in their own way ---------------------------------------------

    def _error(self) -> BaseException | None:
        """What it failed with; asked when it is done."""
        return self._exception

    def _value(self, until: float | None) -> Any:
        """Its value; asked when it is done and has not failed. `until` is monotonic."""
        return self._result

    async def _bring(self) -> None:
        """Bring what `_value` needs."""

    def _hold(self) -> None:
        """Stay until done, though nobody else may hold it: somebody is to be told."""

    def why_waiting(self) -> str:
        """What it waits for, in a few words, for who waits for it."""
        return f"{self.what} ({self.status})"

    def _raise(self, error: BaseException) -> NoReturn:
        for prepare in before_raise:
            prepare(error)
        try:
            # Each raise appends to the traceback that the error has: begin anew each time.
            raise error.with_traceback(None)
        finally:
            del error, self

    def __reduce__(self) -> Any:
        raise NotSerializable(
            f"the Future of {self.what} cannot be sent to another process; send its result()"
        )

    def __repr__(self) -> str:
        return f"<Future of {self.what}: {self.status}>"


async def wait_done(future: Future) -> None:
    """Wait until a future is done, whatever it holds."""
    loop = asyncio.get_running_loop()
    here = threading.get_ident()
    done: asyncio.Future[None] = loop.create_future()

    def set_done() -> None:
        if not done.done():
            done.set_result(None)

    def tell(_: object) -> None:
        if threading.get_ident() == here:
            set_done()
        else:
            loop.call_soon_threadsafe(set_done)

    if future.done():
        return
    future.tell_when_done(tell)
    await done


def say(text: str) -> None:
    """Tell whoever waits, on stderr."""
    sys.stderr.write(f"nbcluster: {text}\n")
    sys.stderr.flush()
