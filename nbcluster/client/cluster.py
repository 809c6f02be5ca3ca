"""The synchronous face of a cluster. Adds nothing: each method is its async twin's, through the portal."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Self, TypeVar

from nbcluster.client import current
from nbcluster.client.aio import AsyncCluster
from nbcluster.client.attached import Key
from nbcluster.client.calling import DASK
from nbcluster.client.calls import Calls
from nbcluster.client.executor import Executor
from nbcluster.client.frontface import FrontFace
from nbcluster.client.futures import Future
from nbcluster.client.graph import Graph
from nbcluster.client.lifecycle import END_PATIENCE
from nbcluster.client.mapping import Map
from nbcluster.client.oneach import OnEach
from nbcluster.client.portal import portal
from nbcluster.client.records import Table
from nbcluster.client.submitting import Submitter
from nbcluster.client.syncviews import Namespace, View
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m

T = TypeVar("T")


class Cluster(FrontFace):
    """A cluster: start one, or connect to the one of its name.

    In a notebook ``Cluster(n)`` is the notebook's own cluster, which outlives its kernel; in a script without a name
    it is a new one that ends with the script. Returns when n engines are ready. ``with`` stops only a cluster that
    it started. The parameters are those of `AsyncCluster`.

    Examples
    --------
    >>> with Cluster(2) as cluster:  # doctest: +SKIP
    ...     cluster[:].execute("6 * 7")[0].value
    42
    """

    def __init__(
        self,
        n: int | None = None,
        *,
        name: str | None = None,
        launcher: str = "local",
        kernel: str = "",
        tags: Sequence[str] = (),
        resources: Mapping[str, float] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        gpus_per_engine: int = 0,
        threads_per_engine: int | None = None,
        memory_limit: float | str | None = None,
        restart: str = "always",
        idle_timeout: float | None = None,
        timeout: float = 60,
    ) -> None:
        twin = AsyncCluster(
            n,
            name=name,
            launcher=launcher,
            kernel=kernel,
            tags=tags,
            resources=resources,
            env=env,
            cwd=cwd,
            threads_per_engine=threads_per_engine,
            memory_limit=memory_limit,
            gpus_per_engine=gpus_per_engine,
            restart=restart,
            idle_timeout=idle_timeout,
            timeout=timeout,
        )
        portal().call(twin.start(), waiting=lambda: f"the engines of {twin.name!r} to start")
        self._adopt(twin)

    def _adopt(self, twin: AsyncCluster) -> None:
        self._twin = twin
        current.use(self)
        portal().at_exit(self._leave)

    def _ask(self, work: Coroutine[Any, Any, T], what: str = "the controller to answer") -> T:
        return portal().call(work, waiting=lambda: what)

    async def _leave(self) -> None:
        if self._twin.is_connected:
            await (self._twin.stop(force=True) if self._twin.is_scripts_own else self._twin.close())

    @classmethod
    def connect(cls, name_or_file: str | os.PathLike[str] | None = None, *, timeout: float = 10) -> Self:
        """Connect to a running cluster; see `AsyncCluster.connect`."""
        self = cls.__new__(cls)
        self._adopt(portal().call(AsyncCluster.connect(name_or_file, timeout=timeout)))
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: Any) -> None:
        portal().call(self._twin.__aexit__(*raised))

    @property
    def name(self) -> str:
        """The name of the cluster."""
        return self._twin.name

    @property
    def language(self) -> str:
        """The language whose engines are meant when no target is named."""
        return "python"

    @property
    def idle_timeout(self) -> float | None:
        """Seconds without client and work after which it ends; None: never."""
        return self._twin.idle_timeout

    @property
    def result_limit(self) -> int | None:
        """Bytes of the pickled value of a call that may come here; None, as at first, for any."""
        return self._twin.result_limit

    @result_limit.setter
    def result_limit(self, nbytes: int | None) -> None:
        self._twin.result_limit = nbytes

    @property
    def is_connected(self) -> bool:
        """Whether the controller can be asked."""
        return self._twin.is_connected

    @property
    def started_here(self) -> bool:
        """Whether this object started the cluster, rather than found it."""
        return self._twin.started_here

    @property
    def engines(self) -> list[m.EngineStatus]:
        """The engines, by number, asked now."""
        return list(self.status().engines)

    @property
    def last(self) -> Future | None:
        """The Future of the last cell that was sent."""
        return self._twin.last

    @property
    def unfinished(self) -> list[Future]:
        """The Futures of this client's cells and calls that have not ended."""
        return self._twin.unfinished

    def status(self, usage: bool = False, *, timeout: float = 30) -> m.ClusterStatus:
        """Ask what the cluster is at; `usage` also measures memory and CPU of the engines."""
        return self._ask(self._twin.status(usage, timeout=timeout))

    def stop(self, force: bool = False, *, timeout: float = END_PATIENCE) -> None:
        """End engines and controller; refused while others are connected, unless forced."""
        self._ask(self._twin.stop(force, timeout=timeout), f"the cluster {self.name!r} to end")

    def close(self) -> None:
        """Detach; the cluster goes on."""
        portal().call(self._twin.close())

    def add(
        self,
        n: int,
        *,
        launcher: str = "local",
        kernel: str = "",
        tags: Sequence[str] = (),
        resources: Mapping[str, float] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        gpus_per_engine: int = 0,
        threads_per_engine: int | None = None,
        memory_limit: float | str | None = None,
        restart: str = "always",
        timeout: float = 60,
    ) -> list[int]:
        """Start n more engines and wait until they answer; return their numbers."""
        work = self._twin.add(
            n,
            launcher=launcher,
            kernel=kernel,
            tags=tags,
            resources=resources,
            env=env,
            cwd=cwd,
            threads_per_engine=threads_per_engine,
            memory_limit=memory_limit,
            gpus_per_engine=gpus_per_engine,
            restart=restart,
            timeout=timeout,
        )
        return self._ask(work, f"{n} engines to start")

    def start_up_to(self, n: int, *, kernel: str = "", timeout: float = 60) -> list[int]:
        """Have at least n engines of a kernel; none is removed. Return the numbers of those started."""
        return self._ask(self._twin.start_up_to(n, kernel=kernel, timeout=timeout), "engines to start")

    def scale(self, n: int, *, timeout: float = 60) -> list[int]:
        """Have exactly n engines; idle ones go first."""
        return self._ask(self._twin.scale(n, timeout=timeout), f"the cluster to have {n} engines")

    def remove(self, targets: Key = "all", *, timeout: float = 60) -> list[int]:
        """Stop engines for good; return their numbers."""
        return self._ask(self._twin.remove(targets, timeout=timeout), "engines to end")

    def restart(self, targets: Key = "all", *, timeout: float = 60) -> list[int]:
        """End these engines' processes and start new ones under the same numbers; return the numbers."""
        return self._ask(self._twin.restart(targets, timeout=timeout), "engines to restart")

    def interrupt(self, targets: Key = "all", *, timeout: float = 30) -> list[int]:
        """Interrupt whatever runs there now, whoever sent it."""
        return self._ask(self._twin.interrupt(targets, timeout=timeout))

    def signal(self, signum: int, targets: Key = "all", *, timeout: float = 30) -> list[int]:
        """Send a POSIX signal to the engine processes."""
        return self._ask(self._twin.signal(signum, targets, timeout=timeout))

    def wait_for_engines(self, n: int, timeout: float = 60) -> list[m.EngineStatus]:
        """Wait until n engines are ready; return all that are."""
        return self._ask(self._twin.wait_for_engines(n, timeout), f"{n} engines to be ready")

    def logs(self, engine: int | None = None, lines: int = 200, *, timeout: float = 30) -> str:
        """The last lines of an engine's log, or of the controller's own."""
        return self._ask(self._twin.logs(engine, lines, timeout=timeout))

    def set_options(self, *, idle_timeout: float | None = None, timeout: float = 30) -> None:
        """Change options of the running cluster; a negative idle_timeout means never."""
        self._ask(self._twin.set_options(idle_timeout=idle_timeout, timeout=timeout))

    def __getitem__(self, targets: Key) -> View:
        return View(self._twin[targets])

    # -- functions ----------------------------------------------------------------------------

    @property
    def calls(self) -> Calls:
        """The calls of this client, for the layers above."""
        return self._twin.calls

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Run a function on an engine; return its Future at once. See `AsyncCluster.submit`.

        Examples
        --------
        >>> cluster.submit(pow, 2, 10).result()
        1024
        """
        self._twin.calls.wait_room()  # pickled in this thread
        return self._twin.submission.send(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        chunksize: int | None = None,
        ordered: bool = True,
        max_outstanding: int | None = None,
        return_exceptions: bool = False,
    ) -> Map:
        """Run a function for every item; an iterator of the results. See `AsyncCluster.map`.

        Examples
        --------
        >>> list(cluster.map(abs, [-1, 2, -3]))
        [1, 2, 3]
        """
        return Submitter(self._twin.submission).map(
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
    ) -> Submitter:
        """Return what submits under options. See `AsyncCluster.options`.

        Examples
        --------
        >>> cluster.options(on=0, retries=2, label="fit").submit(fit, data)
        """
        made = self._twin.options(
            on=on,
            after=after,
            retries=retries,
            timeout=timeout,
            priority=priority,
            resources=resources,
            key=key,
            label=label,
            namespace=namespace,
            repeatable=repeatable,
        )
        return Submitter(made.submission)

    def get(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        """Run a Dask graph and return the values of keys; works as Dask's ``scheduler=``. See `AsyncCluster.get`.

        Ctrl-C cancels it.

        Examples
        --------
        >>> cluster.get({"x": 4, "y": (pow, "x", 2)}, ["x", "y"])
        (4, 16)
        """
        return import_module(DASK).get(self._twin.submission, dsk, keys, kwargs)

    def executor(self) -> Executor:
        """Return this cluster as a concurrent.futures.Executor. See `AsyncCluster.executor`."""
        return self._twin.executor()

    def joblib(self, n_jobs: int = -1, **options: Any) -> AbstractContextManager[None]:
        """Have every `joblib.Parallel` in a block run on this cluster. See `AsyncCluster.joblib`."""
        return self._twin.joblib(n_jobs, **options)

    def graph(self) -> Graph:
        """Return a graph of calls that is submitted whole at the end of its block. See `AsyncCluster.graph`.

        Examples
        --------
        >>> with cluster.graph() as g:
        ...     a = g.submit(pow, 2, 5)
        ...     b = g.submit(pow, a, 2)
        >>> b.result()
        1024
        """
        return self._twin.graph()

    def put(self, value: Any, on: Key | None = None) -> Future:
        """Send a value to the cluster; return a Future that takes its place in arguments."""
        self._twin.calls.wait_room()
        return self._twin.putting(on).put(value)

    def cancel(self, futures: Any = None) -> None:
        """Withdraw what waits and interrupt what runs, all in one message; None is everything of this client."""
        portal().call(self._twin.cancel(futures))

    def futures(self, *, timeout: float = 30) -> dict[str, Future]:
        """The Futures of calls with a key, whoever submitted them, by key."""
        return self._ask(self._twin.futures(timeout=timeout))

    def tasks(self, state: str = "", limit: int = 0, *, timeout: float = 60) -> Table[c.TaskRecord]:
        """Records of tasks that are not over. See `AsyncCluster.tasks`."""
        return self._ask(self._twin.tasks(state, limit, timeout=timeout))

    def describe(self, limit: int = 0, *, timeout: float = 60) -> Table[c.TaskRecord]:
        """Show the values that this client holds alive on the cluster. See `AsyncCluster.describe`."""
        return self._ask(self._twin.describe(limit, timeout=timeout))

    def history(
        self, state: str = "", label: str = "", since: float = 0.0, limit: int = 0, *, timeout: float = 60
    ) -> Table[c.TaskRecord]:
        """Records of tasks that ended, oldest first. See `AsyncCluster.history`."""
        return self._ask(self._twin.history(state, label, since, limit, timeout=timeout), "the history")

    def explain(self, key: str | Future) -> str:
        """Say in a sentence why a task, by its key, id or Future, is where it is."""
        return self._ask(self._twin.explain(key))

    def forget(self, key: str | Future, *, timeout: float = 30) -> None:
        """Let go of the value that is held under a key; KeyError when there is none."""
        self._ask(self._twin.forget(key, timeout=timeout))

    def namespace(self, name: str | None = None, on: Key | None = None) -> Namespace:
        """The names of engines: a named namespace, or the kernels' own. See `AsyncCluster.namespace`."""
        return Namespace(self._twin.namespace(name, on))

    def on_each(self, targets: str, namespace: str = "", priority: int = 0) -> OnEach:
        """What is done on each of some engines, for the layers above."""
        return self._twin.on_each(targets, namespace, priority)

    def gathered(self, name: str, targets: str, namespace: str = "") -> tuple[OnEach, int]:
        """Where the parts of a name are, and the axis that joins them. See `AsyncCluster.gathered`."""
        return self._twin.gathered(name, targets, namespace)

    def note_scatter(self, name: str, numbers: Sequence[int], axis: int = 0, namespace: str = "") -> None:
        """Remember where the parts of a name are."""
        self._twin.note_scatter(name, numbers, axis, namespace)

    # -- cells --------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Callable[[str], Cluster], tuple[str]]:
        """A cluster travels as its address: where it is unpickled it is that process's connection to it."""
        return current.connect_to, (self._twin.calls.address[1],)

    def __repr__(self) -> str:
        return repr(self._twin).replace("AsyncCluster", "Cluster", 1)
