"""What pickles of a client name: they are read on engines too, so importing this loads nothing else of the client."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def same(value: Any) -> Any:
    """Return what is given: the call behind `put`."""
    return value


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


class Chunk:
    """Calls a function for each of several items: the call behind `map`.

    Parameters
    ----------
    function : callable
    single : bool
        Whether an item is the one argument, rather than a tuple of arguments.
    return_exceptions : bool
        Whether what the function raises stands in the results, as an outcome, in place of ending the call.
    """

    def __init__(self, function: Callable[..., Any], *, single: bool, return_exceptions: bool) -> None:
        self.function = function
        self.single = single
        self.return_exceptions = return_exceptions

    def __call__(self, items: Sequence[Any], start: int) -> Any:
        """Return the results of all items, the first of which is number `start`; awaitable for coroutine functions."""
        if inspect.iscoroutinefunction(self.function):
            return self._await_each(items, start)
        if self.single and not self.return_exceptions:
            results: list[Any] = []
            try:
                for item in items:
                    results.append(self.function(item))  # the length tells which item failed
            except Exception as error:
                _name_item(error, start + len(results), items[len(results)])
                raise
            return results
        return [self._one(item, start + at) for at, item in enumerate(items)]

    async def _await_each(self, items: Sequence[Any], start: int) -> list[Any]:
        results = []
        for at, item in enumerate(items):
            try:
                results.append(await (self.function(item) if self.single else self.function(*item)))
            except Exception as error:
                results.append(self._failed(error, start + at, item))
        return results

    def _one(self, item: Any, number: int) -> Any:
        try:
            return self.function(item) if self.single else self.function(*item)
        except Exception as error:
            return self._failed(error, number, item)

    def _failed(self, error: Exception, number: int, item: Any) -> Any:
        from nbcluster.payload.errors import dump_exception

        _name_item(error, number, item)
        if not self.return_exceptions:
            raise error
        return dump_exception(error)


def _name_item(error: Exception, number: int, item: Any) -> None:
    try:
        text = repr(item)
    except Exception as reason:  # a repr of the user's own
        text = f"<a {type(item).__name__} whose repr raises {type(reason).__name__}>"
    error.add_note(f"map: item {number}, {text if len(text) <= 200 else text[:199] + '…'}")
