"""A cluster as a concurrent.futures.Executor: submit, map, shutdown. Knows no engines, but how many there may be."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from nbcluster.client.callfutures import CallFuture
from nbcluster.client.collecting import wait
from nbcluster.client.futures import Future
from nbcluster.client.remote import Chunk
from nbcluster.client.submitting import Submission
from nbcluster.errors import ExecutorShutDown, UsageError

T = TypeVar("T")

WITHDRAWN = "cancelled: its executor was shut down, or its results are not wanted any more"


class Executor(concurrent.futures.Executor):
    """What `Cluster.executor()` returns: a cluster for programs that want an Executor of the standard library.

    Its Futures are the cluster's own: they may be arguments of other calls, awaited, waited for with
    `concurrent.futures.wait`. There are as many workers as engines; `shutdown` leaves the cluster as it is.

    Parameters
    ----------
    submission : Submission
        What calls are sent through, with their options.

    Examples
    --------
    >>> with cluster.executor() as executor:  # doctest: +SKIP
    ...     print(sum(executor.map(pow, range(10), range(10), chunksize=5)))
    """

    def __init__(self, submission: Submission) -> None:
        if submission.options.key:
            raise UsageError("a key names one call, and an executor makes many; use submit for it, or label=")
        self._submission = submission
        self._unfinished: dict[CallFuture, None] = {}
        """In the order of submission."""
        self._is_shut = False
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Run a function on an engine; return its Future at once.

        Raises
        ------
        ExecutorShutDown
            A RuntimeError, after `shutdown`.
        NotSerializable, NoEngines, NotSupported
            As `Cluster.submit`.

        Examples
        --------
        >>> executor.submit(pow, 2, 10).result()  # doctest: +SKIP
        1024
        """
        return self._send(fn, args, kwargs)

    def _send(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallFuture:
        self._submission.calls.wait_room()
        with self._lock:
            if self._is_shut:
                raise ExecutorShutDown(
                    "cannot schedule new futures after shutdown of this executor; cluster.executor() makes another"
                )
            future = self._submission.send(fn, args, kwargs)
            self._unfinished[future] = None
        future.tell_when_done(self._forget)
        return future

    def _forget(self, future: CallFuture) -> None:
        self._unfinished.pop(future, None)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Run a function for every item; an iterator of the results, in order.

        All input is drawn and submitted at once, unless there is a `buffersize`. When the iterator ends early (an
        error, a timeout, `close`), calls that have not begun are withdrawn. `Cluster.map` does more: it chooses the
        size of chunks, and draws no more input than is needed.

        Parameters
        ----------
        fn : callable
        *iterables : iterable
            The shortest ends it.
        timeout : float, optional
            Seconds from now that all may take.
        chunksize : int
            Items in one call.
        buffersize : int, optional
            Calls that may be submitted before their results are taken, at most.

        Raises
        ------
        TimeoutError
            By the iterator, when a result does not come in time.
        UsageError
            A ValueError, for sizes that cannot be.

        Examples
        --------
        >>> list(executor.map(pow, [2, 3], [10, 2]))  # doctest: +SKIP
        [1024, 9]
        """
        for name, value in (("chunksize", chunksize), ("buffersize", buffersize)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UsageError(f"{name}={value!r} cannot be: it is a whole number above 0")
        if not callable(fn):
            raise UsageError(f"{fn!r} cannot be called; map takes a function and iterables")
        until = None if timeout is None else time.monotonic() + timeout
        items = zip(*iterables)  # noqa: B905  # the shortest ends it, like map
        sent = self._send_items(fn, items) if chunksize == 1 else self._send_chunks(fn, items, chunksize)
        ahead = deque(sent if buffersize is None else islice(sent, buffersize))
        results = self._results(sent, ahead, until)
        return results if chunksize == 1 else _items_of(results)

    def _send_items(self, fn: Callable[..., Any], items: Iterator[Any]) -> Iterator[CallFuture]:
        for item in items:
            yield self._send(fn, item, {})

    def _send_chunks(self, fn: Callable[..., Any], items: Iterator[Any], size: int) -> Iterator[CallFuture]:
        chunk_of = Chunk(fn, single=False, return_exceptions=False)
        start = 0
        while chunk := list(islice(items, size)):
            yield self._send(chunk_of, (chunk, start), {})
            start += len(chunk)

    def _results(
        self, sent: Iterator[CallFuture], ahead: deque[CallFuture], until: float | None
    ) -> Iterator[Any]:
        try:
            while ahead:
                # Nothing here may hold on to a Future, or to a result, once it is yielded.
                yield ahead.popleft().result(None if until is None else max(0.0, until - time.monotonic()))
                ahead.extend(islice(sent, 1))
        finally:
            self._withdraw(ahead)

    def _withdraw(self, futures: Iterable[CallFuture]) -> None:
        """Cancel those that no worker is at; the first in the order of submission are with the workers."""
        unfinished = list(self._unfinished)
        taken = set(unfinished[: self._submission.workers])
        waiting = [each.task for each in futures if not (each.done() or each in taken or each.running())]
        if waiting:
            self._submission.calls.stop_soon(waiting, WITHDRAWN)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. The cluster goes on.

        Parameters
        ----------
        wait : bool
            Return when all calls have ended.
        cancel_futures : bool
            Withdraw the calls that have not begun.
        """
        with self._lock:
            self._is_shut = True
        if cancel_futures:
            self._withdraw(list(self._unfinished))
        if wait:
            _wait_for(list(self._unfinished))

    def __repr__(self) -> str:
        state = "shut down" if self._is_shut else f"{len(self._unfinished)} calls unfinished"
        return f"<Executor on {self._submission.calls.cluster!r}: {state}>"


def _wait_for(futures: list[CallFuture]) -> None:
    wait(list[Future](futures))


def _items_of(chunks: Iterator[list[Any]]) -> Iterator[Any]:
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()  # what is yielded is not held
