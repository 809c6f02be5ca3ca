"""Tables of what a cluster tells: records of tasks, names of namespaces. Draws them as text and HTML; asks nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Generic, TypeVar

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
        head = "".join(f"<th>{escape(title)}</th>" for title, _ in self._columns)
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


def value_table(records: Sequence[TaskRecord], nbytes: int, left_out: int) -> Table[TaskRecord]:
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
        note + (f"; {left_out} smaller ones are not listed" if left_out else ""),
    )


class Name(NameInfo, frozen=True, array_like=True):
    """One name on one engine."""

    engine: int = -1


def name_table(names: Iterable[Name]) -> Table[Name]:
    """A table of names."""
    return Table(
        names,
        (
            ("name", lambda name: name.name),
            ("engine", lambda name: str(name.engine)),
            ("type", lambda name: name.type),
            ("shape", lambda name: "" if name.shape is None else "×".join(map(str, name.shape)) or "()"),
            ("bytes", lambda name: "" if name.nbytes is None else str(name.nbytes)),
            ("value", lambda name: _short(name.preview)),
        ),
    )


def difference_table(names: Sequence[Name], engines: Sequence[int]) -> Table[tuple[str, dict[int, str]]]:
    """A table of the names that are not alike on all engines, with what each engine has."""
    by_name: dict[str, dict[int, str]] = {}
    for name in names:
        by_name.setdefault(name.name, {})[name.engine] = _describe(name)
    unlike = [
        (name, {engine: found.get(engine, "missing") for engine in engines})
        for name, found in sorted(by_name.items())
        if len(found) < len(engines) or len(set(found.values())) > 1
    ]
    columns: list[tuple[str, Callable[[tuple[str, dict[int, str]]], str]]] = [("name", lambda row: row[0])]
    for engine in engines:
        columns.append((f"engine {engine}", lambda row, engine=engine: row[1][engine]))  # type: ignore[misc]  # a default
    return Table(
        unlike, columns, "" if unlike else "every engine has the same names, alike in type, shape and size"
    )


def _describe(name: Name) -> str:
    shape = "" if name.shape is None else f" {'×'.join(map(str, name.shape)) or '()'}"
    size = "" if name.nbytes is None or name.preview else f", {name.nbytes} bytes"
    return f"{name.type}{shape}{size}" + (f" {_short(name.preview)}" if name.preview else "")


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _clock(when: float | None) -> str:
    return "" if not when else time.strftime("%H:%M:%S", time.localtime(when))
