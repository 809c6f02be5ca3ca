"""Runs a graph cell that the notebook does not wait for, on a thread of its own. Knows no grammar and no dataflow."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from nbcluster.client.futures import Future
from nbcluster.client.listening import listen_on_this_thread
from nbcluster.client.promised import PromisedFuture
from nbcluster.engine.statements import pick
from nbcluster.errors import NBClusterError, TaskCancelled
from nbcluster.notebook.graphruns import GraphRun
from nbcluster.notebook.operations import Operation, Publisher, Write

KEPT_TEXT = 1 << 20
"""Characters of its output that the Future of a graph cell keeps; beyond it the oldest go, and it says so."""


class GraphFuture(Future):
    """The Future of a whole graph cell: done when all of it has ended; raises the first error in the cell's order."""

    def __init__(self, what: str, stop: Callable[[str], object]) -> None:
        super().__init__()
        self._what, self._stop = what, stop
        self._stopping = False
        self._texts: deque[str] = deque()
        self._kept = self._forgotten = 0
        self.tell: Callable[[], str] = str
        """Says how far it is."""

    @property
    def what(self) -> str:
        """What it is the Future of, in a few words."""
        return self._what

    @property
    def status(self) -> str:
        """running, stopping, done, failed or cancelled."""
        if self.done():
            return "cancelled" if self.cancelled() else "failed" if self.failed else "done"
        return "stopping" if self._stopping else "running"

    @property
    def output(self) -> str:
        """What its statements have printed so far, in the cell's order."""
        head = f"[{self._forgotten} characters of older output were let go]\n" if self._forgotten else ""
        return head + "".join(self._texts)

    def add_text(self, text: str) -> None:
        """Note what was printed."""
        self._texts.append(text)
        self._kept += len(text)
        while self._kept > KEPT_TEXT and len(self._texts) > 1:
            gone = len(self._texts.popleft())
            self._kept -= gone
            self._forgotten += gone

    def explain(self, timeout: float = 10) -> str:
        """Say how far it is."""
        return f"{self.what}: {self.status if self.done() else self.tell()}"

    def ask_to_stop(self, reason: str, *, force: bool = False) -> None:
        """Ask that what runs of it be interrupted and the rest not be sent; does not wait."""
        self._stopping = True
        self._stop(reason)

    def why_waiting(self) -> str:
        """What its statements are at."""
        return self.explain()


class LaterPublisher:
    """Keeps what is to be drawn until whoever draws late output comes by.

    Parameters
    ----------
    publisher : Publisher
        Draws in the end.
    due : callable
        Called with this when there is something to draw.
    hear : callable
        Called with each text.
    """

    def __init__(
        self, publisher: Publisher, due: Callable[[Any], object], hear: Callable[[str], object]
    ) -> None:
        self._publisher, self._due, self._hear = publisher, due, hear
        self._waiting: deque[Operation] = deque()

    def publish(self, operation: Operation) -> None:
        """Keep one operation."""
        self._waiting.append(operation)
        if isinstance(operation, Write):
            self._hear(operation.text)

    def flush(self) -> None:
        """Have it drawn soon."""
        self._due(self)

    def draw(self, now: float) -> bool:
        """Draw what has come."""
        while self._waiting:
            self._publisher.publish(self._waiting.popleft())
        self._publisher.flush()
        return False


class BackgroundGraph:
    """One graph cell on its way.

    Parameters
    ----------
    run : GraphRun
    promises : mapping of str to PromisedFuture
        The Futures of the names that it assigns.
    whole : GraphFuture
    ended : callable
        Called with the run, on its thread, before the Futures are done that are not sent.
    """

    def __init__(
        self,
        run: GraphRun,
        promises: Mapping[str, PromisedFuture],
        whole: GraphFuture,
        ended: Callable[[GraphRun], object],
    ) -> None:
        self._run, self._whole, self._ended = run, whole, ended
        self._open = dict(promises)
        self.count = 0
        """In place of interrupts: how often it was asked to stop."""

    def stop(self, reason: str) -> None:
        """Ask it to end. Any thread."""
        self._run.stop_reason = reason
        self.count = max(self.count, 1)

    def start(self) -> None:
        """Begin, on a thread that a kernel which ends does not wait for."""
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._work,), name="nbcluster-graph-cell", daemon=True
        ).start()

    def _work(self) -> None:
        run = self._run
        error: BaseException | None = None
        try:
            run.run(self, listen=listen_on_this_thread, step=self._step)
            self._step()
            failed = run.first_error()
            if run.interrupted:
                error = TaskCancelled(f"{self._whole.what} was cancelled: {run.stop_reason}")
            elif failed is not None:
                error = failed[1]
        except Exception as caught:
            error = caught
        try:
            self._ended(run)
        finally:
            for name, promised in self._open.items():
                told = error or NBClusterError(f"{self._whole.what} has ended, and nothing of it made {name}")
                promised.give_up(told)
            if error is not None:
                self._whole.set_exception(error)
            else:
                self._whole.set_result(None)

    def _step(self) -> None:
        """Send the Futures of names whose statements are on their way; stop when one was cancelled from outside."""
        run = self._run
        for name in list(self._open):
            made = run.result_of(name)
            if made is not None:
                run.without_output(self._open.pop(name).send_with, pick, made, name)
        if not run.interrupted and any(isinstance(error, TaskCancelled) for error in run.failed.values()):
            self.stop("one of its statements was cancelled")
