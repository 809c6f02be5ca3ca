"""Makes what a thread prints belong to the cell that started the thread. Knows no kernel.

ipykernel leaves such output to the latest cell, since a new thread has no context. The wrapper around
`Thread.start` takes the parent along, and that around `ThreadPoolExecutor.submit` takes that of each
submitter, since a pool's threads serve many cells. Threads that C code makes are not seen here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

P = TypeVar("P")


class ThreadParents(Generic[P]):
    """Carries the parent of the running code into threads.

    Parameters
    ----------
    capture : callable
        Returns the parent of the code that calls it, or None outside of cells.
    under : callable
        Returns a context manager that makes a parent that of the calling thread.
    """

    def __init__(self, capture: Callable[[], P | None], under: Callable[[P], AbstractContextManager[None]]):
        self._capture = capture
        self._under = under
        self._start = threading.Thread.start
        self._submit = ThreadPoolExecutor.submit

    def install(self) -> None:
        """Wrap the two methods for this process."""
        parents = self

        def start(thread: threading.Thread) -> None:
            parents._start_under_parent(thread)

        def submit(
            pool: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
        ) -> Future[Any]:
            return parents._submit(pool, parents._bind(fn), *args, **kwargs)

        start.__doc__, submit.__doc__ = self._start.__doc__, self._submit.__doc__
        threading.Thread.start = start  # type: ignore[method-assign,assignment]  # this is installing
        ThreadPoolExecutor.submit = submit  # type: ignore[method-assign,assignment]  # as above

    def uninstall(self) -> None:
        """Put the original methods back."""
        threading.Thread.start = self._start  # type: ignore[method-assign]  # see install
        ThreadPoolExecutor.submit = self._submit  # type: ignore[method-assign]  # see install

    def _start_under_parent(self, thread: threading.Thread) -> None:
        parent = self._capture()
        if parent is not None:
            run = thread.run
            captured = parent

            def run_under_parent() -> None:
                del thread.run  # the instance's own, set below: it would keep the thread in a cycle
                with self._under(captured):
                    run()

            thread.run = run_under_parent  # type: ignore[method-assign]  # for this one thread
        self._start(thread)

    def _bind(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        parent = self._capture()
        if parent is None:
            return fn
        captured = parent

        def call_under_parent(*args: Any, **kwargs: Any) -> Any:
            with self._under(captured):
                return fn(*args, **kwargs)

        return call_under_parent
