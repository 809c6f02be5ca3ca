"""Moves variables before and after one cell, in the lanes of its engines. Knows no grammar and no display."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nbcluster.errors import DependencyFailed, EngineErrors, UsageError
from nbcluster.notebook.clusters import ClusterLike
from nbcluster.notebook.grammar import CellOptions, did_you_mean
from nbcluster.notebook.labels import engines_phrase
from nbcluster.notebook.running import CellRun
from nbcluster.notebook.shipping import PATIENCE, Shipment, names_wanted, plan, send
from nbcluster.payload.sizes import approximate_size


@dataclass(frozen=True)
class Pulled:
    """A value on its way to the notebook."""

    option: str
    name: str
    future: Any
    steps: Generator[Any, Any, Any] | None = None
    """Given what the Future brings, it says what to wait for next, and in the end what the value is."""


class Moves:
    """The variables that a cell brings and takes.

    Parameters
    ----------
    cluster : ClusterLike
    options : CellOptions
    user_ns : mutable mapping
        The notebook's names.

    Raises
    ------
    UsageError
        For a name that the notebook lacks, and for what cannot be combined.
    """

    def __init__(self, cluster: ClusterLike, options: CellOptions, user_ns: MutableMapping[str, Any]) -> None:
        self._cluster, self._options, self._user_ns = cluster, options, user_ns
        self._pushed = _values("--push", options.push, user_ns)
        self._scattered = _values("--scatter", options.scatter, user_ns)
        if options.live and (options.scatter or options.gather):
            raise UsageError(
                "--scatter and --gather wait for their turn, and --live does not; leave one of them out"
            )
        if options.live and options.pull and not options.blocks:
            raise UsageError(
                "--pull cannot follow a --live cell that the notebook does not wait for; leave --async and --as out, "
                "or pull when its Future is done: cluster[...].pull(name, live=True)"
            )
        self.targets = options.targets
        self._pulled: list[Pulled] = []

    @property
    def is_empty(self) -> bool:
        """Whether the options move nothing."""
        options = self._options
        return not (options.push or options.pull or options.scatter or options.gather or options.ship)

    @property
    def names_before(self) -> tuple[str, ...]:
        """The names that the engines get."""
        return (*self._options.push, *self._options.scatter)

    def sizes(self) -> dict[str, int]:
        """Bytes of what is brought, about; -1 for what is on the cluster."""
        from nbcluster.client.futures import Future

        values = {**self._pushed, **self._scattered}
        return {
            name: -1 if isinstance(value, Future) else approximate_size(value)
            for name, value in values.items()
        }

    def fix_targets(self) -> None:
        """Resolve the targets once, so that the variables go where the cell goes.

        Raises
        ------
        UnknownTarget, NoEngines, EngineLost, NotSupported
        """
        if self._options.startup:
            self._each().numbers()  # engines to come are meant too; those that are here must be able
            return
        each = self._each()
        numbers = each.numbers()
        self.targets = str(numbers[0]) if each.single else ",".join(map(str, numbers)) + ","

    def ship(self, code: str, hidden: Mapping[str, Any]) -> tuple[Shipment, list[tuple[str, Any]]]:
        """Send what the cell reads and the engines lack; return it, and the Future of each name.

        Parameters
        ----------
        code : str
            After IPython's transform.
        hidden : mapping
            What IPython has put among the notebook's names.
        """
        options = self._options
        names = [
            name
            for name in names_wanted(code, self._user_ns, hidden)
            if name not in self.names_before  # those are sent anyway
        ]
        if not options.ship or not names:
            return Shipment(), []
        from nbcluster.client.portal import portal

        each = self._each()
        answers = portal().call(each.digests(names, PATIENCE))
        shipment = plan(names, self._user_ns, {number: answers.get(number, {}) for number in each.numbers()})

        def lane(targets: str) -> Any:
            return self._cluster.on_each(targets, options.namespace, options.priority)

        if not options.live:
            return shipment, send(shipment, lane)
        for parcel in shipment.parcels:
            targets = ",".join(map(str, parcel.engines)) + ","
            portal().call(
                lane(targets).write({parcel.name: parcel.value}, shipped={parcel.name: parcel.digest})
            )
        return shipment, []

    def send_before(self) -> list[Any]:
        """Send what the cell brings; return the Futures of what is on its way.

        Raises
        ------
        NotSerializable
            When a value cannot be pickled: nothing was sent.
        """
        if not self.names_before:
            return []
        if self._options.live:
            self._beside().push(self._pushed, live=True)
            return []
        each = self._each()
        sent: list[Any] = []
        if self._pushed and self._scattered:
            each.packed(
                self._pushed
            )  # before parts are sent: one that cannot be packed leaves nothing behind
        for name, value in self._scattered.items():
            future, numbers = each.scatter(name, value, 0)
            self._cluster.note_scatter(name, numbers, 0, self._options.namespace)
            sent.append(future)
        if self._pushed:
            sent.append(each.push(self._pushed))
        return sent

    def send_after(self, run: CellRun) -> None:
        """Ask for what the cell leaves behind, right behind it."""
        options = self._options
        if options.live or not (options.pull or options.gather):
            return
        from nbcluster.client.gathering import gathering

        each = self._each()
        behind: dict[int, Any] = {
            place.engine: (place.task,) for place in run.places if place.engine is not None
        }
        for name in options.pull:
            self._pulled.append(Pulled("--pull", name, each.pull(name, behind)))
        for name in options.gather:
            where, axis = self._cluster.gathered(name, self.targets, options.namespace)
            if options.blocks:
                steps = gathering(where, name, axis, behind)
                self._pulled.append(Pulled("--gather", name, next(steps), steps))
            else:
                self._pulled.append(
                    Pulled("--gather", name, _joined(where.pull(name, behind), where.single, axis))
                )
        if not options.blocks:
            run.future.tell_when_done(self._cell_ended)
            for pulled in self._pulled:
                self._user_ns[pulled.name] = pulled.future

    def bind(self, wait: Callable[[Sequence[Any]], None]) -> None:
        """Bind what the cell left behind in the notebook, once it has ended well.

        Parameters
        ----------
        wait : callable
            Waits for Futures.
        """
        if self._options.live and self._options.pull:
            names = list(self._options.pull)
            values = _shaped(self._beside().pull(names, live=True), names, single=self._each().single)
            self._user_ns.update(values)
            return
        wait([pulled.future for pulled in self._pulled])
        values = {pulled.name: _brought(pulled, wait) for pulled in self._pulled}
        self._user_ns.update(values)

    def drop(self) -> None:
        """The cell did not end well: what it leaves behind is not asked for any more."""
        for pulled in self._pulled:
            if not pulled.future.done():
                pulled.future.ask_to_stop("its cell did not end well")

    def _cell_ended(self, cell: Any) -> None:
        """On the thread that completes Futures: a name that a failed cell was to bind is no result of it."""
        error = cell.exception(0)
        if error is None:
            return
        from nbcluster.client.options import tasks_of

        told = DependencyFailed(f"{cell.what} did not end well, so there is no value of it: {error}")
        told.__cause__ = error
        sources = [getattr(pulled.future, "source", pulled.future) for pulled in self._pulled]
        self._cluster.calls.fail(tasks_of(sources), told)

    def _each(self) -> Any:
        options = self._options
        return self._cluster.on_each(self.targets, options.namespace, options.priority)

    def _beside(self) -> Any:
        return self._cluster.namespace(self._options.namespace or None, self.targets or None)


def _values(option: str, names: Sequence[str], user_ns: Mapping[str, Any]) -> dict[str, Any]:
    for name in names:
        if name not in user_ns:
            known = [each for each in user_ns if not each.startswith("_")]
            raise UsageError(
                f"{option} {name}: the notebook has no such name{did_you_mean(name, known)}; nothing was sent"
            )
    return {name: user_ns[name] for name in names}


def _joined(parts: Any, single: bool, axis: int) -> Any:
    """The Future of the parts of a name, put together here when it is asked for: engines may have gone on by then."""
    from nbcluster.client.joined import JoinedFuture
    from nbcluster.client.scatter import join

    return JoinedFuture(parts, lambda came: join([came] if single else list(came.values()), axis))


def _brought(pulled: Pulled, wait: Callable[[Sequence[Any]], None]) -> Any:
    value = _result(pulled)
    if pulled.steps is None:
        return value
    try:
        while True:
            pulled = replace(pulled, future=pulled.steps.send(value))
            wait([pulled.future])
            value = _result(pulled)
    except StopIteration as end:
        return end.value


def _result(pulled: Pulled) -> Any:
    try:
        return pulled.future.result()
    except Exception as error:
        told = _about(pulled, error)
        raise told from error.__cause__


def _about(pulled: Pulled, error: Exception) -> Exception:
    from nbcluster.client.oneach import about_names

    told = about_names(error, pulled.name)
    if isinstance(told, KeyError):
        without = pulled.future.engine
    elif isinstance(told, EngineErrors):
        without = tuple(number for number, each in told.errors.items() if isinstance(each, KeyError))
    else:
        return told
    if without == ():
        return told
    engines = without if isinstance(without, tuple) else (without,)
    have = "have" if len(engines) > 1 else "has"
    return UsageError(
        f"{pulled.option} {pulled.name}: the cell ran, and {engines_phrase(engines)} {have} no such name after it; "
        "nothing was bound"
    )


def _shaped(pulled: Any, names: Sequence[str], *, single: bool) -> dict[str, Any]:
    """Values by name, of what `pull` of a list gives."""
    if single:
        return dict(zip(names, pulled, strict=True))
    return {name: {number: values[at] for number, values in pulled.items()} for at, name in enumerate(names)}
