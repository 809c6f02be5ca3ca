"""What a drawing asks of a notebook, as values. Knows neither IPython nor engines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

StreamName = Literal["stdout", "stderr"]
Buffers = Sequence[bytes | bytearray | memoryview]


@dataclass(frozen=True)
class Write:
    """Write text to a stream of the notebook."""

    stream: StreamName
    text: str


@dataclass(frozen=True)
class Move:
    """Show a line that changes in place, under a key; `settled` is its last state."""

    key: str
    text: str
    settled: bool = False


@dataclass(frozen=True)
class Show:
    """Show a MIME bundle, or with `update` replace the one that has this display id."""

    data: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    display_id: str | None = None
    update: bool = False
    buffers: Buffers = ()


@dataclass(frozen=True)
class Clear:
    """Remove all that the cell shows; with `wait` when the next thing comes."""

    wait: bool = False


Operation = Write | Move | Show | Clear


class Publisher(Protocol):
    """Carries operations out: in a notebook, in a terminal, or in a display of a cell that has ended."""

    def publish(self, operation: Operation) -> None:
        """Carry one operation out."""

    def flush(self) -> None:
        """Let everything that was written be seen."""


def merged(operations: Iterable[Operation]) -> list[Operation]:
    """Join writes to one stream that follow one another; drop a move that the next one replaces."""
    joined: list[Operation] = []
    for operation in operations:
        match operation, joined[-1] if joined else None:
            case Write(stream, text), Write(before, earlier) if stream == before:
                joined[-1] = Write(stream, earlier + text)
            case Move(key), Move(before_key) if key == before_key:
                joined[-1] = operation
            case _:
                joined.append(operation)
    return joined
