"""Functions given to a cluster under options: one call, or a map of many. Knows engines only by what can run where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nbcluster.client.callfutures import CallFuture
from nbcluster.client.calls import Calls
from nbcluster.client.fleet import Fleet
from nbcluster.client.futures import Future
from nbcluster.client.mapping import AsyncMap, Map, MapRun
from nbcluster.client.needs import check_after, tasks_before
from nbcluster.client.options import Options, Placement
from nbcluster.client.outbox import Kind, Parcel
from nbcluster.client.packing import Function, Packed, Packer
from nbcluster.client.remote import pickled, same
from nbcluster.errors import UsageError
from nbcluster.ids import TaskId
from nbcluster.payload.functions import plain_call

if TYPE_CHECKING:
    from nbcluster.client.executor import Executor


F = TypeVar("F", bound=CallFuture)


class Carrier(Protocol):
    """Takes calls that are ready to be sent."""

    packer: Packer

    def task_of(self, future: CallFuture) -> TaskId:
        """Return the task whose value a Future stands for; raises UsageError for one that cannot be used here."""

    def send(
        self, kind: Kind, function: Function, packed: Packed, *, key: str = "", after: Sequence[TaskId] = ()
    ) -> CallFuture:
        """Have a call sent; return its Future at once."""


class Submission:
    """Calls under certain options, sent at once and without waiting.

    Parameters
    ----------
    calls, fleet : Calls, Fleet
    options : Options
    carrier : Carrier, optional
        Takes the calls in place of the client.
    """

    def __init__(self, calls: Calls, fleet: Fleet, options: Options, carrier: Carrier | None = None) -> None:
        self.calls = calls
        self._carrier: Carrier = calls if carrier is None else carrier
        self.options = options
        self._fleet = fleet
        self._placement = Placement(options, fleet)
        check_after(options.after, calls, self._carrier.task_of)

    @property
    def workers(self) -> int:
        """How many calls may run at once, as far as engines are counted."""
        return max(1, sum(engine.can_call for engine in self._fleet.engines))

    @property
    def hosts(self) -> set[str]:
        """The hosts of the engines that run calls."""
        return {engine.host for engine in self._fleet.engines if engine.can_call}

    def send(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], label: str = ""
    ) -> CallFuture:
        """Send one call; return its Future. `label` names it where the options do not.

        Raises
        ------
        NotSerializable, UnknownTarget, NoEngines, EngineLost, NotSupported, UsageError
        """
        if not callable(fn):
            raise UsageError(f"{fn!r} cannot be called; give a function, and its arguments after it")
        plain, args, kwargs = plain_call(fn, args, kwargs)
        packer = self._carrier.packer
        function = packer.function(plain)
        packed = packer.arguments(args, kwargs, plain)
        if function.captured or packed.nbytes > 65_536:
            packer.warn_of_huge(function, packed, args, kwargs)
        kind = self._placement.kind(label or function.label, plain)
        return self._carrier.send(kind, function, packed, key=self.options.key, after=self._before())

    def draft(self, future_type: type[F], function: Callable[..., Any], label: str) -> tuple[F, Parcel]:
        """Make a call without arguments, and its Future; it is sent by whoever fills it in."""
        packer = self.calls.packer
        kind = self._placement.kind(label, function)
        return self.calls.draft(
            future_type, kind, packer.function(function), packer.arguments((), {}), after=self._before()
        )

    def _before(self) -> tuple[TaskId, ...]:
        after = self.options.after
        return tasks_before(after) if after else ()

    def placement_under(self, options: Options) -> Placement:
        """Return where calls with these options go."""
        return Placement(options, self._fleet)

    def put(self, value: Any) -> CallFuture:
        """Send a value to stay on an engine; return its Future."""
        packer = self._carrier.packer
        kind = self._placement.kind("put")
        packed = packer.shared_value(value)
        function = packer.function(same if packed is None else pickled)
        if packed is None:
            packed = packer.arguments((value,), {})
        return self._carrier.send(kind, function, packed, key=self.options.key)

    def map_maker(
        self,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        *,
        chunksize: int | None,
        ordered: bool,
        max_outstanding: int | None,
        return_exceptions: bool,
    ) -> Callable[[Callable[[], object]], MapRun]:
        """Return what makes a map, given how to wake whoever iterates."""
        return lambda wake: MapRun(
            self.calls,
            self._placement,
            self._fleet,
            fn,
            iterables,
            chunksize=chunksize,
            ordered=ordered,
            max_outstanding=max_outstanding,
            return_exceptions=return_exceptions,
            wake=wake,
        )


class AsyncSubmitter:
    """What `AsyncCluster.options()` returns: submits under these options."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission

    async def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Run a function on an engine; return its Future at once. See `AsyncCluster.submit`."""
        await self.submission.calls.room()
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
        """Run a function for every item; an asynchronous iterator of the results. See `AsyncCluster.map`."""
        return AsyncMap(
            self.submission.map_maker(
                fn,
                iterables,
                chunksize=chunksize,
                ordered=ordered,
                max_outstanding=max_outstanding,
                return_exceptions=return_exceptions,
            )
        )

    def executor(self) -> Executor:
        """Return a concurrent.futures.Executor whose calls have these options. See `AsyncCluster.executor`."""
        return executor_of(self.submission)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.submission.calls.cluster!r} with {_said(self.submission.options)}>"


class Submitter:
    """What `Cluster.options()` returns: submits under these options.

    Examples
    --------
    >>> cluster.options(on="gpu", retries=2).submit(fit, data)
    """

    def __init__(self, submission: Submission) -> None:
        self.submission = submission

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Run a function on an engine; return its Future at once. See `AsyncCluster.submit`."""
        self.submission.calls.wait_room()
        return self.submission.send(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        chunksize: int | None = None,
        ordered: bool = True,
        max_outstanding: int | None = None,
        return_exceptions: bool = False,
    ) -> Map:
        """Run a function for every item; an iterator of the results. See `AsyncCluster.map`."""
        return Map(
            self.submission.map_maker(
                fn,
                iterables,
                chunksize=chunksize,
                ordered=ordered,
                max_outstanding=max_outstanding,
                return_exceptions=return_exceptions,
            )
        )

    def executor(self) -> Executor:
        """Return a concurrent.futures.Executor whose calls have these options. See `AsyncCluster.executor`."""
        return executor_of(self.submission)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.submission.calls.cluster!r} with {_said(self.submission.options)}>"


def executor_of(submission: Submission) -> Executor:
    """Return an Executor that sends through a submission."""
    from nbcluster.client.executor import Executor  # it uses this module

    return Executor(submission)


def _said(options: Options) -> str:
    plain = Options()
    said = {
        "on": options.targets if options.targets != plain.targets else None,
        **{
            name: getattr(options, name)
            for name in ("after", "retries", "timeout", "priority", "resources", "key", "label", "namespace")
            if getattr(options, name) != getattr(plain, name)
        },
    }
    return ", ".join(f"{name}={value!r}" for name, value in said.items() if value is not None) or "no options"
