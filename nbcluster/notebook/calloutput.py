"""Shows what calls print in the cell that submitted them. Knows no clusters and no Futures."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from msgspec import Raw, msgpack

from nbcluster.client.listening import listen_here
from nbcluster.ids import CellId, EngineNumber, TaskId
from nbcluster.notebook.display import CellDisplay
from nbcluster.notebook.items import Item, Text, read_item
from nbcluster.notebook.operations import Publisher, merged
from nbcluster.notebook.publishers import FinishedCell, TerminalPublisher
from nbcluster.protocol.calls import OutputPiece
from nbcluster.protocol.messages import TaskOutput

_pieces = msgpack.Decoder(tuple[OutputPiece, ...])
_STREAMS = ("stdout", "stderr")


class Drawer(Protocol):
    """Draws what has something to draw, soon."""

    def due(self, drawn: CallOutput) -> None:
        """Draw this one soon. Any thread."""


class CallOutput:
    """What the calls of one cell print.

    Parameters
    ----------
    display : CellDisplay
    publisher : Publisher
    due : callable
        Called with this when there is something to draw, on any thread.
    """

    def __init__(self, display: CellDisplay, publisher: Publisher, due: Callable[[CallOutput], None]) -> None:
        self._display, self._publisher, self._due = display, publisher, due
        self._came: deque[tuple[str, int, bytes]] = deque()
        self._lock = threading.Lock()
        self._open: dict[tuple[int, str], str] = {}
        """The call whose last line on an engine has not ended, by engine and stream."""

    def take(self, task: str, engine: int, output: bytes) -> None:
        """Keep what a call has printed for the next drawing. Any thread."""
        self._came.append((task, engine, output))
        self._due(self)

    @property
    def has_come(self) -> bool:
        """Whether something has come that is not drawn."""
        return bool(self._came)

    def draw(self, now: float, *, last: bool = False) -> bool:
        """Draw what has come; return whether more is to be drawn without more coming.

        Parameters
        ----------
        now : float
            Monotonic seconds.
        last : bool
            Nothing more will come: a line that has no end is drawn as it is.
        """
        with self._lock:
            operations = []
            for engine, item in self._items():
                operations += self._display.show(engine, item, now)
            operations += self._display.finish(now) if last else self._display.tick(now)
            for operation in merged(operations):
                self._publisher.publish(operation)
            self._publisher.flush()
            return self._display.restless

    def _items(self) -> Iterator[tuple[int, Item]]:
        """What has come, with texts of one engine that follow one another joined."""
        source: tuple[int, str] | None = None
        texts: list[str] = []
        while self._came:
            task, engine, output = self._came.popleft()
            for piece in _pieces.decode(output):
                if source is not None and source != (engine, piece.msg_type):
                    yield source[0], _text(source[1], texts)
                    source, texts = None, []
                if piece.msg_type in _STREAMS:
                    source = (engine, piece.msg_type)
                    texts.append(self._begun_anew(task, source, piece.text))
                    continue
                event = TaskOutput(
                    CellId(""),
                    TaskId(task),
                    EngineNumber(engine),
                    piece.msg_type,
                    Raw(piece.content),
                    {},
                    True,
                )
                for stream in _STREAMS:
                    self._open.pop((engine, stream), None)  # what is shown ends the line before it
                if (item := read_item(event, ())) is not None:
                    yield engine, item
        if source is not None:
            yield source[0], _text(source[1], texts)

    def _begun_anew(self, task: str, source: tuple[int, str], text: str) -> str:
        """The text, on a line of its own when another call has left its line open."""
        before = self._open.pop(source, task)
        if not text.endswith("\n"):
            self._open[source] = task
        return text if before == task else "\n" + text


def _text(stream: str, texts: list[str]) -> Text:
    return Text("stderr" if stream == "stderr" else "stdout", "".join(texts))


class CallOutputs:
    """The cells of one notebook whose calls may print.

    Parameters
    ----------
    shell : InteractiveShell
    notebook : bool
        Whether there is a front end, rather than a terminal.
    drawer : Drawer
    has_open : callable
        Whether calls of a cell have not ended.
    """

    def __init__(
        self, shell: Any, *, notebook: bool, drawer: Drawer, has_open: Callable[[CallOutput], bool]
    ) -> None:
        self._shell, self._notebook, self._drawer, self._has_open = shell, notebook, drawer, has_open
        self._count = 0
        self._now: tuple[str, CallOutput, FinishedCell | None] | None = None

    def begin(self) -> None:
        """A cell begins: the calls that it submits print into it."""
        parent = self._shell.get_parent() if self._notebook else {}
        cell = str(parent.get("header", {}).get("msg_id", ""))
        if self._now is not None and cell and self._now[0] == cell:
            listen_here(self._now[1])  # a cell within it
            return
        self._count += 1
        key = f"{cell or self._count}-calls"
        finished = FinishedCell(self._shell, parent, key) if self._notebook else None
        display = CellDisplay(key, "calls", (), single=False, raw=False, rest="the .output of each Future")
        output = CallOutput(display, finished or TerminalPublisher(watched=False), self._drawer.due)
        self._now = cell, output, finished
        listen_here(output)

    def catch_up(self) -> None:
        """Draw what has come from the calls of the cell that runs now."""
        if self._now is not None and self._notebook and self._now[1].has_come:
            sys.stdout.flush()
            self._now[1].draw(time.monotonic())

    def end(self) -> None:
        """The cell has ended: what came is drawn before that is known, and what comes later has its place."""
        if self._now is None:
            return
        _, output, finished = self._now
        expects_more = self._has_open(output)
        output.draw(time.monotonic(), last=not expects_more)
        if finished is not None:
            finished.end(expects_more=expects_more)

    def close(self) -> None:
        """Show nothing of calls any more."""
        self._now = None
        listen_here(None)
