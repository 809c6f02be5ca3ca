"""Remembers what a cell shows, so that one engine's part can be taken away. Knows no messages, no time."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from nbcluster.notebook.layout import Source
from nbcluster.notebook.operations import Clear, Move, Operation, Show, Write, merged

MOST_ITEMS = 6_000
MOST_BYTES = 32_000_000


class Picture:
    """What a cell of several engines shows, oldest first, within a bound.

    A notebook can only clear a whole cell. To clear the part of one engine, the cell is cleared and the parts
    of the others are drawn again from here.
    """

    def __init__(self) -> None:
        self._shown: deque[tuple[Source, Operation]] = deque()
        self._bytes = 0
        self._forgotten = 0

    def add(self, source: Source, operation: Operation) -> None:
        """Remember what is shown from now on."""
        match operation:
            case Show(update=True, display_id=display_id):
                self._replace(
                    lambda shown: isinstance(shown, Show) and shown.display_id == display_id, operation
                )
                return
            case Move(key=key) if self._replace(
                lambda shown: isinstance(shown, Move) and shown.key == key, operation
            ):
                return
            case Clear():
                self._shown.clear()
                self._bytes = 0
                return
        self._shown.append((source, operation))
        self._bytes += _size(operation)
        while len(self._shown) > MOST_ITEMS or (self._bytes > MOST_BYTES and len(self._shown) > 1):
            self._bytes -= _size(self._shown.popleft()[1])
            self._forgotten += 1

    def remove(self, source: Source) -> None:
        """Forget what exactly these engines show."""
        self._shown = deque(entry for entry in self._shown if entry[0] != source)
        self._bytes = sum(_size(operation) for _, operation in self._shown)

    def redraw(self) -> list[Operation]:
        """Return what clears the cell and draws all that is left."""
        again: list[Operation] = [Clear(wait=True)]
        if self._forgotten:
            again.append(
                Write("stderr", f"… {self._forgotten:,} earlier outputs of this cell are not shown again\n")
            )
        again += [operation for _, operation in self._shown]
        # Nothing follows to trigger a clear that waits, when nothing is left.
        return merged(again) if len(again) > 1 else [Clear(wait=False)]

    def _replace(self, matches: object, operation: Operation) -> bool:
        assert callable(matches)
        found = False
        for at, (source, shown) in enumerate(self._shown):
            if matches(shown):
                fresh = replace(operation, update=False) if isinstance(operation, Show) else operation
                self._bytes += _size(fresh) - _size(shown)
                self._shown[at] = (source, fresh)
                found = True
        return found


def _size(operation: Operation) -> int:
    match operation:
        case Write() | Move():
            return len(operation.text)
        case Show():
            parts = sum(len(part) for part in operation.data.values() if isinstance(part, str))
            return parts + sum(len(buffer) for buffer in operation.buffers)
        case Clear():
            return 0
