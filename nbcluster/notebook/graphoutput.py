"""Shows the output of a graph cell in the order of its statements, whichever ends first. Knows no calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Raw, msgpack

from nbcluster.engine.statements import MARK
from nbcluster.ids import CellId, EngineNumber, TaskId
from nbcluster.notebook.items import Item, Rich, Text, Wipe, read_item
from nbcluster.notebook.operations import Operation, Publisher, Show, Write, merged
from nbcluster.protocol.calls import OutputPiece
from nbcluster.protocol.messages import TaskOutput

_pieces = msgpack.Decoder(tuple[OutputPiece, ...])

Slot = tuple[int, int]
"""A statement, and a part of it that ran apart (a chunk of a comprehension)."""


class OrderedOutput:
    """The output of one cell.

    Parameters
    ----------
    slots : iterable of int
        The statements that run, in the cell's order.
    publisher : Publisher
    """

    def __init__(self, slots: Iterable[int], publisher: Publisher) -> None:
        self._order = list(slots)
        self._publisher = publisher
        self._items: dict[Slot, list[Item]] = {}
        self._now: dict[str, int] = {}
        self._parts: dict[int, dict[int, bool]] = {}
        self._ended: set[int] = set()
        self.types: dict[str, dict[str, str]] = {}
        """What is known of the values that each task has made."""

    def statement_of(self, task: str) -> int | None:
        """Return the statement that a task has begun last."""
        return self._now.get(task)

    def take(self, task: str, part: int, output: bytes) -> None:
        """Take what a task has printed and displayed. `part` orders what ran apart for one statement."""
        for item in _items_of(task, output):
            if isinstance(item, Rich) and MARK in item.data:
                mark = item.data[MARK]
                if mark["number"] is None:
                    self.types[task] = mark["types"]
                else:
                    self._now[task] = mark["number"]
                continue
            slot = (self._now.get(task, -1), part)
            if isinstance(item, Wipe):
                self._items.pop(slot, None)
                continue
            self._items.setdefault(slot, []).append(item)

    def end(self, statement: int) -> None:
        """Nothing more comes from a statement."""
        self._ended.add(statement)

    def draw(self, *, last: bool = False) -> None:
        """Draw what is due; with `last` all there is."""
        operations: list[Operation] = []
        while self._order:
            first = self._order[0]
            for slot in sorted(slot for slot in self._items if slot[0] == first):
                if first in self._ended or slot[1] == 0:
                    operations += map(_operation, self._items.pop(slot))
            if first not in self._ended and not last:
                break
            self._order.pop(0)
        if last:
            for slot in sorted(self._items):
                operations += map(_operation, self._items[slot])
            self._items.clear()
        if operations:
            for operation in merged(operations):
                self._publisher.publish(operation)
            self._publisher.flush()


def _items_of(task: str, output: bytes) -> Iterator[Item]:
    for piece in _pieces.decode(output):
        if piece.msg_type in ("stdout", "stderr"):
            yield Text("stderr" if piece.msg_type == "stderr" else "stdout", piece.text)
            continue
        event = TaskOutput(
            CellId(""), TaskId(task), EngineNumber(0), piece.msg_type, Raw(piece.content), {}, True
        )
        if (item := read_item(event, ())) is not None:
            yield item


def _operation(item: Any) -> Operation:
    if isinstance(item, Text):
        return Write(item.stream, item.text)
    return Show(item.data, item.metadata, item.display_id, item.update, item.buffers)
