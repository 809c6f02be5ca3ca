"""Some engines of a cluster, as named by targets that are resolved at each call. Knows no transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbcluster.client.cells import CellRun
from nbcluster.client.futures import Future, wait_done
from nbcluster.client.gathering import gathering
from nbcluster.client.oneach import OnEach, finish_names
from nbcluster.errors import UsageError
from nbcluster.protocol.origin import Origin

if TYPE_CHECKING:
    from nbcluster.client.aio import AsyncCluster


class AsyncView:
    """Engines of a cluster. An int or `any` target gives bare results, every other one dicts by engine number."""

    def __init__(self, cluster: AsyncCluster, targets: str) -> None:
        self._cluster = cluster
        self.targets = targets

    @property
    def on_each(self) -> OnEach:
        """What is done on each of the engines, for the layers above."""
        return self._cluster.on_each(self.targets)

    def wait_room(self) -> None:
        """Wait in this thread until the controller keeps up with what was submitted."""
        self._cluster.calls.wait_room()

    def note_scatter(self, name: str, numbers: Sequence[int], axis: int) -> None:
        """Remember where the parts of a name are."""
        self._cluster.scattered[name] = (tuple(numbers), axis)

    def where_scattered(self, name: str) -> tuple[OnEach, int]:
        """Where the parts of a name are, and the axis that joins them."""
        return self._cluster.gathered(name, self.targets)

    # -- code ---------------------------------------------------------------------------------

    async def execute(
        self, code: str, *, wait: bool = True, check: bool = False, timeout: float | None = None
    ) -> Any:
        """Run code on each target, without display.

        Parameters
        ----------
        code : str
        wait : bool
            False returns a Future at once.
        check : bool
            Raise when it fails, rather than leave the error in the result.
        timeout : float, optional
            Seconds that the code may run on each engine.

        Returns
        -------
        CellResult, dict of int to CellResult, or Future
        """
        run = await self.send(code, timeout)
        return await self.results_of(run, check=check) if wait else run.future

    async def run(self, file: str | Path, *, wait: bool = True, check: bool = True) -> Any:
        """Run a Python file of this machine on each target, as `%run` of its text would."""
        run = await self.send_file(file)
        return await self.results_of(run, check=check) if wait else run.future

    async def send(self, code: str, timeout: float | None = None) -> CellRun:
        """Send what `execute` runs, for the layers above."""
        return await self._cluster.send_cell(
            code, self.targets, timeout=timeout, want_value=True, origin=Origin("In", "view.execute(...)")
        )

    async def send_file(self, file: str | Path) -> CellRun:
        """Send what `run` runs, for the layers above."""
        path = Path(file)
        try:
            code = path.read_text()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        return await self._cluster.send_cell(
            code, self.targets, label=path.name, origin=Origin("File", str(path))
        )

    async def results_of(self, run: CellRun, *, check: bool) -> Any:
        """Wait for what was sent, for the layers above; to be cancelled here cancels it too."""
        try:
            await wait_done(run.future)
        except asyncio.CancelledError:
            run.cancel()
            raise
        if check and run.future.exception(0) is not None:
            run.future.result(0)
        if run.single:
            return next(iter(run.results.values()))
        return dict(sorted(run.results.items()))

    async def signal(self, signum: int) -> list[int]:
        """Send a POSIX signal to the engine processes."""
        return await self._cluster.signal(signum, self.targets)

    # -- functions ----------------------------------------------------------------------------

    async def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Call a function on every target, behind what each engine runs; return one Future for all at once.

        Parameters
        ----------
        fn : callable
        *args, **kwargs
            Its arguments. `Ref("x")` is the engine's own x; a Future is replaced by its value.

        Returns
        -------
        Future
            Its result is bare for an int or `any` target, otherwise a dict by engine number.
        """
        await self._cluster.calls.room()
        return self.on_each.submit(fn, args, kwargs)

    async def apply(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function on every target and return what it returns, by the shape of the targets."""
        return await (await self.submit(fn, *args, **kwargs))

    # -- variables ----------------------------------------------------------------------------

    async def push(
        self, values: Mapping[str, Any], live: bool = False, *, timeout: float | None = None
    ) -> None:
        """Bind values to names on each target.

        Parameters
        ----------
        values : mapping of str to object
            A Future is replaced by its value, which goes from engine to engine.
        live : bool
            At once, beside what the engine runs, rather than behind it.
        timeout : float, optional
            Seconds to wait.
        """
        if live:
            await self.on_each.write(values)
            return
        await finish_names(self.on_each.push(values), list(values), timeout)

    async def pull(
        self, names: str | Sequence[str], live: bool = False, *, timeout: float | None = None
    ) -> Any:
        """Bring values here, by the shape of the targets; several names give a list.

        Parameters
        ----------
        names : str or sequence of str
        live : bool
            At once, beside what the engine runs, rather than behind it.
        timeout : float, optional
            Seconds to wait.

        Raises
        ------
        KeyError
            When an engine has no such name.
        NotSerializable
            When a value cannot be sent.
        """
        if live:
            wanted = [names] if isinstance(names, str) else list(names)
            return self.on_each.shaped_read(names, await self.on_each.read(wanted))
        return self.on_each.shaped_pull(names, await finish_names(self.on_each.pull(names), names, timeout))

    async def unbind(self, name: str, live: bool = False) -> None:
        """Delete a name from each target's namespace."""
        if live:
            await self.on_each.write({}, [name])
        else:
            await finish_names(self.on_each.delete([name]), name)

    async def scatter(self, name: str, data: Any, axis: int = 0, *, timeout: float | None = None) -> None:
        """Bind a part of data to a name on each target, in the order of the engines.

        Parameters
        ----------
        name : str
        data : sequence, numpy array, pandas DataFrame or Series
            Parts differ by at most one in length.
        axis : int
            Of an array.
        timeout : float, optional
            Seconds to wait.
        """
        future, numbers = self.on_each.scatter(name, data, axis)
        await finish_names(future, name, timeout)
        self.note_scatter(name, numbers, axis)

    async def gather(self, name: str, *, timeout: float | None = None) -> Any:
        """Bring the parts of a name here and join them, from the engines of its scatter, else from the targets.

        Returns
        -------
        list, numpy array, pandas DataFrame or Series
        """
        each, axis = self.where_scattered(name)
        steps = gathering(each, name, axis)
        try:
            async with asyncio.timeout(timeout):
                future = next(steps)
                while True:
                    future = steps.send(await finish_names(future, name))
        except StopIteration as end:
            return end.value

    # -- questions ----------------------------------------------------------------------------

    async def complete(self, code: str, cursor_pos: int | None = None, timeout: float = 0.3) -> list[str]:
        """Completions of code at a position, as the first target's kernel knows them; empty when it is late."""
        position = len(code) if cursor_pos is None else cursor_pos
        answer = await self._cluster.complete(code, position, self.targets, timeout)
        return list(answer.get("matches", []))

    async def inspect(self, code: str, cursor_pos: int | None = None, timeout: float = 0.3) -> str:
        """What the first target's kernel says of the name at a position; empty when it says nothing in time."""
        position = len(code) if cursor_pos is None else cursor_pos
        answer = await self._cluster.inspect(code, position, 0, self.targets, timeout)
        return str(answer.get("data", {}).get("text/plain", ""))

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {self.targets or 'the default engines'!r} in {self._cluster.name!r}>"
        )
