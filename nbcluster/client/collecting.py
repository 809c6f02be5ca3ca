"""Waits for several Futures, of calls and of cells: wait, as_completed, gather. Knows nothing of what they do."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from nbcluster.client.callfutures import CallFuture, ManyFuture
from nbcluster.client.futures import Future, say
from nbcluster.client.raising import prepared
from nbcluster.client.waiting import Arrivals
from nbcluster.errors import UsageError

ALL_COMPLETED = concurrent.futures.ALL_COMPLETED
FIRST_COMPLETED = concurrent.futures.FIRST_COMPLETED
FIRST_EXCEPTION = concurrent.futures.FIRST_EXCEPTION


CANCEL_PATIENCE = 10.0
"""Seconds that engines have to let go of what was interrupted."""


class DoneAndNotDone(NamedTuple):
    """What `wait` returns."""

    done: set[Future]
    not_done: set[Future]


def as_nest(futures: Any) -> Any:
    """Return a Future or a nest of them as it is, what any other iterable gives as a list.

    Raises
    ------
    UsageError
        When it is neither.
    """
    if isinstance(futures, Future | dict | list | tuple | set | frozenset):
        return futures
    if isinstance(futures, Iterable):
        return list(futures)
    raise _no_future(futures)


def is_keyed(nest: Any) -> bool:
    """Whether Futures are a dict's keys, as in ``{submit(f, x): x for x in ...}``, and none is among its values."""
    return (
        isinstance(nest, dict)
        and bool(nest)
        and all(isinstance(key, Future) for key in nest)
        and not any(_has_future(value) for value in nest.values())
    )


def _has_future(nest: Any) -> bool:
    if isinstance(nest, dict):
        return any(_has_future(each) for each in nest.values()) or is_keyed(nest)
    if isinstance(nest, list | tuple | set | frozenset):
        return any(_has_future(each) for each in nest)
    return isinstance(nest, Future)


def flatten(futures: Iterable[Any]) -> list[Future]:
    """Return all Futures in a nest of lists, tuples, sets and dicts, in order.

    Of a dict its values are meant, or its keys where those are the Futures.

    Raises
    ------
    UsageError
        When something in it is no Future.
    """
    found: list[Future] = []
    for each in futures:
        if isinstance(each, Future):
            found.append(each)
        elif isinstance(each, dict):
            found += flatten(each if is_keyed(each) else each.values())
        elif isinstance(each, list | tuple | set | frozenset):
            found += flatten(each)
        else:
            raise _no_future(each)
    return found


def _no_future(thing: object) -> UsageError:
    return UsageError(
        f"{type(thing).__name__} {thing!r} is no Future of a cluster; submit makes those, and %%distributed --as"
    )


def wait(
    futures: Future | Iterable[Any], timeout: float | None = None, return_when: str = ALL_COMPLETED
) -> DoneAndNotDone:
    """Wait until Futures have ended; Ctrl-C ends only the wait.

    Parameters
    ----------
    futures : Future or iterable of Future
    timeout : float, optional
        Seconds after which it returns all the same.
    return_when : str
        ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION.

    Returns
    -------
    done, not_done : set of Future

    Examples
    --------
    >>> done, not_done = wait(futures, timeout=10)
    """
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
        raise UsageError(
            f"return_when={return_when!r} cannot be: ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION"
        )
    wanted = list(dict.fromkeys(flatten([futures] if isinstance(futures, Future) else futures)))
    arrivals = Arrivals(wanted)
    until = None if timeout is None else time.monotonic() + timeout
    try:
        while arrivals.left:
            future = arrivals.next(until, lambda: _left(wanted))
            if return_when == FIRST_COMPLETED or (
                return_when == FIRST_EXCEPTION and future._error() is not None
            ):
                break
    except TimeoutError:
        pass
    except KeyboardInterrupt as interrupt:
        _say_stopped(arrivals)
        prepared(interrupt)
        raise
    done = {future for future in wanted if future.done()}
    return DoneAndNotDone(done, set(wanted) - done)


def as_completed(futures: Future | Iterable[Any], timeout: float | None = None) -> Iterator[Future]:
    """Yield Futures as they end, those first that have ended; Ctrl-C ends only the wait.

    Parameters
    ----------
    futures : Future or iterable of Future
    timeout : float, optional
        Seconds from now that all may take.

    Raises
    ------
    TimeoutError
        When not all have ended in time.

    Examples
    --------
    >>> for future in as_completed(futures):
    ...     print(future.result())
    """
    wanted = list(dict.fromkeys(flatten([futures] if isinstance(futures, Future) else futures)))
    until = None if timeout is None else time.monotonic() + timeout
    return _each(wanted, until)


def _each(wanted: Sequence[Future], until: float | None) -> Iterator[Future]:
    arrivals = Arrivals(wanted)
    try:
        while arrivals.left:
            yield arrivals.next(until, lambda: _left(wanted))
    except KeyboardInterrupt as interrupt:
        _say_stopped(arrivals)
        prepared(interrupt)
        raise


def _left(wanted: Sequence[Future]) -> str:
    left = [future for future in wanted if not future.done()]
    such = f", such as {left[0].why_waiting()}" if left else ""
    return f"{len(left)} of {len(wanted)} Futures{such}"


def _say_stopped(arrivals: Arrivals) -> None:
    say(f"stopped waiting; {arrivals.left} Futures go on, and cluster.cancel(futures) cancels them")


def gather(*futures: Any, return_exceptions: bool = False, timeout: float | None = None) -> Any:
    """Wait for Futures and return their results; Ctrl-C ends only the wait.

    Parameters
    ----------
    *futures : Future, or one nest of Futures
        Lists, tuples and dicts of Futures give lists, tuples and dicts of results. A dict whose keys are the
        Futures gives the list of their results, in its order.
    return_exceptions : bool
        Put an exception in the place of a result, rather than raise the first one.
    timeout : float, optional
        Seconds to wait for all.

    Returns
    -------
    list, or what was given with results in place of Futures

    Raises
    ------
    TimeoutError
        When the wait was given up; the work goes on.
    Exception
        The first that comes, unless `return_exceptions`.

    Examples
    --------
    >>> gather([cluster.submit(abs, -1), cluster.submit(abs, -2)])
    [1, 2]
    """
    from nbcluster.client.progress import watch

    nest: Any = as_nest(futures[0]) if len(futures) == 1 else list(futures)
    nest = [nest] if isinstance(nest, Future) else nest
    wanted = flatten([nest])
    until = None if timeout is None else time.monotonic() + timeout
    watch(wanted, timeout, "gather", fail_fast=not return_exceptions)
    if not return_exceptions:
        for future in wanted:
            if future.done() and future._error() is not None:
                future.result(0)
    for future in wanted:
        _bring_soon(future)
    return _results(nest, until, return_exceptions)


def _bring_soon(future: Future) -> None:
    if isinstance(future, CallFuture):
        future.bring_soon()
    elif isinstance(future, ManyFuture):
        for part in future.parts.values():
            _bring_soon(part)


def _results(nest: Any, until: float | None, return_exceptions: bool) -> Any:
    if isinstance(nest, Future):
        error = nest._error()
        if error is not None and return_exceptions:
            return error
        return nest._value(until) if error is None else nest.result(0)
    if isinstance(nest, dict) and not is_keyed(nest):
        return {name: _results(each, until, return_exceptions) for name, each in nest.items()}
    if isinstance(nest, tuple):
        return tuple(_results(each, until, return_exceptions) for each in nest)
    return [_results(each, until, return_exceptions) for each in nest]


def finish(future: Future, timeout: float | None = None) -> Any:
    """Wait for work that the caller has just started, and return its result; Ctrl-C cancels it.

    Raises
    ------
    TimeoutError
        When the wait was given up; the work goes on.
    """
    try:
        future.wait_quietly(timeout)
    except KeyboardInterrupt as interrupt:
        # A second one returns at once.
        prepared(interrupt)
        future.cancel(CANCEL_PATIENCE)
        raise
    return future.result(timeout)
