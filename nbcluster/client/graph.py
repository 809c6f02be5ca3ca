"""Calls that depend on each other, planned in a block and submitted whole at its end. Knows no engines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from nbcluster.client.attached import Key
from nbcluster.client.callfutures import CallFuture
from nbcluster.client.calls import Calls
from nbcluster.client.fleet import Fleet
from nbcluster.client.futures import Future
from nbcluster.client.options import Options, make_options
from nbcluster.client.outbox import Kind, Parcel
from nbcluster.client.packing import Function, Packed, Packer
from nbcluster.client.submitting import Submission
from nbcluster.errors import TaskCancelled, UsageError
from nbcluster.ids import TaskId


class PlannedFuture(CallFuture):
    """The Future of a call of a graph. Until the block ends nothing runs, so that nothing can be waited for."""

    is_planned = True

    @property
    def status(self) -> str:
        """planned, and from the end of the block on what other Futures have."""
        if self.is_planned:
            return "planned"
        return super().status if self._owns else "cancelled"

    def explain(self, timeout: float = 10) -> str:
        """Say in a sentence why it is where it is."""
        return _planned(self) if self.is_planned else super().explain(timeout)

    def ask_to_stop(self, reason: str, *, force: bool = False) -> None:
        """Ask that it be withdrawn or interrupted; does not wait."""
        if self.is_planned:
            raise UsageError(f"{_planned(self)}; to submit nothing, leave the block with an exception")
        super().ask_to_stop(reason, force=force)

    def be_sent(self) -> None:
        """Refuse one that was not sent."""
        if self.is_planned:
            raise UsageError(
                f"{self!r} is of a call that is planned and was not sent; it can be an argument of calls of the same "
                "graph, and of others after the block of the graph"
            )

    def give_up(self, why: str, cause: BaseException | None) -> None:
        """It will never be sent."""
        error = TaskCancelled(f"{why}; submit it again in another cluster.graph()")
        error.__cause__ = cause
        self.is_planned = self._owns = False  # the cluster never knew of it
        self.set_exception(error)

    def __await__(self) -> Generator[Any, None, Any]:
        self._refuse_wait_while_planned()
        return super().__await__()

    def _refuse_wait_on_its_loop(self) -> None:
        self._refuse_wait_while_planned()
        super()._refuse_wait_on_its_loop()

    def _refuse_wait_while_planned(self) -> None:
        if self.is_planned:
            raise UsageError(f"{_planned(self)}; wait for it after the block")


def _planned(future: CallFuture) -> str:
    return f"{future.what} is planned and runs from the end of the block of its cluster.graph() on"


class Plan:
    """What a graph's calls are given to in place of the client: it keeps them until all are sent.

    Parameters
    ----------
    calls : Calls
        Sends them in the end.
    """

    def __init__(self, calls: Calls) -> None:
        self.packer = Packer((CallFuture,), self.task_of)
        self.is_open = False
        self._calls = calls
        self._planned: dict[TaskId, tuple[PlannedFuture, Parcel]] = {}

    def __len__(self) -> int:
        return len(self._planned)

    def task_of(self, future: CallFuture) -> TaskId:
        """Return the task of a Future of this plan, or of one that the cluster knows.

        Raises
        ------
        UsageError
            When it belongs to another cluster, or to another plan.
        """
        return future.task if future.task in self._planned else self._calls.task_of(future)

    def send(
        self, kind: Kind, function: Function, packed: Packed, *, key: str = "", after: Sequence[TaskId] = ()
    ) -> CallFuture:
        """Have a call sent at the end of the block; return its Future at once."""
        if not self.is_open:
            raise UsageError(
                "calls are added to a graph inside of its block: `with cluster.graph() as g: g.submit(...)`; "
                "outside of it, use cluster.submit"
            )
        future, parcel = self._calls.draft(PlannedFuture, kind, function, packed, key=key, after=after)
        self._planned[future.task] = future, parcel
        return future

    def wait_room(self) -> None:
        """Wait until the controller keeps up with what was submitted."""
        self._calls.wait_room()

    async def room(self) -> None:
        """Wait until the controller keeps up with what was submitted."""
        await self._calls.room()

    def dispatch(self) -> None:
        """Send all, in the order in which they were planned: what is needed comes before what needs it."""
        planned = list(self._planned.values())
        self._planned.clear()
        for future, _ in planned:
            future.is_planned = False
        self._calls.dispatch(planned)

    def give_up(self, cause: BaseException | None) -> None:
        """Send nothing: what was planned is cancelled."""
        why = f" since its block raised {type(cause).__name__}" if cause is not None else ""
        for future, _ in self._planned.values():
            future.give_up(f"{future.what} was not submitted: nothing of its graph was{why}", cause)
        self._planned.clear()


class Graph:
    """What `Cluster.graph()` returns: calls that are submitted whole at the end of the block.

    When the block raises, nothing is submitted and the Futures are cancelled. A call can depend only on calls that
    were added before it, so there are no cycles.

    Examples
    --------
    >>> with cluster.graph() as g:
    ...     a = g.submit(load, "x")
    ...     b = g.options(retries=2).submit(fit, a)
    >>> b.result()
    """

    def __init__(self, calls: Calls, fleet: Fleet) -> None:
        self._calls = calls
        self._fleet = fleet
        self._plan = Plan(calls)
        self._is_over = False
        self._default = GraphSubmitter(Submission(calls, fleet, Options(), self._plan))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Add a call; return its Future at once, to be an argument of other calls. See `Cluster.submit`.

        Raises
        ------
        NotSerializable, NoEngines, NotSupported
            As `Cluster.submit`, at once.
        UsageError
            For a Future of another cluster, and outside of the block.

        Examples
        --------
        >>> with cluster.graph() as g:  # doctest: +SKIP
        ...     total = g.submit(sum, [g.submit(pow, 2, n) for n in range(10)])
        """
        return self._default.submit(fn, *args, **kwargs)

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
    ) -> GraphSubmitter:
        """Return what adds calls under options. See `Cluster.options`.

        Examples
        --------
        >>> with cluster.graph() as g:  # doctest: +SKIP
        ...     loaded = g.submit(load, "x")
        ...     g.options(after=[loaded], resources={"gpu": 1}).submit(fit)
        """
        made = make_options(
            on, after, retries, timeout, priority, resources, key, label, namespace, repeatable
        )
        return GraphSubmitter(Submission(self._calls, self._fleet, made, self._plan))

    def __enter__(self) -> Self:
        if self._plan.is_open or self._is_over:
            raise UsageError("the block of a graph is entered once; cluster.graph() makes another")
        self._plan.is_open = self._is_over = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._plan.is_open = False
        if error is not None:
            self._plan.give_up(error)
            return
        try:
            self._plan.wait_room()
        except BaseException as reason:
            self._plan.give_up(reason)
            raise
        self._plan.dispatch()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                await self._plan.room()
            except BaseException as reason:
                self._plan.is_open = False
                self._plan.give_up(reason)
                raise
        self.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        state = f"{len(self._plan)} calls planned" if self._plan.is_open else "not in its block"
        return f"<Graph on {self._calls.cluster!r}: {state}>"


class GraphSubmitter:
    """What `Graph.options()` returns: adds calls under these options."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Add a call; return its Future at once. See `Graph.submit`."""
        return self._submission.send(fn, args, kwargs)
