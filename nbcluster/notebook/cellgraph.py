"""Has cells come after each other: what the ledger says, in Futures and calls. Knows no drawing and no grammar."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from nbcluster.client.futures import Future
from nbcluster.client.needs import Needs, has_failed
from nbcluster.client.options import as_engine
from nbcluster.core.targets import parse, resolve
from nbcluster.errors import NBClusterError, UsageError
from nbcluster.notebook.cellledger import ANYWHERE, CellLedger, CellSent, Edges, Entry, Place
from nbcluster.notebook.clusters import ClusterLike
from nbcluster.notebook.dataflow.cellnames import CellNames, cell_names
from nbcluster.notebook.grammar import CellOptions, did_you_mean
from nbcluster.notebook.reads import names_bound

LANGUAGE = "python"
"""Of the cells whose names can be read."""


@dataclass
class Prepared:
    """A cell that can be sent.

    Attributes
    ----------
    targets : str
        Where it goes; more exactly than was asked for when the names that it reads are in one place alone.
    explicit : tuple of Future
        Those of `--after`.
    """

    cell: CellSent
    edges: Edges
    targets: str
    explicit: tuple[Any, ...] = ()
    brought: list[Any] = field(default_factory=list)
    """Futures of names on their way to it."""


class CellGraph:
    """The cells of one notebook as a graph.

    Parameters
    ----------
    user_ns : mutable mapping
        The notebook's names.
    transform : callable
        Gives a cell after IPython's transform.
    refresh : callable
        Called with each Future that has grown stale.
    """

    def __init__(
        self,
        user_ns: MutableMapping[str, Any],
        transform: Callable[[str], str],
        refresh: Callable[[Any], object] = lambda future: None,
    ) -> None:
        self.ledger = CellLedger()
        self._user_ns, self._transform, self._refresh = user_ns, transform, refresh
        self._futures: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._unplaced: dict[Entry, Any] = {}
        """Futures of cells for which the scheduler chooses an engine, until it is known."""
        self._failed: dict[int, Any] = {}
        """Futures of task cells that have failed, so that it is remembered when nobody holds them."""

    def prepare(
        self,
        cluster: ClusterLike,
        options: CellOptions,
        code: str,
        targets: str,
        label: str,
        key: str,
        brought: Sequence[str] = (),
    ) -> Prepared:
        """Say what a cell comes after.

        Parameters
        ----------
        targets : str
            Where it goes, in the grammar of TARGETS.
        label, key : str
            How it is called, and what it is known by when it is run again.
        brought : sequence of str
            Names that are moved to its engines before it.

        Raises
        ------
        UsageError
            When a name of `--after` is no Future.
        CycleError
            When one of those comes after this cell.
        """
        self._place_those_that_began()
        is_any = parse(targets).any
        is_task = is_any or options.background or options.name is not None
        names = self._names(code, brought, closely=is_task or self.ledger.has_tasks)
        numbers = _numbers(cluster, targets)
        engines = ANYWHERE if is_any else numbers
        place = Place(cluster.name, options.namespace, engines)
        identity = f"--as {options.name}" if options.name is not None else key
        cell = CellSent(label, identity, options.name or "", place, names, code, is_task)
        explicit = tuple(self._named(name, options.after) for name in options.after)
        if options.name is not None and options.after:
            self.ledger.declare(options.name, options.after)
        if options.live or options.startup:
            return Prepared(cell, Edges(), targets, explicit)
        edges = self.ledger.edges(cell, numbers, dict.fromkeys(self._open(), True))
        if edges.engine is not None:
            targets = str(edges.engine)
        return Prepared(cell, edges, targets, explicit)

    def _names(self, code: str, brought: Sequence[str], *, closely: bool) -> CellNames:
        transformed = self._transform(code)
        found = cell_names(transformed) if closely else CellNames((), names_bound(transformed))
        if not brought:
            return found
        reads = tuple(name for name in found.reads if name not in brought)
        return CellNames(reads, found.writes | frozenset(brought), found.unknown)

    def _named(self, name: str, names: Sequence[str]) -> Any:
        value = self._user_ns.get(name)
        if isinstance(value, Future):
            return value
        if name in self._user_ns:
            raise UsageError(
                f"--after {name}: that is no Future but {type(value).__name__}; give the --as name of a cell, or a "
                "name that holds the Future of a call"
            )
        known = [each for each, held in self._user_ns.items() if isinstance(held, Future)]
        raise UsageError(
            f"--after {name}: the notebook has no such name{did_you_mean(name, known)}; run the cell with "
            f"--as {name} first"
        )

    def _open(self) -> list[Entry]:
        for entry in self.ledger.waiting:
            if not self._is_open(entry):
                self.ledger.rests(entry)
        return self.ledger.waiting

    def _is_open(self, entry: Entry) -> bool:
        future = self._futures.get(entry.number)
        return future is not None and not future.done()

    def _place_those_that_began(self) -> None:
        for entry, future in list(self._unplaced.items()):
            if isinstance(future.engine, int):
                self.ledger.began(entry, future.engine)
            if entry.engines is not None or future.done():
                del self._unplaced[entry]

    # -- sending ------------------------------------------------------------------------------

    def bring(self, cluster: ClusterLike, prepared: Prepared, namespace: str) -> None:
        """Have the names sent that are elsewhere; the cell comes after them.

        Raises
        ------
        NBClusterError
            When an engine of theirs is gone.
        """
        edges = prepared.edges
        if not edges.sent:
            return
        to_any = prepared.cell.place.engines is ANYWHERE
        destinations: Sequence[int | None] = prepared.cell.place.engines or (edges.engine,)
        near = self._future(edges.near) if edges.near is not None else None
        each = cluster.on_each("", namespace)
        for name, writer in edges.sent.items():
            source = self._future(writer)
            if source is None or (writer.engines is None and has_failed(source)):
                continue  # it fails, and with it what comes after it
            value = each.take_from(name, _where(writer, source))
            for number in destinations:
                if number is not None and number in (writer.engines or ()):
                    continue
                where = number if number is not None else near
                sent = each.give_to(name, value, where, f"cell {writer.number}", keep_own=not to_any)
                prepared.brought.append(sent)

    def needs(self, prepared: Prepared, pushed: Sequence[Any] = ()) -> Needs | None:
        """Return what the cell comes after; None for nothing."""
        edges = prepared.edges
        after = [self._future(entry) for entry in edges.after if not self._is_past(prepared.cell, entry)]
        behind = [self._future(entry) for entry in edges.behind if entry not in edges.after]
        near = self._future(edges.near) if edges.near is not None else None
        found = Needs(
            tuple(future for future in (*prepared.explicit, *after, *prepared.brought) if future is not None),
            tuple(future for future in behind if future is not None),
            tuple(pushed),
            near,
        )
        return found if found.after or found.behind or found.brought else None

    def _is_past(self, cell: CellSent, entry: Entry) -> bool:
        """Whether an entry did not succeed, and the cell sees what it has left: it runs where that one ran."""
        future = self._future(entry)
        there = cell.place.engines
        return (
            there is not None
            and set(there) <= set(entry.engines or ())
            and future.done()
            and has_failed(future)
        )

    def _future(self, entry: Entry) -> Any:
        return self._futures.get(entry.number) or self._failed.get(entry.number)

    def sent(self, prepared: Prepared, run: Any) -> None:
        """Note that a cell was sent. What has used its former run is stale."""
        engines = tuple(place.engine for place in run.places if place.engine is not None)
        is_free = prepared.cell.place.engines is ANYWHERE and not engines
        entry = self.ledger.add(prepared.cell, prepared.edges, None if is_free else engines, time.time())
        future = run.future
        self._futures[entry.number] = future
        if is_free and not future.done():
            self._unplaced[entry] = future
        if prepared.cell.is_task:
            future.tell_when_done(lambda done: self._ended(entry, done))
        future.remark = lambda: self.why_stale(entry)
        if entry.former is not None:
            for user in self.ledger.users(entry.former):
                if (stale := self._futures.get(user.number)) is not None:
                    self._refresh(stale)

    def _ended(self, entry: Entry, future: Any) -> None:
        if future.failed:
            self._failed[entry.number] = future
            if len(self._failed) > KEPT_FAILED:
                self._failed.pop(next(iter(self._failed)), None)

    def why_stale(self, entry: Entry) -> str:
        """Say why the Future of a cell is stale, "" when it is not."""
        again = self.ledger.stale(entry)
        if again is None:
            return ""
        return self.ledger.stale_text(entry, time.strftime("%H:%M", time.localtime(again.at)))


KEPT_FAILED = 200
"""Failed cells that are remembered when nobody holds their Futures."""


def _where(writer: Entry, future: Any) -> Any:
    """Where a name is that a cell has written: an engine, or its Future while that is not known."""
    return writer.engines[0] if writer.engines else future


def _numbers(cluster: ClusterLike, targets: str) -> tuple[int, ...]:
    """The engines that targets mean now; what is wrong with them is said when the cell is sent."""
    try:
        return tuple(resolve(parse(targets), map(as_engine, cluster.engines), LANGUAGE))
    except NBClusterError:
        return ()
