"""Remembers which cell wrote which name last, and where: so cells come after each other untold, and grow stale. Pure.

A cell that is sent is an entry. What it reads was written by entries before it, and that is what it comes after. When
a cell is run again, under the same `--as` name or in the same place of the notebook, a new entry takes the place of its
old one, and what used the old one is stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nbcluster.errors import CycleError
from nbcluster.notebook.dataflow.cellnames import CellNames

KEPT = 2_000
"""Entries that are kept beyond those that wrote some name last; what used a forgotten one is not known to be stale."""

ANYWHERE = None
"""In place of engines: one that the scheduler chooses."""


@dataclass(frozen=True)
class Place:
    """Where a cell goes: a namespace of a cluster, and the engines, or ANYWHERE."""

    cluster: str
    namespace: str = ""
    engines: tuple[int, ...] | None = ANYWHERE

    @property
    def space(self) -> tuple[str, str]:
        """The namespace of the cluster."""
        return self.cluster, self.namespace


@dataclass(frozen=True)
class CellSent:
    """A cell as it is about to be sent.

    Attributes
    ----------
    label : str
        Such as ``cell [7]``.
    key : str
        What it is known by when it is run again; "" for nothing.
    name : str
        Of ``--as``.
    is_task : bool
        Whether it has ``--as``, ``--async`` or goes to `any`.
    """

    label: str
    key: str
    name: str
    place: Place
    names: CellNames
    code: str = ""
    is_task: bool = False


@dataclass(eq=False)
class Entry:
    """A cell that was sent.

    Attributes
    ----------
    number : int
        In the order of sending.
    uses : dict of str to Entry
        What it used of others: the entry that wrote each name.
    at : float
        When it was sent, in epoch seconds.
    """

    number: int
    cell: CellSent
    uses: dict[str, Entry]
    at: float
    again: Entry | None = None
    """The entry of the same cell that took its place."""
    former: Entry | None = None
    """The entry of the same cell whose place it took."""
    engines: tuple[int, ...] | None = None
    """Where it went; for ANYWHERE, once that is known."""

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"{self.cell.label} `{self.cell.name}`" if self.cell.name else self.cell.label


@dataclass
class Edges:
    """What a cell comes after.

    Attributes
    ----------
    after : dict of Entry to set of str
        What must have succeeded, with the names that are read of it.
    behind : dict of Entry to set of str
        What must have ended, with the names that both touch.
    near : Entry or None
        The cell on whose engine it has to run.
    engine : int or None
        The engine that it has to run on, since a name is there alone.
    sent : dict of str to Entry
        Names that have to be sent to where it runs, with who wrote them.
    uses : dict of str to Entry
        Who wrote each name that it reads.
    """

    after: dict[Entry, set[str]] = field(default_factory=dict)
    behind: dict[Entry, set[str]] = field(default_factory=dict)
    near: Entry | None = None
    engine: int | None = None
    sent: dict[str, Entry] = field(default_factory=dict)
    uses: dict[str, Entry] = field(default_factory=dict)


class CellLedger:
    """The cells that one notebook has sent."""

    def __init__(self) -> None:
        self._number = 0
        self._has_tasks = False
        self._waiting: dict[Entry, None] = {}
        self._entries: dict[int, Entry] = {}
        self._on_engine: dict[tuple[tuple[str, str], int, str], Entry] = {}
        """Who wrote a name last on an engine."""
        self._anywhere: dict[tuple[tuple[str, str], str], Entry] = {}
        """The last cell for ANYWHERE that wrote a name."""
        self._by_key: dict[tuple[str, str], Entry] = {}
        self._declared: dict[str, tuple[str, ...]] = {}
        """What was named in `--after`, by the `--as` name of the cell."""

    @property
    def has_tasks(self) -> bool:
        """Whether any task cell is known."""
        return self._has_tasks

    @property
    def waiting(self) -> list[Entry]:
        """Those that came after others when they were sent, so that what is sent behind them may pass them."""
        return list(self._waiting)

    def rests(self, entry: Entry) -> None:
        """An entry has ended: nothing can pass it any more."""
        self._waiting.pop(entry, None)

    # -- what a cell comes after --------------------------------------------------------------

    def edges(self, cell: CellSent, everywhere: Sequence[int], is_open: Mapping[Entry, bool]) -> Edges:
        """Return what a cell comes after.

        Parameters
        ----------
        cell : CellSent
        everywhere : sequence of int
            The engines that ANYWHERE means.
        is_open : mapping
            Whether an entry has not ended.
        """
        found = Edges()
        for name in cell.names.reads:
            if cell.place.engines is ANYWHERE:
                self._read_anywhere(found, cell, name, everywhere)
            else:
                self._read_there(found, cell, name, cell.place.engines)
        if cell.place.engines is ANYWHERE:
            self._choose(found)
        for entry in self._waiting:
            if entry not in found.after and is_open.get(entry, False):
                both = self._in_common(entry, cell)
                if both:
                    found.behind[entry] = both
        return found

    def _read_anywhere(self, found: Edges, cell: CellSent, name: str, everywhere: Sequence[int]) -> None:
        space = cell.place.space
        writers = {
            number: writer
            for number in everywhere
            if (writer := self._on_engine.get((space, number, name))) is not None
        }
        latest = max(
            [*writers.values(), *self._free(space, name)], key=lambda entry: entry.number, default=None
        )
        if latest is None:
            return
        self._use(found, cell, name, latest)
        there = [number for number in everywhere if writers.get(number) is latest]
        if latest.cell.place.engines is ANYWHERE or len(there) < len(everywhere):
            found.sent[name] = latest

    def _read_there(self, found: Edges, cell: CellSent, name: str, engines: Sequence[int]) -> None:
        space = cell.place.space
        free = next(iter(self._free(space, name)), None)
        for number in engines:
            writer = self._on_engine.get((space, number, name))
            if writer is not None:  # an engine's own name is its own
                self._use(found, cell, name, writer)
            elif free is not None and cell.is_task:
                self._use(found, cell, name, free)
                found.sent[name] = free

    def _free(self, space: tuple[str, str], name: str) -> list[Entry]:
        entry = self._anywhere.get((space, name))
        return [entry] if entry is not None else []

    def _use(self, found: Edges, cell: CellSent, name: str, writer: Entry) -> None:
        found.uses[name] = writer
        if cell.is_task and writer.cell.is_task:
            found.after.setdefault(writer, set()).add(name)

    def _choose(self, found: Edges) -> None:
        """Put a cell for ANYWHERE where the latest of its names is; the others are sent there."""
        if not found.sent:
            return
        chosen = max(found.sent.values(), key=lambda entry: entry.number)
        if chosen.cell.place.engines is ANYWHERE and chosen.engines is None:
            found.near = chosen
        else:
            found.engine = (chosen.engines or (0,))[0]
        found.sent = {
            name: entry
            for name, entry in found.sent.items()
            if entry is not chosen and (found.engine is None or found.engine not in (entry.engines or ()))
        }

    def _in_common(self, earlier: Entry, cell: CellSent) -> set[str]:
        """The names that the one would read or write otherwise if the two changed places."""
        if earlier.cell.place.space != cell.place.space:
            return set()
        there, here = earlier.engines, cell.place.engines
        if there is not None and here is not None and not set(there) & set(here):
            return set()
        first, second = earlier.cell.names, cell.names
        if first.unknown or second.unknown:
            return {"any name"}
        return set(first.writes & ({*second.reads} | second.writes)) | ({*first.reads} & second.writes)

    # -- cells that are sent ------------------------------------------------------------------

    def add(self, cell: CellSent, edges: Edges, engines: tuple[int, ...] | None, at: float) -> Entry:
        """Note that a cell was sent; `engines` is where it went, None while that is not known."""
        self._number += 1
        waits = bool(edges.after or edges.behind)
        entry = Entry(self._number, cell, dict(edges.uses), at, engines=engines)
        self._entries[entry.number] = entry
        self._has_tasks |= cell.is_task
        if waits:
            self._waiting[entry] = None
        if cell.key:
            former = self._by_key.get((cell.place.cluster, cell.key))
            if former is not None:
                former.again, entry.former = entry, former
                former.former = None  # what it replaced is not asked for again
            self._by_key[cell.place.cluster, cell.key] = entry
        for name in cell.names.writes:
            if cell.place.engines is ANYWHERE:
                self._anywhere[cell.place.space, name] = entry
            for number in engines or ():
                self._on_engine[cell.place.space, number, name] = entry
        self._forget_old()
        return entry

    def began(self, entry: Entry, engine: int) -> None:
        """A cell for ANYWHERE runs there."""
        if entry.engines is not None:
            return
        entry.engines = (engine,)
        for name in entry.cell.names.writes:
            key = (entry.cell.place.space, engine, name)
            known = self._on_engine.get(key)
            if known is None or known.number < entry.number:
                self._on_engine[key] = entry

    def _forget_old(self) -> None:
        if len(self._entries) <= 2 * KEPT:
            return
        kept = {*self._on_engine.values(), *self._anywhere.values(), *self._by_key.values()}
        recent = sorted(self._entries)[-KEPT:]
        self._entries = {
            number: entry for number, entry in self._entries.items() if entry in kept or number >= recent[0]
        }
        for entry in self._entries.values():
            entry.uses = {name: used for name, used in entry.uses.items() if used.number in self._entries}

    # -- order that is asked for --------------------------------------------------------------

    def declare(self, name: str, after: Iterable[str]) -> None:
        """A cell of `--as` comes after others by name.

        Raises
        ------
        CycleError
            When one of those comes after it; names them all.
        """
        wanted = tuple(after)
        for each in wanted:
            path = self._path(each, name)
            if path is not None:
                way = " comes after ".join((name, *path))
                raise CycleError(
                    f"--as {name} --after {','.join(wanted)}: {way}, so none of them could be the first; leave one out "
                    "of --after, or run it under another name"
                )
        self._declared[name] = wanted

    def _path(self, begin: str, end: str) -> tuple[str, ...] | None:
        """How one name comes after another, by declarations alone."""
        pending: list[tuple[str, ...]] = [(begin,)]
        seen: set[str] = set()
        while pending:
            path = pending.pop()
            if path[-1] == end:
                return path
            if path[-1] not in seen:
                seen.add(path[-1])
                pending += [(*path, further) for further in self._declared.get(path[-1], ())]
        return None

    # -- staleness ----------------------------------------------------------------------------

    def stale(self, entry: Entry) -> Entry | None:
        """Return the cell that ran again after an entry had used its former run, directly or through others."""
        reached: dict[Entry, None] = {}
        pending = list(entry.uses.values())
        while pending:
            used = pending.pop(0)
            if used not in reached:
                reached[used] = None
                pending += used.uses.values()
        # Cells that feed each other and are run in turn have used the later run too, or are it.
        return next(
            (
                used.again
                for used in reached
                if used.again is not None and used.again is not entry and used.again not in reached
            ),
            None,
        )

    def stale_text(self, entry: Entry, clock: str) -> str:
        """Say why an entry is stale, "" when it is not. `clock` is when the other ran again."""
        again = self.stale(entry)
        return "" if again is None else f"stale: {again.title} ran again since ({clock})"

    def users(self, entry: Entry) -> list[Entry]:
        """The entries that have used another, directly or through others."""
        found: list[Entry] = []
        reached = {entry}
        for number in sorted(self._entries):
            each = self._entries[number]
            if each not in reached and any(used in reached for used in each.uses.values()):
                reached.add(each)
                found.append(each)
        return found
