"""Tables of what a cluster tells: records of tasks, names of namespaces. Draws them as text and HTML; asks nothing.

Tables of names know how to be asked for again: a notebook shows them live.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from html import escape
from typing import Generic, Self, TypeVar

from nbcluster.drawing import names as drawing
from nbcluster.drawing.panelstyle import PANEL_CSS
from nbcluster.payload.sizes import readable
from nbcluster.protocol.calls import TaskRecord
from nbcluster.protocol.tasks import NameInfo

T = TypeVar("T")

SHOWN = 60
"""Rows that a table draws; the list holds all."""


class Table(list[T], Generic[T]):
    """A list that draws itself as a table.

    Parameters
    ----------
    rows : iterable
    columns : sequence of (str, callable)
        Titles, and what they show of a row.
    note : str
        What stands below: what was left out, and why.
    """

    def __init__(
        self, rows: Iterable[T], columns: Sequence[tuple[str, Callable[[T], str]]], note: str = ""
    ) -> None:
        super().__init__(rows)
        self.note = note
        self._columns = columns

    def _cells(self) -> list[list[str]]:
        return [[show(row) for _, show in self._columns] for row in self[:SHOWN]]

    def _below(self) -> list[str]:
        more = len(self) - SHOWN
        return ([f"… and {more} more"] if more > 0 else []) + ([self.note] if self.note else [])

    def __repr__(self) -> str:
        titles = [title for title, _ in self._columns]
        if not self:
            return "\n".join(["(nothing)", *self._below()])
        lines = [titles, *self._cells()]
        widths = [max(len(line[at]) for line in lines) for at in range(len(titles))]
        drawn = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        return "\n".join([*drawn, *self._below()])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{escape(title)}</th>' for title, _ in self._columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
            for cells in self._cells()
        )
        below = "".join(f"<div>{escape(text)}</div>" for text in self._below())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"


def task_table(records: Iterable[TaskRecord], note: str = "") -> Table[TaskRecord]:
    """A table of tasks."""
    return Table(
        records,
        (
            ("key", lambda record: record.key or record.task),
            ("label", lambda record: _short(record.label)),
            ("kind", lambda record: record.kind),
            ("state", lambda record: record.state),
            ("engine", lambda record: "" if record.engine is None else str(record.engine)),
            ("attempt", lambda record: str(record.attempt)),
            ("started", lambda record: _clock(record.started)),
            ("seconds", lambda record: "" if record.seconds is None else f"{record.seconds:.3g}"),
            ("bytes", lambda record: "" if record.nbytes is None else str(record.nbytes)),
            ("error", lambda record: _short(record.error.partition("\n")[0])),
        ),
        note,
    )


def value_table(
    records: Sequence[TaskRecord], nbytes: int, left_out: int, on_disk: str = ""
) -> Table[TaskRecord]:
    """A table of the values that Futures and keys hold, with their sum below."""
    note = f"{readable(nbytes)} in {len(records) + left_out} values"
    return Table(
        records,
        (
            ("key", lambda record: record.key or record.task),
            ("label", lambda record: _short(record.label)),
            ("where", lambda record: "controller" if record.engine is None else f"engine {record.engine}"),
            ("bytes", lambda record: str(record.nbytes)),
        ),
        note
        + (f"; {left_out} smaller ones are not listed" if left_out else "")
        + (f"; {on_disk}" if on_disk else ""),
    )


class Name(NameInfo, frozen=True, array_like=True):
    """One name on one engine."""

    engine: int = -1


class Described(Table[T]):
    """What engines said of their names: a list, which stays as it is, and a way to ask anew.

    Parameters
    ----------
    rows, columns, note
        Of the table.
    engines : sequence of int
        Those that were asked.
    title : str
        What it is about.
    """

    def __init__(
        self,
        rows: Iterable[T],
        columns: Sequence[tuple[str, Callable[[T], str]]],
        note: str = "",
        *,
        engines: Sequence[int] = (),
        title: str = "",
    ) -> None:
        super().__init__(rows, columns, note)
        self.engines = list(engines)
        self.title = title
        self.again: Callable[[], Awaitable[Self]] | None = None
        """Asks the engines anew, on the loop of the cluster."""

    @abstractmethod
    def parts(self, note: str = "") -> dict[str, str]:
        """The parts of a panel that shows it; `note` stands beside its title."""

    def _repr_html_(self) -> str:
        return f'<style>{PANEL_CSS}</style><div class="nbc">{drawing.filled(self.parts())}</div>'


class NameTable(Described[Name]):
    """The names of some engines; drawn by engine."""

    def parts(self, note: str = "") -> dict[str, str]:
        """The parts of a panel that shows it; `note` stands beside its title."""
        by_engine: dict[int, list[Name]] = {engine: [] for engine in self.engines}
        for name in self:
            by_engine.setdefault(name.engine, []).append(name)
        return drawing.describe(by_engine, self.title, note)


class DifferenceTable(Described[tuple[str, dict[int, str]]]):
    """The names that are not alike on all engines; drawn side by side."""

    def parts(self, note: str = "") -> dict[str, str]:
        """The parts of a panel that shows it; `note` stands beside its title."""
        return drawing.differences(self, self.engines, self.title, note)


def name_table(names: Iterable[Name], engines: Sequence[int] = (), title: str = "Names") -> NameTable:
    """A table of names."""
    return NameTable(
        names,
        (
            ("name", lambda name: name.name),
            ("engine", lambda name: str(name.engine)),
            ("type", lambda name: name.type),
            ("shape", lambda name: "" if name.shape is None else drawing.shape_text(name.shape)),
            ("bytes", lambda name: "" if name.nbytes is None else str(name.nbytes)),
            ("value", lambda name: _short(name.preview)),
        ),
        engines=engines,
        title=title,
    )


def difference_table(
    names: Sequence[Name], engines: Sequence[int], title: str = "Names that differ"
) -> DifferenceTable:
    """A table of the names that are not alike on all engines, with what each engine has."""
    by_name: dict[str, dict[int, str]] = {}
    for name in names:
        by_name.setdefault(name.name, {})[name.engine] = _describe(name)
    unlike = [
        (name, {engine: found.get(engine, drawing.MISSING) for engine in engines})
        for name, found in sorted(by_name.items())
        if len(found) < len(engines) or len(set(found.values())) > 1
    ]
    columns: list[tuple[str, Callable[[tuple[str, dict[int, str]]], str]]] = [("name", lambda row: row[0])]
    for engine in engines:
        columns.append((f"engine {engine}", lambda row, engine=engine: row[1][engine]))  # type: ignore[misc]  # a default
    note = "" if unlike else "every engine has the same names, alike in type, shape and size"
    return DifferenceTable(unlike, columns, note, engines=engines, title=title)


def _describe(name: Name) -> str:
    shape = "" if name.shape is None else f" {drawing.shape_text(name.shape)}"
    size = "" if name.nbytes is None or name.preview else f", {name.nbytes} bytes"
    return f"{name.type}{shape}{size}" + (f" {_short(name.preview)}" if name.preview else "")


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _clock(when: float | None) -> str:
    return "" if not when else time.strftime("%H:%M:%S", time.localtime(when))
