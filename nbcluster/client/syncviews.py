"""The synchronous faces of a view and of a namespace. What runs calls pickles and waits in the calling thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbcluster.client.cells import CellRun
from nbcluster.client.collecting import finish
from nbcluster.client.futures import Future
from nbcluster.client.gathering import gathering
from nbcluster.client.namespaces import AsyncNamespace
from nbcluster.client.oneach import OnEach, about_names
from nbcluster.client.portal import portal
from nbcluster.client.raising import prepared
from nbcluster.client.records import DifferenceTable, NameTable
from nbcluster.client.views import AsyncView
from nbcluster.errors import EngineErrors, NotSerializable


def _finish(future: Future, names: str | Sequence[str], timeout: float | None = None) -> Any:
    try:
        return finish(future, timeout)
    except (KeyError, NotSerializable, EngineErrors) as error:
        told, cause = about_names(error, names), error.__cause__
    # Raised out here, it has no group of exceptions for its context, which IPython would not draw.
    raise prepared(told) from cause


class View:
    """Engines of a cluster. An int or `any` target gives bare results, every other one dicts by engine number.

    Names are those of the engines' namespaces: ``view["x"]`` reads, ``view["x"] = 1`` binds, ``del view["x"]`` unbinds.
    """

    def __init__(self, twin: AsyncView) -> None:
        self._twin = twin

    @property
    def targets(self) -> str:
        """The targets, as text."""
        return self._twin.targets

    @property
    def on_each(self) -> OnEach:
        """What is done on each of the engines, for the layers above."""
        return self._twin.on_each

    def execute(
        self, code: str, *, wait: bool = True, check: bool = False, timeout: float | None = None
    ) -> Any:
        """Run code on each target, without display; see `AsyncView.execute`."""
        return self._run(self._twin.send(code, timeout), wait, check)

    def run(self, file: str | Path, *, wait: bool = True, check: bool = True) -> Any:
        """Run a Python file of this machine on each target."""
        return self._run(self._twin.send_file(file), wait, check)

    def _run(self, sending: Coroutine[Any, Any, CellRun], wait: bool, check: bool) -> Any:
        sent: list[CellRun] = []

        async def work() -> Any:
            sent.append(await sending)
            return await self._twin.results_of(sent[0], check=check) if wait else sent[0].future

        return portal().call(
            work(), waiting=lambda: sent[0].future.why_waiting() if sent else "the controller"
        )

    def signal(self, signum: int) -> list[int]:
        """Send a POSIX signal to the engine processes."""
        return portal().call(self._twin.signal(signum))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Call a function on every target; return one Future for all at once. See `AsyncView.submit`."""
        self._twin.wait_room()
        return self._twin.on_each.submit(fn, args, kwargs)

    def apply(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function on every target and return what it returns; Ctrl-C cancels it. See `AsyncView.apply`."""
        return finish(self.submit(fn, *args, **kwargs))

    def push(self, values: Mapping[str, Any], live: bool = False, *, timeout: float | None = None) -> None:
        """Bind values to names on each target; `live` at once, beside what runs. See `AsyncView.push`."""
        if live:
            portal().call(self._twin.push(values, live), timeout)
            return
        each = self._twin.on_each
        if not each.push_directly(values):
            _finish(each.push(values), list(values), timeout)

    def pull(self, names: str | Sequence[str], live: bool = False, *, timeout: float | None = None) -> Any:
        """Bring values here, by the shape of the targets; several names give a list. See `AsyncView.pull`."""
        if live:
            return portal().call(self._twin.pull(names, live), timeout)
        each = self._twin.on_each
        if isinstance(names, str) and (read := each.pull_directly(names)) is not None:
            return each.bare(read)
        return each.shaped_pull(names, _finish(each.pull(names), names, timeout))

    def scatter(self, name: str, data: Any, axis: int = 0, *, timeout: float | None = None) -> None:
        """Bind a part of data to a name on each target. See `AsyncView.scatter`.

        Examples
        --------
        >>> view.scatter("part", range(10))
        >>> view.apply(len, Ref("part"))
        {0: 5, 1: 5}
        """
        future, numbers = self._twin.on_each.scatter(name, data, axis)
        _finish(future, name, timeout)
        self._twin.note_scatter(name, numbers, axis)

    def gather(self, name: str, *, timeout: float | None = None) -> Any:
        """Bring the parts of a name here and join them. See `AsyncView.gather`."""
        each, axis = self._twin.where_scattered(name)
        steps = gathering(each, name, axis)
        until = None if timeout is None else time.monotonic() + timeout
        try:
            future = next(steps)
            while True:
                left = None if until is None else max(0.0, until - time.monotonic())
                future = steps.send(_finish(future, name, left))
        except StopIteration as end:
            return end.value

    def complete(self, code: str, cursor_pos: int | None = None, timeout: float = 0.3) -> list[str]:
        """Completions of code at a position, as the first target's kernel knows them."""
        return portal().call(self._twin.complete(code, cursor_pos, timeout))

    def inspect(self, code: str, cursor_pos: int | None = None, timeout: float = 0.3) -> str:
        """What the first target's kernel says of the name at a position."""
        return portal().call(self._twin.inspect(code, cursor_pos, timeout))

    def __getitem__(self, name: str) -> Any:
        return self.pull(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.push({name: value})

    def __delitem__(self, name: str) -> None:
        _finish(self._twin.on_each.delete([name]), name)

    def __repr__(self) -> str:
        return repr(self._twin).replace("AsyncView", "View", 1)


class Namespace:
    """A namespace on some engines: the kernels' own, or a named one.

    Reading and writing wait behind what engines run unless `live`; describing never does. An int or `any` target
    gives bare results, every other one dicts by engine number.

    Examples
    --------
    >>> names = cluster.namespace("exp1")
    >>> names["x"] = 1
    >>> names.describe()
    """

    def __init__(self, twin: AsyncNamespace) -> None:
        self._twin = twin

    @property
    def name(self) -> str:
        """The name of the namespace; "" is the kernel's own."""
        return self._twin.name

    @property
    def targets(self) -> str:
        """The targets, as text."""
        return self._twin.targets

    @property
    def on_each(self) -> OnEach:
        """What is done on each of the engines, for the layers above."""
        return self._twin.on_each

    def push(self, values: Mapping[str, Any], live: bool = False) -> None:
        """Bind values to names; `live` at once, beside what runs."""
        if live:
            portal().call(self._twin.push(values, live))
        else:
            _finish(self.on_each.push(values), list(values))

    def pull(self, names: str | list[str], live: bool = False) -> Any:
        """Bring values here; several names give a list. `live` at once, beside what runs."""
        if live:
            return portal().call(self._twin.pull(names, live))
        each = self.on_each
        return each.shaped_pull(names, _finish(each.pull(names), names))

    def unbind(self, name: str, live: bool = False) -> None:
        """Delete a name; `live` at once, beside what runs."""
        if live:
            portal().call(self._twin.unbind(name, live))
        else:
            _finish(self.on_each.delete([name]), name)

    def clear(self) -> None:
        """Delete all names that users made, when what runs has ended."""
        finish(self.on_each.clear())

    def keys(self) -> Any:
        """The names that users made, at once."""
        return portal().call(self._twin.keys())

    def describe(self) -> NameTable:
        """Name, engine, type, shape and size of everything that users made, at once, also while engines compute."""
        return portal().call(self._twin.describe())

    def diff(self) -> DifferenceTable:
        """The names that are not alike on all engines, at once."""
        return portal().call(self._twin.diff())

    def __getitem__(self, name: str) -> Any:
        return self.pull(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.push({name: value})

    def __delitem__(self, name: str) -> None:
        self.unbind(name)

    def __repr__(self) -> str:
        return repr(self._twin).replace("AsyncNamespace", "Namespace", 1)
