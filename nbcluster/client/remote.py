"""What pickles of a client name: they are read on engines too, so importing this loads nothing else of the client."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def same(value: Any) -> Any:
    """Return what is given: the call behind `put`."""
    return value


def pickled(payload: bytes) -> Any:
    """Return what an engine keeps as the pickle that it is: the call behind `put` of what is shared."""
    from nbcluster.payload.envelopes import Pickled

    return Pickled(payload)


def find_future(cluster: str, file: str, task: str, key: str, label: str) -> Any:
    """Return a Future that owns nothing for a task of a cluster."""
    from nbcluster.client.references import Reference

    return Reference(cluster, file, task, key, label)


def many(what: str, parts: Mapping[int, Any]) -> Any:
    """Return the Future of several engines, or the values where the Futures were replaced by them."""
    from nbcluster.client.callfutures import ManyFuture
    from nbcluster.client.futures import Future

    if all(isinstance(part, Future) for part in parts.values()):
        return ManyFuture(what, parts)
    return dict(parts)


class Joined:
    """A value with its buffers, where only one piece of bytes can be sent: it unpickles as the value."""

    def __init__(self, payload: bytes, buffers: Sequence[bytes]) -> None:
        self.payload, self.buffers = payload, buffers

    def __reduce__(self) -> Any:
        return _split, (self.payload, self.buffers)


def _split(payload: bytes, buffers: Sequence[bytes]) -> Any:
    from nbcluster.payload.values import load_value

    return load_value(payload, buffers, what="a variable")


MOST_BYTES_BEFORE = 16 << 20
"""Bytes of results that an exception brings along at most."""

_BEFORE = "_nbcluster_results_before"


class Chunk:
    """Calls a function for each of several items: the call behind `map`.

    Parameters
    ----------
    function : callable
    single : bool
        Whether an item is the one argument, rather than a tuple of arguments.
    return_exceptions : bool
        Whether what the function raises stands in the results, as an outcome, in place of ending the call.
    keep_before : bool
        Whether what the function raises brings the results of the items before it, for `results_before`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        single: bool,
        return_exceptions: bool,
        keep_before: bool = False,
    ) -> None:
        self.function = function
        self.single = single
        self.return_exceptions = return_exceptions
        self.keep_before = keep_before

    def __call__(self, items: Sequence[Any], start: int) -> Any:
        """Return the results of all items, the first of which is number `start`; awaitable for coroutine functions."""
        if inspect.iscoroutinefunction(self.function):
            return self._await_each(items, start)
        results: list[Any] = []
        if self.single and not self.return_exceptions:
            try:
                for item in items:
                    results.append(self.function(item))  # the length tells which item failed
            except Exception as error:
                self._failed(error, start, items[len(results)], results)
                raise
            return results
        for item in items:
            try:
                results.append(self.function(item) if self.single else self.function(*item))
            except Exception as error:
                results.append(self._failed(error, start, item, results))
                if not self.return_exceptions:
                    raise
        return results

    async def _await_each(self, items: Sequence[Any], start: int) -> list[Any]:
        results: list[Any] = []
        for item in items:
            try:
                results.append(await (self.function(item) if self.single else self.function(*item)))
            except Exception as error:
                results.append(self._failed(error, start, item, results))
                if not self.return_exceptions:
                    raise
        return results

    def _failed(self, error: Exception, start: int, item: Any, before: list[Any]) -> Any:
        _name_item(error, start + len(before), item)
        if self.return_exceptions:
            from nbcluster.payload.errors import dump_exception

            return dump_exception(error)
        if self.keep_before and before:
            _bring_along(error, before)
        return None


def _bring_along(error: Exception, results: list[Any]) -> None:
    from nbcluster.payload.values import dump_value

    try:
        dumped = dump_value(results)
        brought = dumped.payload, [bytes(buffer.raw()) for buffer in dumped.buffers]
    except Exception as reason:
        error.add_note(f"map: the {len(results)} results before it could not be sent: {reason}")
        return
    nbytes = len(brought[0]) + sum(map(len, brought[1]))
    if nbytes > MOST_BYTES_BEFORE:
        error.add_note(
            f"map: the {len(results)} results before it in its chunk are gone: they have {nbytes >> 20} MiB, "
            f"and {MOST_BYTES_BEFORE >> 20} come along with an error; "
            "a smaller chunksize= or return_exceptions=True keeps them"
        )
        return
    vars(error)[_BEFORE] = brought  # in its __dict__, which travels as its notes do


def results_before(error: BaseException) -> list[Any]:
    """Take from what a `Chunk` has raised the results of the items before the one that failed."""
    from nbcluster.payload.values import load_value

    brought = vars(error).pop(_BEFORE, None)
    if brought is None:
        return []
    payload, buffers = brought
    return list(load_value(payload, buffers, what="the results before an error"))


def _name_item(error: Exception, number: int, item: Any) -> None:
    try:
        text = repr(item)
    except Exception as reason:  # a repr of the user's own
        text = f"<a {type(item).__name__} whose repr raises {type(reason).__name__}>"
    error.add_note(f"map: item {number}, {text if len(text) <= 200 else text[:199] + '…'}")
