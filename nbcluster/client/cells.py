"""One cell sent to engines: its tasks, what came of them, and who listens. Knows no display.

Events arrive on the I/O thread. They are folded into results there, then handed on: to a listener at once, or into
a queue that the thread which sent the cell drains.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Raw, json

from nbcluster.client.cellfutures import CellFuture, CellResult, Unsent, combine, error_of
from nbcluster.client.futures import Future
from nbcluster.errors import NBClusterError, NotSerializable
from nbcluster.ids import CellId, EngineNumber, TaskId
from nbcluster.protocol import messages as m
from nbcluster.transport.frames import Buffer

if TYPE_CHECKING:
    from nbcluster.client.calls import Calls

FINISHED_RUNS = 500
"""Finished cells whose late output still finds its place."""

KEPT_LATE = 1000
"""Events after the end that are kept for a listener that may still come."""

CellEvent = m.TaskStarted | m.TaskOutput | m.InputWanted | m.TaskDone
Listener = Callable[[CellEvent, Sequence[Buffer]], None]
OutputTaker = Callable[[m.TaskOutput], bool]

KEPT_TEXT = 64 << 20
"""Characters of output that a cell keeps for each engine; beyond it the oldest half goes and `output` says so."""


class Sender(Protocol):
    """What a run needs of its cluster."""

    def post_soon(self, request: m.Request) -> None:
        """Send a request from any thread; its answer is not waited for."""

    @property
    def calls(self) -> Calls:
        """Its calls, which ask on its loop, and know why tasks failed lately."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop on which what comes is told."""


class CellRun:
    """A cell on its way through engines.

    Attributes
    ----------
    cell : CellId
    places : tuple of TaskPlace
        Its tasks and engines, as they were accepted.
    single : bool
        Whether its targets were one number or `any`, so that results are bare.
    future : Future
    results : dict of int to CellResult
    """

    def __init__(self, sender: Sender, order: m.SubmitCell, *, single: bool) -> None:
        self.cell = order.cell
        self.single = single
        self.places: tuple[m.TaskPlace, ...] = ()
        self.future = CellFuture(self)
        self.results: dict[int, CellResult] = {}
        self._order = order
        self._sender = sender
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[CellEvent, Sequence[Buffer]] | None] = queue.SimpleQueue()
        self._listener: Listener | None = None
        self._open: set[TaskId] = set()
        self._running: set[TaskId] = set()
        self._stopping = False
        self._accepted = False
        self._early: list[tuple[CellEvent, Sequence[Buffer]]] = []
        self._text: list[str] = []
        self._kept = 0
        self._forgotten = 0
        self._last_writer: int | None = None
        self.done = False
        self.failed: list[TaskId] = []
        """The tasks that did not succeed: its own, or those for which it was not sent."""

    # -- what is known ------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop on which what comes is told."""
        return self._sender.loop

    @property
    def calls(self) -> Calls:
        """The calls of the client that sent it."""
        return self._sender.calls

    @property
    def open_tasks(self) -> tuple[TaskId, ...]:
        """Its tasks that have not ended, as far as is known here."""
        return tuple(sorted(self._open))

    @property
    def what(self) -> str:
        """The cell in a few words."""
        if self._order.label:
            return self._order.label
        first = next((line.strip() for line in self._order.code.splitlines() if line.strip()), "")
        return f"cell {first[:60]!r}"

    @property
    def status(self) -> str:
        """Where the cell as a whole is."""
        if self.done:
            error = self.future.exception(0) if self.future.done() else None
            if error is None:
                return "done"
            return "cancelled" if self.future.cancelled() else "failed"
        if self._stopping:
            return "stopping"
        return "running" if self._running else "queued"

    @property
    def engine(self) -> int | tuple[int, ...] | None:
        """The engine or engines."""
        numbers = tuple(sorted(self.results)) or tuple(
            place.engine for place in self.places if place.engine is not None
        )
        if self.single:
            return numbers[0] if numbers else None
        return numbers

    @property
    def output(self) -> str:
        """The text of all engines in the order that it came, labelled when there are several."""
        with self._lock:
            head = f"[{self._forgotten} characters of older output were let go]\n" if self._forgotten else ""
            return head + "".join(self._text)

    # -- for the thread that sent it ----------------------------------------------------------

    def events(self, tick: float = 0.1) -> Iterator[tuple[CellEvent, Sequence[Buffer]] | None]:
        """Yield events in the calling thread until every task has ended.

        Parameters
        ----------
        tick : float
            None is yielded when nothing came for so many seconds.
        """
        while True:
            try:
                item = self._queue.get(timeout=tick)
            except queue.Empty:
                yield None
                continue
            if item is None:
                return
            yield item

    def explain(self, timeout: float) -> str:
        """Ask why its tasks are where they are; a line for each that has not ended."""
        calls = self._sender.calls
        asked = (calls.here(calls.explain(task), timeout, f"word of {self.what}") for task in self.open_tasks)
        return "\n".join(asked)

    def listen(self, listener: Listener) -> None:
        """Have events given to a callback on the I/O thread: those not yet taken, then all that come, late ones too."""
        with self._lock:
            waiting = []
            while True:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is not None:
                    waiting.append(item)
            self._listener = listener
            for event, buffers in waiting:
                listener(event, buffers)

    def cancel(self, reason: str = "cancelled by its owner", *, force: bool = False) -> None:
        """Ask that what waits be withdrawn and what runs interrupted; does not wait."""
        self._stopping = True
        self._sender.post_soon(m.CancelTasks(tuple(sorted(self._open)), reason, force))

    def send_input(self, task: TaskId, value: str) -> None:
        """Answer an InputWanted."""
        self._sender.post_soon(m.SendInput(task, value))

    def abandon(self) -> None:
        """Stop handing events to the queue; the future still completes."""
        self.listen(lambda event, buffers: None)

    # -- on the I/O thread --------------------------------------------------------------------

    def accepted(self, places: tuple[m.TaskPlace, ...]) -> None:
        """Note where it will run."""
        self.places = places
        self._open = {place.task for place in places}
        self.results.update(
            {place.engine: CellResult(place.engine) for place in places if place.engine is not None}
        )
        self._accepted = True
        early, self._early = self._early, []
        for event, buffers in early:
            self.handle(event, buffers)
        if not places:
            self._finish()

    def handle(self, event: CellEvent, buffers: Sequence[Buffer]) -> None:
        """Fold an event in and hand it on."""
        if not self._accepted:
            self._early.append((event, buffers))
            return
        if isinstance(event, m.TaskStarted):
            self._running.add(event.task)
            self.results.setdefault(event.engine, CellResult(event.engine)).notice = event.notice
        elif isinstance(event, m.TaskOutput):
            self._keep(event)
        elif isinstance(event, m.TaskDone):
            for page in pages_of(event):
                self.handle(page, ())
            self._ended(event)
        self._hand_on(event, buffers)
        if isinstance(event, m.TaskDone) and not self._open and not self.done:
            self._finish()

    def refuse(self, error: NBClusterError, failed: Sequence[TaskId]) -> None:
        """It is not sent, since what it was to come after has failed."""
        self._accepted = True
        self.failed += failed
        self._finish(error)

    def lose(self, error: NBClusterError) -> None:
        """The controller is gone: every open task fails with that."""
        if self.done:
            return
        for place in self.places:
            if place.task in self._open:
                number = place.engine if place.engine is not None else EngineNumber(-1)
                self.results.setdefault(number, CellResult(number)).error = error
        self._open.clear()
        self._finish(error)

    def _hand_on(self, event: CellEvent, buffers: Sequence[Buffer]) -> None:
        with self._lock:
            listener = self._listener
            if listener is None:
                if not self.done or self._queue.qsize() < KEPT_LATE:
                    self._queue.put((event, buffers))
                return
        listener(event, buffers)

    def _keep(self, event: m.TaskOutput) -> None:
        result = self.results.setdefault(event.engine, CellResult(event.engine))
        content: dict[str, Any] = json.decode(event.content)
        match event.msg_type:
            case "stream":
                text = str(content.get("text", ""))
                if content.get("name") == "stderr":
                    result.stderr += text
                else:
                    result.stdout += text
                self._keep_text(event.engine, text)
            case "display_data" | "execute_result":
                result.outputs.append(
                    {
                        "output_type": event.msg_type,
                        "data": content.get("data", {}),
                        "metadata": content.get("metadata", {}),
                    }
                )
                self._keep_text(event.engine, str(content.get("data", {}).get("text/plain", "")) + "\n")

    def _keep_text(self, engine: int, text: str) -> None:
        with self._lock:
            if not self.single and engine != self._last_writer:
                broken = self._last_writer is not None and self._text and not self._text[-1].endswith("\n")
                self._text.append(("\n" if broken else "") + f"[{engine}] ")
                self._last_writer = engine
            self._text.append(text)
            self._kept += len(text)
            if self._kept > KEPT_TEXT:
                half = len(self._text) // 2 or 1
                gone = sum(len(piece) for piece in self._text[:half])
                del self._text[:half]
                self._kept -= gone
                self._forgotten += gone

    def _ended(self, event: m.TaskDone) -> None:
        self._open.discard(event.task)
        self._running.discard(event.task)
        number = event.engine if event.engine is not None else EngineNumber(-1)
        result = self.results.setdefault(number, CellResult(number))
        result.error = error_of(event.outcome, event.engine)
        if result.error is not None:
            if isinstance(event.outcome, m.Unmet):
                result.error.__cause__ = self._sender.calls.failure_of(event.outcome.cause)
            self._sender.calls.note_failure(event.task, result.error)
            self.failed.append(event.task)
        result.ok = result.error is None
        if isinstance(event.outcome, m.Succeeded):
            result.values = event.outcome.values
            result.unsent = event.outcome.unsent

    def _finish(self, lost: NBClusterError | None = None) -> None:
        self.done = True
        error = lost or combine(self.results, single=self.single)
        if not self.future.done():
            if error is not None:
                self.future.set_exception(error)
            else:
                self._set_value()
        self._queue.put(None)

    def _set_value(self) -> None:
        values: dict[int, Any] = {}
        for number, result in sorted(self.results.items()):
            try:
                values[number] = result.value
            except NotSerializable as error:  # the cell ran; only its value stays behind
                values[number] = Unsent(number, result.unsent.get("", str(error)))
        self.future.set_result(next(iter(values.values()), None) if self.single else values)


def pages_of(done: m.TaskDone) -> list[m.TaskOutput]:
    """Return what a kernel has handed to a pager, as ``name?`` does, as results: equal ones are shown once."""
    if done.engine is None or not isinstance(done.outcome, m.Succeeded):
        return []
    pages = []
    for entry in done.outcome.payload:
        data = entry.get("data")
        if entry.get("source") != "page" or not isinstance(data, dict):
            continue
        shown = {"text/plain": data["text/plain"]} if "text/plain" in data else data
        content = Raw(json.encode({"data": shown, "metadata": {}, "execution_count": None}))
        pages.append(m.TaskOutput(done.cell, done.task, done.engine, "execute_result", content))
    return pages


class Runs:
    """The runs of one client: those that have not ended, and lately ended ones whose late output finds its place."""

    def __init__(self) -> None:
        self._by_cell: OrderedDict[CellId, CellRun] = OrderedDict()
        self.takers: list[OutputTaker] = []

    @property
    def unfinished(self) -> list[Future]:
        """The futures of those that have not ended."""
        return [run.future for run in list(self._by_cell.values()) if not run.done]

    @property
    def has_unfinished(self) -> bool:
        """Whether there are such. The latest ones are looked at first."""
        return any(not run.done for run in reversed(list(self._by_cell.values())))

    def add(self, run: CellRun) -> None:
        """Remember a run."""
        self._by_cell[run.cell] = run
        surplus = len(self._by_cell) - FINISHED_RUNS
        if surplus > 0:
            for cell in [cell for cell, known in self._by_cell.items() if known.done][:surplus]:
                del self._by_cell[cell]

    def drop(self, run: CellRun) -> None:
        """Forget a run that was refused."""
        self._by_cell.pop(run.cell, None)

    def handle(self, event: CellEvent, buffers: Sequence[Buffer]) -> None:
        """Hand an event to its run, unless it is output that is shown elsewhere."""
        if isinstance(event, m.TaskOutput) and any(take(event) for take in self.takers):
            return
        run = self._by_cell.get(event.cell)
        if run is not None:
            run.handle(event, buffers)

    def lose(self, error: NBClusterError) -> None:
        """The controller is gone: every open run fails with that."""
        for run in list(self._by_cell.values()):
            run.lose(error)
