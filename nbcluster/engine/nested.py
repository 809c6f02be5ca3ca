"""Runs calls on top of a call or cell that waits for some, on the main thread. Knows no Futures and no sockets.

Only what is nested deeper than what waits runs on top of it. So what runs there never waits for what is beneath it,
the stack is as deep as calls submit calls, and some engine can always begin what the deepest waits for.
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING

from nbcluster.errors import UsageError

if TYPE_CHECKING:
    from nbcluster.engine.runner import Runner
    from nbcluster.engine.waiting import Waiting

DEEPEST = 100
"""Calls that may run on top of each other."""

FRAMES = 16
"""So many frames of ours are between a call and the one on top of it; they shall not count."""

UNSENT = 0.002
"""Seconds that a result may wait for more while calls run."""


class Nested:
    """The stack of calls above the one that was begun first.

    Parameters
    ----------
    runner : Runner
        Runs each of them.
    """

    def __init__(self, runner: Runner) -> None:
        self.depth = 0
        """How many calls run on top of others."""
        self.is_serving = False
        """Whether the main thread is in here, and not in code of users."""
        self._runner = runner
        self._waiters = 0
        self._level = -1
        # Made for what this is: a signal handler may put while the thread that it interrupts gets.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._home = copy_context()

    def fresh_context(self) -> Context | None:
        """Return the context for a call that begins on top of another, whose context is not for it."""
        return self._home.copy() if self.depth else None

    def wake(self) -> None:
        """Have `serve` look whether it is over. Any thread and signal handlers may ask."""
        if self._waiters:
            self._bell.put(None)

    def is_here(self) -> bool:
        """Whether the calling code belongs to a call or a cell on the main thread."""
        runner = self._runner
        return threading.current_thread() is threading.main_thread() and (
            runner.running is not None or runner._gate.closed
        )

    def serve(self, is_over: Callable[[], bool], seconds: float | None) -> None:
        """Run calls as they come until `is_over`, or the time is.

        Raises
        ------
        UsageError
            When too many calls wait on top of each other here.
        KeyboardInterrupt
            When what waits is interrupted.
        """
        if is_over():
            return
        if self.depth >= DEEPEST:
            raise UsageError(
                f"{DEEPEST} calls wait on top of each other on this engine, each for one that it has submitted; deeper "
                "recursion is not for calls: let each do more itself"
            )
        runner = self._runner
        call = runner.running
        level = 0 if call is None else call.options.level
        until = None if seconds is None else time.monotonic() + seconds
        above = self._level
        self._waiters += 1
        self.is_serving = True
        try:
            self._serve(is_over, level, until)
        finally:
            self._waiters -= 1
            if self._level != above:
                self._tell(above)
            self.is_serving = False
        if runner._interrupts.take_pending():
            raise KeyboardInterrupt

    def _serve(self, is_over: Callable[[], bool], level: int, until: float | None) -> None:
        runner = self._runner
        sent = time.perf_counter()
        while not is_over():
            if runner._interrupts.take_pending():
                raise KeyboardInterrupt
            waiting = runner._queue.take_deeper(level)
            if waiting is not None:
                self._run(waiting)
                if time.perf_counter() - sent > UNSENT:
                    runner._send()
                    sent = time.perf_counter()
                continue
            runner._send()
            if self._level != level:
                self._tell(level)
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            try:
                self._bell.get(timeout=left)
                while True:
                    self._bell.get_nowait()
            except queue.Empty:
                pass

    def _tell(self, level: int) -> None:
        self._level = level
        self._runner._lend(self._runner.running, level)

    def _run(self, waiting: Waiting) -> None:
        """Run a call, and put everything back to where it was."""
        runner = self._runner
        runner._take_raw(runner.running)
        outer = runner.running, runner._exposed, runner._task, runner._cancelled
        handler = signal.getsignal(signal.SIGINT)
        aside = runner._work.put_aside()
        runner._exposed, runner._task = False, None
        self.depth += 1
        self.is_serving = False
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + FRAMES)
        try:
            runner._run(waiting)
        finally:
            self.is_serving = True
            sys.setrecursionlimit(limit)
            self.depth -= 1
            runner._work.take_up(aside)
            runner.running, runner._exposed, runner._task, runner._cancelled = outer
            if handler is not signal.getsignal(signal.SIGINT) and handler is not None:
                signal.signal(signal.SIGINT, handler)
