"""Runs Dask graphs on a cluster: what is behind `cluster.get`. Knows calls and Futures; graphs are read elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

from nbcluster.client.callfutures import CallFuture
from nbcluster.client.futures import Future, wait_done
from nbcluster.client.options import Placement, make_options
from nbcluster.client.progress import Line, line, next_ended
from nbcluster.client.remote import same
from nbcluster.client.submitting import Submission
from nbcluster.client.waiting import Arrivals
from nbcluster.errors import DependencyFailed
from nbcluster.ids import TaskId
from nbcluster.integrations import daskgraphs
from nbcluster.integrations.daskcallbacks import Watch, watched
from nbcluster.integrations.daskgraphs import Key, Reading
from nbcluster.integrations.nodes import RunNode
from nbcluster.payload.sizes import approximate_size

OPTIONS = frozenset(("on", "retries", "timeout", "priority", "resources", "label", "namespace", "repeatable"))
"""Options of calls, which hold for every task of a graph. What else is given is for other schedulers of Dask: each of
them passes over what it does not know, and so does this one."""

ANNOTATIONS = {"priority": "priority", "retries": "retries", "resources": "resources", "workers": "on"}
"""What `dask.annotate` may say of tasks, and the option of calls that is the same. It goes before that of the graph."""

GIVEN_WITH_TASKS = 4_096
"""Bytes of a plain value up to which each task that needs it gets a copy; a larger one is sent once."""

NO_LONGER_NEEDED = "cancelled: another task of its graph failed, or nobody waits for the graph any more"


class Run:
    """A graph on its way through a cluster.

    Parameters
    ----------
    submission : Submission
        Of the cluster.
    dsk : Dask graph
    keys : key, or nest of lists of keys
    options : mapping
        What `get` was told beside.
    watch : Watch, optional
        Is told what becomes of each task. Then each is a call of its own.

    Raises
    ------
    UnknownKey, CycleError, UsageError
        When it cannot be run.
    NotSupported
        When Dask is missing.
    """

    def __init__(
        self,
        submission: Submission,
        dsk: Any,
        keys: Any,
        options: Mapping[str, Any],
        watch: Watch | None = None,
    ) -> None:
        self._keys = keys
        self._wanted = list(daskgraphs.flat(keys))
        self._watch = watch
        self._reading: Reading = daskgraphs.read(
            dsk, self._wanted, watch.start if watch is not None else None
        )
        self._submission = submission
        self._calls = submission.calls
        self._options = {name: value for name, value in options.items() if name in OPTIONS}
        self._placement = submission.placement_under(make_options(**self._options))
        self._placements: dict[str, Placement] = {}
        self._watched: dict[Future, Key] = {}
        """Of those that end yet, when each is told."""
        self._values: dict[Key, Any] = {}
        """Of each node that is sent: its Future, or the value that is given with the tasks that need it."""
        self._kinds: dict[str, RunNode] = {}
        self._tasks: list[TaskId] = []
        self.what = f"{len(self._reading.nodes)} tasks of a Dask graph"

    def send(self) -> Iterator[None]:
        """Send one task after another; whoever iterates sees to it that there is room.

        The Future of a task that is not wanted is dropped with the last task that needs it: its value is let go when
        those are done.
        """
        from dask._task_spec import DataNode
        from dask.utils import key_split

        reading = self._reading
        if self._watch is not None:
            self._watch.begin(self._wanted, reading.places, self._submission.workers)
        wanted = {reading.home_of(key) for key in self._wanted}
        left = dict(reading.uses)
        for key, node in reading.nodes.items():
            if isinstance(node, DataNode):
                value = node.value
                once = key in wanted or left[key] <= 1 or approximate_size(value) <= GIVEN_WITH_TASKS
                self._values[key] = value if once else self._put(value)
            else:
                needs = {need: reading.home_of(need) for need in node.dependencies}
                values = {need: self._values[home] for need, home in needs.items()}
                future = self._values[key] = self._submit(key, node, values, key_split(key))
                if self._watch is not None:
                    self._watched[future] = key
                for home in needs.values():
                    left[home] -= 1
                    if not left[home] and home not in wanted:
                        del self._values[home]
            yield

    def _put(self, value: Any) -> Future:
        packer = self._calls.packer
        kind = self._placement.kind("put")
        future = self._calls.send(kind, packer.function(same), packer.arguments((value,), {}))
        self._tasks.append(future.task)
        return future

    def _submit(self, key: Key, node: Any, values: Mapping[Key, Any], kind: str) -> CallFuture:
        run = self._kinds.setdefault(kind, RunNode(kind))
        packer = self._calls.packer
        packed = packer.arguments((node, values), {})
        placement = self._placement_of(key)
        future = self._calls.send(placement.kind(kind, run), packer.function(run), packed)
        self._tasks.append(future.task)
        return future

    def _placement_of(self, key: Key) -> Placement:
        said = self._reading.annotations.get(key)
        options = options_of(said) if said else None
        if not options:
            return self._placement
        name = repr(sorted(options.items()))
        known = self._placements.get(name)
        if known is None:
            known = self._placements[name] = self._submission.placement_under(
                make_options(**(self._options | options))
            )
        return known

    @property
    def awaited(self) -> list[Future]:
        """The Futures that are waited for: of the wanted keys, or of all when each is told."""
        return self.outputs if self._watch is None else list(self._watched)

    @property
    def wants_values(self) -> bool:
        """Whether the value of each that is waited for is to be brought here at once."""
        return self._watch is not None and self._watch.wants_values

    def tell(self, ended: Future, value: Any = None) -> None:
        """Tell who watches that a task has ended, with its value where that is wanted."""
        if self._watch is not None:
            self._watch.ended(self._watched.pop(ended), value, getattr(ended, "engine", None))

    @property
    def outputs(self) -> list[Future]:
        """The Futures of the wanted keys, as far as they have one."""
        homes = dict.fromkeys(self._reading.home_of(key) for key in self._wanted)
        return [value for home in homes if isinstance(value := self._values[home], Future)]

    def cancel(self) -> None:
        """Withdraw and interrupt what is not done."""
        self._calls.stop_soon(self._tasks, NO_LONGER_NEEDED)

    def check(self, output: Future) -> None:
        """Raise what the first task raised that failed, when an output did for it."""
        error = first = output._error()
        while isinstance(first, DependencyFailed) and first.__cause__ is not None:
            first = first.__cause__  # Dask's own schedulers raise what the task raised, too
        if first is not error and first is not None:
            output._raise(first)
        if error is not None:
            output.result(0)

    def results(self) -> Any:
        """Return the values of the wanted keys, in the nest in which these were given."""
        values = {}
        for output in self.outputs:
            if isinstance(output, CallFuture):
                output.bring_soon()
        for key in self._wanted:
            value = self._values[self._reading.home_of(key)]
            values[key] = value.result() if isinstance(value, Future) else value
        return daskgraphs.nested(self._keys, values)


def options_of(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of calls that annotations of Dask stand for; what has none is passed over."""
    options = {ANNOTATIONS[name]: value for name, value in annotations.items() if name in ANNOTATIONS}
    if annotations.get("allow_other_workers"):
        options.pop("on", None)  # a wish, of which the scheduler knows better
    elif isinstance(on := options.get("on"), list | tuple | set | frozenset):
        numbers = all(isinstance(each, int) for each in on)
        options["on"] = sorted(on) if numbers else ",".join(map(str, on))
    return options


def get(submission: Submission, dsk: Any, keys: Any, options: Mapping[str, Any]) -> Any:
    """Run a graph and wait for it in this thread. See `Cluster.get`."""
    with watched(options.get("callbacks")) as watch:
        run = Run(submission, dsk, keys, options, watch)
        try:
            for _ in run.send():
                submission.calls.wait_room()
            arrivals = Arrivals(run.awaited)
            calls = submission.calls
            shows = line(run.what, arrivals.left, unit="output", address=calls.address)
            with shows if watch is None else nullcontext(Line()) as shown:  # Dask's own bar is enough
                while arrivals.left:
                    ended = next_ended(
                        arrivals, None, lambda: f"{arrivals.left} outputs of {run.what}", shown
                    )
                    run.check(ended)
                    shown.advance()
                    run.tell(ended, ended.result() if run.wants_values else None)
            return run.results()
        except BaseException:
            run.cancel()
            raise


async def get_async(submission: Submission, dsk: Any, keys: Any, options: Mapping[str, Any]) -> Any:
    """Run a graph and wait for it on this loop. See `AsyncCluster.get`."""
    with watched(options.get("callbacks")) as watch:
        run = Run(submission, dsk, keys, options, watch)
        try:
            for _ in run.send():
                await submission.calls.room()
            for ended in run.awaited:
                await wait_done(ended)
                run.check(ended)
                run.tell(ended, await ended if run.wants_values else None)
            for output in run.outputs:
                await output
            return run.results()
        except BaseException:
            run.cancel()
            raise
