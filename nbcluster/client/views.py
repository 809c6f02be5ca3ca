"""Some engines of a cluster, as named by targets that are resolved at each call. Knows no transport."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from nbcluster.client.cells import CellRun
from nbcluster.client.futures import wait_done
from nbcluster.errors import NotSerializable, RemoteError, UsageError
from nbcluster.protocol.origin import Origin

if TYPE_CHECKING:
    from nbcluster.client.aio import AsyncCluster


def check_name(name: object) -> None:
    """Refuse what cannot be the name of a variable."""
    if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
        raise UsageError(f"{name!r} is no identifier, so it cannot be the name of a variable on an engine")


def pack_values(values: Mapping[str, Any]) -> dict[str, bytes]:
    """Pickle values by name.

    Raises
    ------
    UsageError
        When a name is no identifier.
    NotSerializable
        When a value cannot be pickled; the message names it.
    """
    packed = {}
    for name, value in values.items():
        check_name(name)
        try:
            packed[name] = cloudpickle.dumps(value, protocol=5)
        except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise NotSerializable(
                f"{name!r} ({type(value).__name__}) cannot be sent to an engine: {error}"
            ) from error
    return packed


class AsyncView:
    """Engines of a cluster. An int or `any` target gives bare results, every other one dicts by engine number."""

    def __init__(self, cluster: AsyncCluster, targets: str) -> None:
        self._cluster = cluster
        self.targets = targets

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
        run = await self._cluster.send_cell(
            code, self.targets, timeout=timeout, want_value=True, origin=Origin("In", "view.execute(...)")
        )
        if not wait:
            return run.future
        return await self._results(run, check=check)

    async def run(self, file: str | Path, *, wait: bool = True, check: bool = True) -> Any:
        """Run a Python file of this machine on each target, as `%run` of its text would."""
        path = Path(file)
        try:
            code = path.read_text()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        run = await self._cluster.send_cell(
            code, self.targets, label=path.name, origin=Origin("File", str(path))
        )
        if not wait:
            return run.future
        return await self._results(run, check=check)

    async def signal(self, signum: int) -> list[int]:
        """Send a POSIX signal to the engine processes."""
        return await self._cluster.signal(signum, self.targets)

    async def push(self, values: Mapping[str, Any]) -> None:
        """Bind values to names on each target."""
        run = await self._cluster.send_cell("", self.targets, silent=True, push=pack_values(values))
        await self._results(run, check=True)

    async def pull(self, names: str | Sequence[str]) -> Any:
        """Bring values here, by the shape of the targets; several names give a list.

        Raises
        ------
        KeyError
            When an engine has no such name.
        NotSerializable
            When a value cannot be sent.
        """
        wanted = [names] if isinstance(names, str) else list(names)
        for name in wanted:
            check_name(name)
        run = await self._cluster.send_cell("", self.targets, silent=True, pull=wanted)
        results = await self._results(run, check=True)
        by_engine = {results.engine: results} if run.single else results
        values = {
            number: result.load(names) if isinstance(names, str) else [result.load(name) for name in wanted]
            for number, result in by_engine.items()
        }
        return next(iter(values.values())) if run.single else values

    async def unbind(self, name: str) -> None:
        """Delete a name from each target's namespace."""
        check_name(name)
        run = await self._cluster.send_cell(f"del {name}", self.targets, silent=True)
        results = await self._results(run, check=False)
        for result in [results] if run.single else results.values():
            if isinstance(result.error, RemoteError) and result.error.ename == "NameError":
                raise KeyError(name)
            if result.error is not None:
                raise result.error

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

    async def _results(self, run: CellRun, *, check: bool) -> Any:
        await wait_done(run.future)
        if check and run.future.exception(0) is not None:
            run.future.result(0)
        if run.single:
            return next(iter(run.results.values()))
        return dict(sorted(run.results.items()))

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {self.targets or 'the default engines'!r} in {self._cluster.name!r}>"
        )
