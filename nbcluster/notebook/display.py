"""Turns the events of one cell into what the notebook is to show. Knows no IPython, clock or threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from nbcluster.ids import EngineNumber, TaskId
from nbcluster.notebook.items import Item, Rich, Text, Wipe, read_item
from nbcluster.notebook.labels import Labels, engines_phrase, ranges
from nbcluster.notebook.layout import Placed, Source, layout_for
from nbcluster.notebook.operations import Buffers, Clear, Move, Operation, Show, StreamName, Write, merged
from nbcluster.notebook.picture import Picture
from nbcluster.notebook.streams import Line, Moved, StreamLines
from nbcluster.protocol.messages import (
    Cancelled,
    EngineStatus,
    InputWanted,
    Lost,
    Raised,
    Succeeded,
    TaskDone,
    TaskOutput,
    TaskPlace,
    TaskStarted,
    TimedOut,
    Unmet,
)

CellEvent = TaskStarted | TaskOutput | InputWanted | TaskDone

LIVE_LINES = 5_000
MOVE_INTERVAL = 0.1
MOVES_PER_SECOND = 50
REDRAW_INTERVAL = 0.2
HOLD_RESULTS = 1.0
HOLD_NOTE = 0.3

WAITING = "waiting"
"""How a line begins that says why a cell has not begun."""

SILENT = "silent"
"""How the note of an engine begins that does not answer."""


class CellDisplay:
    """Draws one cell.

    Parameters
    ----------
    cell : str
        Its id: makes the keys of what moves unique.
    cluster : str
        Name of the cluster: makes display ids unique.
    places : sequence of TaskPlace
        Its tasks.
    single : bool
        One engine, no labels.
    group : str
        One of grammar.GROUPS.
    raw : bool
        Text of a single engine passes as it is, carriage returns too: the notebook's own streams take it.
    limit : int or None
        Live lines, after which text is only counted.
    rest : str
        Where the user finds the lines that are not shown.
    """

    def __init__(
        self,
        cell: str,
        cluster: str,
        places: Sequence[TaskPlace],
        *,
        single: bool,
        group: str = "order",
        raw: bool = True,
        limit: int | None = LIVE_LINES,
        rest: str = "cluster.last.output",
    ) -> None:
        engines = [place.engine for place in places if place.engine is not None]
        self._cell, self._cluster, self._single, self._rest = cell, cluster, single, rest
        self._raw = raw and single
        self._limit = limit
        self._labels = Labels(engines, plain=single)
        self._layout = layout_for("order" if single else group, engines, limit or LIVE_LINES)
        self._picture = None if single else Picture()
        self._lines: dict[tuple[Source, StreamName], StreamLines] = {}
        self._waiting: dict[TaskId, EngineNumber | None] = {place.task: place.engine for place in places}
        self._open = {place.task for place in places}
        self._drawn_lines = 0
        self._more = 0
        self._more_drawn, self._more_at = 0, float("-inf")
        self._results: list[tuple[Source, Rich]] = []
        self._results_since = 0.0
        self._note = ""
        self._note_at: float | None = None
        self._noted = False
        self._wipe_next: set[Source] = set()
        self._headed: Source | None = None  # whose rich output came last, under a heading
        self._stale = False
        self._redrawn_at = float("-inf")
        self._out: list[Operation] = []

    @property
    def waiting(self) -> list[EngineNumber]:
        """The engines that have not begun their task, and whose turn is not known to be over."""
        return [engine for engine in self._waiting.values() if engine is not None]

    @property
    def queued(self) -> bool:
        """Whether no task has begun."""
        return bool(self._open) and len(self._waiting) == len(self._open)

    @property
    def ended(self) -> bool:
        """Whether every task has ended."""
        return not self._open

    @property
    def restless(self) -> bool:
        """Whether a later tick will have something to draw, without another event."""
        return (
            self._stale
            or bool(self._results)
            or self._note_at is not None
            or self._more != self._more_drawn
            or any(lines.pending for lines in self._lines.values())
        )

    def apply(self, event: CellEvent, buffers: Buffers, now: float) -> list[Operation]:
        """Return what an event shows at once. `now` is monotonic seconds."""
        match event:
            case TaskStarted():
                self._waiting.pop(event.task, None)
                if event.notice:
                    self._emit((event.engine,), Write("stderr", self._line((event.engine,), event.notice)))
            case TaskOutput():
                item = read_item(event, buffers)
                if item is not None:
                    self._draw_all(self._layout.add(event.engine, item), now)
            case InputWanted():
                self._close_lines((event.engine,))
            case TaskDone():
                self._done(event, now)
            case _:
                assert_never(event)
        return self._taken()

    def show(self, engine: int, item: Item, now: float) -> list[Operation]:
        """Return what an item of an engine shows at once."""
        self._draw_all(self._layout.add(engine, item), now)
        return self._taken()

    def tick(self, now: float) -> list[Operation]:
        """Return what time alone brings: partial lines, moving lines, held results, a redraw that is due."""
        moving = sum(lines.moving or lines.pending for lines in self._lines.values())
        interval = max(MOVE_INTERVAL, moving / MOVES_PER_SECOND)
        for (source, stream), lines in self._lines.items():
            self._draw_lines(source, stream, lines.tick(now, interval))
        if self._note_at is not None and now - self._note_at >= HOLD_NOTE:
            self._tell_failure()
        if self._results and now - self._results_since >= HOLD_RESULTS:
            self._draw_results()
        if self._more != self._more_drawn and now - self._more_at >= 0.5:
            self._draw_more(now)
        if self._stale and now - self._redrawn_at >= REDRAW_INTERVAL:
            self._redraw(now)
        return self._taken()

    def finish(self, now: float) -> list[Operation]:
        """Return what is left to show when every task has ended. Late output may still be applied after."""
        self._note_at = None
        self._draw_all(self._layout.finish(), now)
        for source, _ in list(self._lines):
            self._close_lines(source)
        self._draw_results()
        if self._more != self._more_drawn:
            self._draw_more(now)
        if self._stale:
            self._redraw(now)
        self._raw = False
        return self._taken()

    # -- events --------------------------------------------------------------------------------

    def _done(self, event: TaskDone, now: float) -> None:
        self._waiting.pop(event.task, None)
        self._open.discard(event.task)
        if event.engine is None:
            return
        source = (event.engine,)
        self._draw_all(self._layout.done(event.engine), now)
        self._close_lines(source)
        if event.output_dropped:
            text = f"{event.output_dropped:,} output messages were lost: this notebook read too slowly"
            self._emit(source, Write("stderr", self._line(source, text)))
        failure = _failure(event)
        if failure and not self._noted and not self._single:
            # Held for a moment: if all fail alike, the error itself says it better.
            self._noted = True
            self._note, self._note_at = self._labels.line(source, failure), now
        if not self._open:
            self._note_at = None

    def _tell_failure(self) -> None:
        self._note_at = None
        self._emit((), Write("stderr", f"{self._note} (others still run; the full error comes at the end)\n"))

    # -- items ---------------------------------------------------------------------------------

    def _draw_all(self, placed: Iterable[Placed], now: float) -> None:
        for source, item in placed:
            self._draw(source, item, now)

    def _draw(self, source: Source, item: Item, now: float) -> None:
        if source in self._wipe_next and not (isinstance(item, Rich) and item.update):
            self._wipe_next.discard(source)
            self._wipe(source)
        match item:
            case Text(stream, text) if self._raw:
                self._draw_raw(stream, text)
            case Text(stream, text):
                lines = self._lines.setdefault((source, stream), StreamLines())
                self._draw_lines(source, stream, lines.feed(text, now))
            case Rich() if item.is_result and item.is_text and not self._single:
                self._close_lines(source)
                if not self._results:
                    self._results_since = now
                self._results.append((source, item))
            case Rich():
                self._draw_rich(source, item)
            case Wipe(wait):
                self._clear(source, wait)
            case _:
                assert_never(item)

    def _draw_raw(self, stream: StreamName, text: str) -> None:
        room = None if self._limit is None else self._limit - self._drawn_lines
        lines = text.count("\n")
        if room is not None and lines > room:
            self._more += lines - room
            text, lines = "".join(f"{line}\n" for line in text.split("\n")[:room]), room
        elif room == 0 and self._more:
            return
        self._drawn_lines += lines
        if text:
            self._emit((), Write(stream, text))

    def _draw_lines(self, source: Source, stream: StreamName, drawn: Iterable[Line | Moved]) -> None:
        for line in drawn:
            match line:
                case Line(text):
                    if self._has_room():
                        self._emit(source, Write(stream, self._line(source, text)))
                case Moved(serial, text, settled):
                    if settled:
                        self._drawn_lines += 1
                    key = f"{self._cell}-{ranges(source)}-{stream}-{serial}"
                    self._emit(source, Move(key, self._labels.line(source, text), settled))

    def _has_room(self) -> bool:
        if self._limit is not None and self._drawn_lines >= self._limit:
            self._more += 1
            return False
        self._drawn_lines += 1
        return True

    def _draw_more(self, now: float) -> None:
        self._more_drawn, self._more_at = self._more, now
        text = f"… and {self._more:,} more line{'s' if self._more != 1 else ''}: see {self._rest}"
        self._emit((), Move(f"{self._cell}-more", text))

    def _draw_rich(self, source: Source, item: Rich) -> None:
        if not item.update:
            self._close_lines(source)
            if not self._single and self._headed != source:
                self._emit(source, Show(self._labels.heading(source)))
        shown = Show(
            item.data, item.metadata, self._display_id(source, item.display_id), item.update, item.buffers
        )
        self._emit(source, shown)
        if not item.update:
            self._headed = source

    def _display_id(self, source: Source, display_id: str | None) -> str | None:
        # The same for every cell, as a later cell may update what this one shows.
        return None if display_id is None else f"nbcluster-{self._cluster}-{source[0]}-{display_id}"

    def _draw_results(self) -> None:
        results, self._results = self._results, []
        equal: dict[str, list[int]] = {}
        for source, item in results:
            equal.setdefault(str(item.data["text/plain"]), []).extend(source)
        for text, engines in sorted(equal.items(), key=lambda entry: min(entry[1])):
            source = tuple(sorted(set(engines)))
            self._emit(source, Write("stdout", self._result(source, text)))

    def _result(self, source: Source, text: str) -> str:
        count = f"  ({len(source)} engines)" if len(source) > 1 else ""
        first, *others = text.split("\n")
        if not others:
            return f"{self._labels.line(source, first)}{count}\n"
        # Continued lines stand under the first, so that arrays stay aligned.
        indent = self._labels.indent(source)
        body = "".join(f"{indent}{line}\n" for line in others)
        return (
            f"{self._labels.line(source, first)}\n{body}{indent + count.strip() + chr(10) if count else ''}"
        )

    # -- clearing ------------------------------------------------------------------------------

    def _clear(self, source: Source, wait: bool) -> None:
        if self._picture is None:
            self._lines.clear()
            self._emit(source, Clear(wait))
        elif wait:
            self._wipe_next.add(source)
        else:
            self._wipe(source)

    def _wipe(self, source: Source) -> None:
        assert self._picture is not None
        for known in [known for known in self._lines if known[0] == source]:
            del self._lines[known]
        self._results = [entry for entry in self._results if entry[0] != source]
        self._picture.remove(source)
        self._headed = None
        self._stale = True

    def _redraw(self, now: float) -> None:
        assert self._picture is not None
        self._stale, self._redrawn_at = False, now
        self._out += self._picture.redraw()

    # -- writing -------------------------------------------------------------------------------

    def _close_lines(self, source: Source) -> None:
        for (lines_of, stream), lines in self._lines.items():
            if lines_of == source:
                self._draw_lines(source, stream, lines.close())

    def _line(self, source: Source, text: str) -> str:
        return f"{self._labels.line(source, text)}\n"

    def _emit(self, source: Source, operation: Operation) -> None:
        if not isinstance(operation, Show):
            self._headed = None
        if self._picture is not None:
            self._picture.add(source, operation)
            if self._stale:
                # The redraw that is due shows it; only updates reach displays of other cells.
                if isinstance(operation, Show) and operation.update:
                    self._out.append(operation)
                return
        self._out.append(operation)

    def _taken(self) -> list[Operation]:
        out, self._out = self._out, []
        return merged(out)


def _failure(event: TaskDone) -> str:
    match event.outcome:
        case Succeeded() | Cancelled():
            return ""
        case Raised(ename=ename, evalue=evalue):
            return (f"{ename}: {evalue}" if evalue else ename).splitlines()[0][:200]
        case Lost(reason=reason):
            return reason.splitlines()[0][:200] if reason else "the engine ended"
        case TimedOut(seconds=seconds):
            return f"ran longer than {seconds:g} s"
        case Unmet(reason=reason):
            return f"did not run: {reason}".splitlines()[0][:200]
        case _:
            assert_never(event.outcome)


def waiting_text(busy: Iterable[tuple[int, str, float]], others: Sequence[int]) -> str:
    """Return why a cell waits, in one line; "" when nothing is known.

    Parameters
    ----------
    busy : iterable of (int, str, float)
        Number of an engine, what it runs, and since how many seconds.
    others : sequence of int
        Engines that cannot begin for another reason.
    """
    runs: dict[tuple[str, int], list[int]] = {}
    for engine, what, seconds in busy:
        runs.setdefault((what, round(seconds)), []).append(engine)
    parts = [
        f"{engines_phrase(engines)} {'run' if len(engines) > 1 else 'runs'} {what} since {seconds} s"
        for (what, seconds), engines in runs.items()
    ]
    if others:
        parts.append(f"{engines_phrase(others)} {'are' if len(others) > 1 else 'is'} not ready yet")
    return f"{WAITING}: " + "; ".join(parts) if parts else ""


def silent_text(engines: Iterable[EngineStatus]) -> str:
    """Return which engines live and do not answer, in one line; "" when all do."""
    silent = [engine for engine in engines if engine.note.startswith(SILENT)]
    notes = {engine.note.partition(":")[0] for engine in silent}
    if not silent:
        return ""
    verb = "are" if len(silent) > 1 else "is"
    return (
        f"{engines_phrase([engine.number for engine in silent])} {verb} {min(notes)}, though alive; "
        f"%cluster restart ends what does not come back"
    )
