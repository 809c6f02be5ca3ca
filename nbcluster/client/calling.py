"""The part of a client that has functions run: submit, map, values, records, namespaces. Knows no cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

from nbcluster.client.attached import AttachedCluster, Key
from nbcluster.client.calls import Calls
from nbcluster.client.cellfutures import CellFuture
from nbcluster.client.collecting import as_nest, flatten
from nbcluster.client.connection import Connection
from nbcluster.client.direct import Direct
from nbcluster.client.executor import Executor
from nbcluster.client.futures import Future
from nbcluster.client.graph import Graph
from nbcluster.client.mapping import AsyncMap
from nbcluster.client.namespaces import AsyncNamespace
from nbcluster.client.naming import client_label
from nbcluster.client.oneach import OnEach
from nbcluster.client.options import Options, make_options, namespace_name, tasks_of
from nbcluster.client.records import Table, task_table, value_table
from nbcluster.client.references import Reference
from nbcluster.client.submitting import AsyncSubmitter, Submission
from nbcluster.core.targets import from_python
from nbcluster.errors import UsageError, ValueReleased
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m

HISTORY_PAGE = 5_000
"""Records that are asked for at once."""

CANCELLED = "cancelled by its owner"

DASK = "nbcluster.integrations.dask"
JOBLIB = "nbcluster.integrations.joblib"
"""Imported by name when they are first used: they stand above, and the packages may be missing."""


class CallingCluster(AttachedCluster):
    """A connected cluster that runs functions; see `AsyncCluster`."""

    def _prepare(self) -> None:
        super()._prepare()
        self.calls = Calls(client_label())
        self.submission = Submission(self.calls, self._fleet, Options())
        self.scattered: dict[str, tuple[tuple[int, ...], int]] = {}

    def _attached(self, connection: Connection, path: Path) -> None:
        self.calls.sharing.attach(connection.file, connection.id)
        self.calls.attach(connection, connection.file.name, str(path.absolute()))
        self.calls.direct = Direct(connection.file)

    async def _leaving(self) -> None:
        await self.calls.close()

    @property
    def result_limit(self) -> int | None:
        """Bytes of the pickled value of a call that may come here; None, as at first, for any.

        The value of a call that has more stays on its engine, and `result()` raises ResultTooLarge.
        """
        return self.calls.result_limit

    @result_limit.setter
    def result_limit(self, nbytes: int | None) -> None:
        if nbytes is not None and nbytes < 0:
            raise UsageError(f"a limit of {nbytes} bytes cannot be; None is no limit")
        self.calls.result_limit = nbytes

    # -- functions ----------------------------------------------------------------------------

    async def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Run a function on an engine; return its Future at once.

        Parameters
        ----------
        fn : callable
            A function of the notebook runs with the engine's names as its globals, and brings along those that only
            the notebook has, as they are now. A coroutine function is awaited there.
        *args, **kwargs
            Its arguments. Futures in them, also in lists, tuples, dicts and sets, are replaced by their values.

        Returns
        -------
        Future

        Raises
        ------
        NotSerializable
            When something cannot be sent; the message names it and says where it sits.
        NoEngines, NotSupported
            When no engine could run it.
        UsageError
            For a Future of another cluster.
        """
        await self.calls.room()
        return self.submission.send(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        chunksize: int | None = None,
        ordered: bool = True,
        max_outstanding: int | None = None,
        return_exceptions: bool = False,
    ) -> AsyncMap:
        """Run a function for every item, as the built-in map does; start at once.

        Parameters
        ----------
        fn : callable
        *iterables : iterable
            The shortest ends it. Input is drawn by whoever iterates, no more of it than engines need.
        chunksize : int, optional
            Items in one call; by default so many as take some 30 ms, by measure.
        ordered : bool
            Yield in the order of the input; otherwise as results come.
        max_outstanding : int, optional
            Items drawn and not yet yielded, at most.
        return_exceptions : bool
            Yield the exception of an item in the place of its result.

        Returns
        -------
        asynchronous iterator
            With `.cancel()`. What an item raised is raised in its place, with a note that names the item.
        """
        return AsyncSubmitter(self.submission).map(
            fn,
            *iterables,
            chunksize=chunksize,
            ordered=ordered,
            max_outstanding=max_outstanding,
            return_exceptions=return_exceptions,
        )

    def options(
        self,
        *,
        on: Key | None = None,
        after: Iterable[Future] | Future = (),
        retries: int = 0,
        timeout: float | None = None,
        priority: int = 0,
        resources: Mapping[str, float] | None = None,
        key: str | None = None,
        label: str | None = None,
        namespace: str | None = None,
        repeatable: bool | None = None,
    ) -> AsyncSubmitter:
        """Return what submits under options.

        Parameters
        ----------
        on : int, slice, str or list, optional
            Targets of which the scheduler chooses one; a number pins to that engine.
        after : Futures
            Of calls and cells: start when these are done; if one fails this ends with DependencyFailed.
        retries : int
            How often to run again after the function's own exception.
        timeout : float, optional
            Seconds that it may run.
        priority : int
            Higher goes first.
        resources : mapping of str to float, optional
            What the engine must have, such as ``{"gpu": 1}``.
        key : str, optional
            A name under which the value is held until it is used again or forgotten, and found by `futures()`.
        label : str, optional
            How views name it.
        namespace : str, optional
            The named namespace that it runs in.
        repeatable : bool, optional
            Whether it runs again when its engine is lost; by default unless pinned to an engine or namespace.

        Raises
        ------
        UsageError
            For a value that cannot be.
        """
        options = make_options(
            on, after, retries, timeout, priority, resources, key, label, namespace, repeatable
        )
        return AsyncSubmitter(Submission(self.calls, self._fleet, options))

    async def get(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        """Run a Dask graph and return the values of keys.

        Parameters
        ----------
        dsk : Dask graph
            A dict such as ``{"x": 1, "y": (inc, "x")}``, or what Dask's collections make.
        keys : key, or nest of lists of keys
        **kwargs
            Options of `options`, but `key` and `after`, for every task. Others, which may be for another scheduler
            of Dask, such as `num_workers`, are passed over, as all of these do.

        Returns
        -------
        object, or nest of tuples

        Raises
        ------
        CycleError, UnknownKey, UsageError
            For a graph that cannot be run.
        NotSupported
            When Dask is not installed.
        Exception
            What the first task raised that failed; the others are cancelled.
        """
        return await import_module(DASK).get_async(self.submission, dsk, keys, kwargs)

    def executor(self) -> Executor:
        """Return this cluster as a concurrent.futures.Executor; `run_in_executor` of a loop takes it too.

        Its Futures are the cluster's own. `shutdown` ends the executor, and leaves the cluster as it is.
        `options(...).executor()` returns one whose calls have these options.

        Examples
        --------
        >>> await asyncio.get_running_loop().run_in_executor(cluster.executor(), pow, 2, 10)  # doctest: +SKIP
        1024
        """
        return Executor(self.submission)

    def joblib(self, n_jobs: int = -1, **options: Any) -> AbstractContextManager[None]:
        """Have every `joblib.Parallel` in a block run on this cluster, scikit-learn's too.

        It is ``joblib.parallel_config("nbcluster", ...)``, a name that joblib knows once
        `nbcluster.integrations.joblib` is imported. Parallel blocks its thread: not for the loop's own.

        Parameters
        ----------
        n_jobs : int
            What a Parallel that says nothing has; -1 is every engine.
        **options
            Options of `options`, but `key`, for every batch.

        Examples
        --------
        >>> with cluster.joblib():  # doctest: +SKIP
        ...     GridSearchCV(SVC(), grid).fit(X, y)
        """
        made: AbstractContextManager[None] = import_module(JOBLIB).parallel(self, n_jobs, options)
        return made

    def graph(self) -> Graph:
        """Return a graph of calls that is submitted whole at the end of its block.

        When the block raises, nothing is submitted.

        Examples
        --------
        >>> async with cluster.graph() as g:
        ...     a = g.submit(load, "x")
        ...     b = g.submit(fit, a)
        >>> await b
        """
        return Graph(self.calls, self._fleet)

    async def put(self, value: Any, on: Key | None = None) -> Future:
        """Send a value to the cluster; return a Future that takes its place in arguments.

        Parameters
        ----------
        value : object
        on : int, slice, str or list, optional
            Where it is to lie; by default the scheduler chooses.
        """
        await self.calls.room()
        return self.putting(on).put(value)

    def putting(self, on: Key | None) -> Submission:
        """What `put` sends through, for the facade."""
        targets = "" if on is None or on == "any" else from_python(on)
        return Submission(self.calls, self._fleet, Options(targets=targets, quiet=True, keep=True))

    async def cancel(self, futures: Any = None) -> None:
        """Withdraw what waits and interrupt what runs, all in one message; does not wait for the engines' word.

        Parameters
        ----------
        futures : Future, or iterable or nest of Futures, optional
            None is everything that this client has sent, cells too.
        """
        if futures is None:
            await self.calls.stop_all(CANCELLED)
            return
        wanted = flatten([as_nest(futures)])
        tasks = tasks_of(wanted)
        if tasks:
            self.calls.stop_soon(tasks, CANCELLED)
        for future in wanted:
            if not tasks_of([future]) and not future.done():
                future.ask_to_stop(CANCELLED)

    # -- records ------------------------------------------------------------------------------

    async def futures(self, *, timeout: float = 30) -> dict[str, Future]:
        """The Futures of calls with a key, whoever submitted them, by key."""
        answer = await self.connection.ask(c.ListTasks(keyed=True), c.Records, timeout=timeout)
        return {
            record.key: Reference.of_record(self.calls, record) for record in answer.records if record.key
        }

    async def tasks(self, state: str = "", limit: int = 0, *, timeout: float = 60) -> Table[c.TaskRecord]:
        """Records of tasks that are not over.

        Parameters
        ----------
        state : str
            Only those in this state: waiting, ready, running, stopping; "" is all.
        limit : int
            At most so many; 0 is all. How many were left out is said below the table.
        timeout : float
            Seconds that the controller may take to answer.
        """
        answer = await self.connection.ask(c.ListTasks(state, limit=limit), c.Records, timeout=timeout)
        return task_table(answer.records, _note(answer))

    async def describe(self, limit: int = 0, *, timeout: float = 60) -> Table[c.TaskRecord]:
        """Show the values that this client holds alive on the cluster, largest first, and where they lie.

        Engines that have written results to disk, for want of memory, are named below the table.

        Parameters
        ----------
        limit : int
            At most so many; 0 is all. How many were left out is said below the table, with the sum of all.
        timeout : float
            Seconds that the controller may take to answer.

        Returns
        -------
        list of TaskRecord
            With `key`, `label`, `nbytes` and `engine`; the latter is None for small values, which the controller keeps.

        Examples
        --------
        >>> part = cluster.put(numpy.zeros(1_000_000))
        >>> cluster.describe()
        key          label  where     bytes
        3f0a2c11-0   put    engine 1  8000173
        7.629 MiB in 1 values
        """
        answer = await self.connection.ask(c.ListTasks(held=True, limit=limit), c.Records, timeout=timeout)
        return value_table(answer.records, answer.nbytes, answer.left_out, answer.note)

    async def history(
        self, state: str = "", label: str = "", since: float = 0.0, limit: int = 0, *, timeout: float = 60
    ) -> Table[c.TaskRecord]:
        """Records of tasks that ended, oldest first; kept on disk, and never silently cut.

        Parameters
        ----------
        state : str
            Only done, failed, cancelled or lost ones.
        label : str
            Only those with this label.
        since : float
            Only those that ended after this time, in epoch seconds.
        limit : int
            At most so many; 0 is all. How many were left out is said below the table.
        timeout : float
            Seconds that the controller may take for each page of what it tells.
        """
        records: list[c.TaskRecord] = []
        while True:
            page = HISTORY_PAGE if not limit else min(HISTORY_PAGE, limit - len(records))
            question = c.ReadHistory(state, label, since, len(records), page)
            answer = await self.connection.ask(question, c.Records, timeout=timeout)
            records += answer.records
            if not answer.left_out or not answer.records or (limit and len(records) >= limit):
                return task_table(records, _note(answer))

    async def explain(self, key: str | Future) -> str:
        """Say in a sentence why a task, by its key, id or Future, is where it is."""
        if isinstance(key, CellFuture):
            lines = [await self.calls.explain(task) for task in key.open_tasks]
            return "; ".join(
                part
                for part in ("\n".join(lines) or f"{key.what} has ended: {key.status}", key.remark())
                if part
            )
        return await self.calls.explain(_key_of(key))

    async def forget(self, key: str | Future, *, timeout: float = 30) -> None:
        """Let go of the value that is held under a key.

        Raises
        ------
        KeyError
            When nothing is held under it.
        """
        name = _key_of(key)
        try:
            await self.connection.ask(c.ForgetKey(name), m.Done, timeout=timeout)
        except ValueReleased:
            missing = KeyError(name)
            missing.add_note("nothing is held under this key; cluster.futures() has those that are")
            raise missing from None

    # -- engines' names -----------------------------------------------------------------------

    def on_each(self, targets: str, namespace: str = "", priority: int = 0) -> OnEach:
        """What is done on each of some engines, for views, namespaces and the layers above."""
        return OnEach(self.calls, self._fleet, targets, namespace, priority)

    def note_scatter(self, name: str, numbers: Sequence[int], axis: int = 0, namespace: str = "") -> None:
        """Remember where the parts of a name are."""
        self.scattered[f"{namespace}.{name}" if namespace else name] = (tuple(numbers), axis)

    def gathered(self, name: str, targets: str, namespace: str = "") -> tuple[OnEach, int]:
        """Where the parts of a name are, and the axis that joins them: as its scatter had it, else the targets."""
        numbers, axis = self.scattered.get(f"{namespace}.{name}" if namespace else name, ((), 0))
        where = ",".join(map(str, numbers)) + "," if numbers else targets
        return self.on_each(where, namespace), axis

    def namespace(self, name: str | None = None, on: Key | None = None) -> AsyncNamespace:
        """The names of engines.

        Parameters
        ----------
        name : str, optional
            Of a named namespace, which is made when it is first used; None is the kernels' own.
        on : int, slice, str or list, optional
            The engines; by default all that run Python.
        """
        targets = "" if on is None else from_python(on)
        return AsyncNamespace(self, namespace_name(name), targets)


def _key_of(key: str | Future) -> str:
    if isinstance(key, Future):
        key = getattr(key, "key", "")
    if not isinstance(key, str) or not key:
        raise UsageError(f"{key!r} is no key of a task: it is a text, or the Future of one call")
    return key


def _note(answer: c.Records) -> str:
    left = f"{answer.left_out} more were left out by the limit" if answer.left_out else ""
    return "; ".join(part for part in (left, answer.note) if part)
