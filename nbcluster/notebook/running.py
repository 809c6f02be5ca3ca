"""Waits for one cell that runs on engines: draws it, asks, interrupts. Knows no grammar."""

from __future__ import annotations

import builtins
import getpass
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Protocol

from IPython.core.error import StdinNotImplementedError

from nbcluster.client.needs import Needs
from nbcluster.client.progress import Line
from nbcluster.errors import NBClusterError, NotSupported
from nbcluster.ids import CellId, TaskId
from nbcluster.notebook.display import WAITING, CellDisplay, CellEvent, silent_text, waiting_text
from nbcluster.notebook.errors import CellInterrupted
from nbcluster.notebook.labels import engines_phrase
from nbcluster.notebook.operations import Buffers, Move, Operation, Publisher, merged
from nbcluster.protocol.messages import EngineStatus, InputWanted, Succeeded, TaskDone, TaskPlace

TICK = 0.05
"""Seconds after which a wait looks at interrupts and at what time alone brings."""
WAIT_IS_LONG = 2.0
LOOK_AGAIN = 10.0
"""Seconds between two looks whether an engine that runs the cell still answers."""


class CellRun(Protocol):
    """A cell that was sent, as the client gives it."""

    @property
    def cell(self) -> CellId:
        """Its id."""

    @property
    def places(self) -> tuple[TaskPlace, ...]:
        """Its tasks."""

    @property
    def single(self) -> bool:
        """Whether it has the bare shape."""

    @property
    def future(self) -> Any:
        """Its Future."""

    def events(self, tick: float = 0.1) -> Iterator[tuple[CellEvent, Buffers] | None]:
        """Give events as they come, None at least every `tick` seconds, until all is done and delivered."""

    def listen(self, callback: Callable[[CellEvent, Buffers], None]) -> None:
        """Give the events that were not taken, and all to come, to a function; mostly on another thread."""

    def send_input(self, task: TaskId, value: str) -> None:
        """Answer an InputWanted."""

    def cancel(self, reason: str = "cancelled by its owner") -> None:
        """Interrupt and withdraw its tasks."""

    def abandon(self) -> None:
        """Wait no longer."""


class Interrupts:
    """Counts Ctrl-C in place of raising, so that no event is lost half-way."""

    def __init__(self) -> None:
        self.count = 0
        self._handled: Any = None

    @contextmanager
    def counted(self) -> Iterator[Interrupts]:
        """Count while the block runs. Only the main thread has interrupts; elsewhere nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        self._handled = signal.signal(signal.SIGINT, self._note)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, self._handled)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Let an interrupt raise KeyboardInterrupt again while the block runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.count += 1


class BlockingRun:
    """Waits for a cell and draws what it does.

    Parameters
    ----------
    run : CellRun
    display : CellDisplay
    publisher : Publisher
    engines : callable
        Gives the state of the engines, to say why a cell waits.
    clock, wall : callable
        Monotonic seconds, and epoch seconds.
    needs : Needs, optional
        What the cell comes after.
    view : Line, optional
        Shows how many of its tasks have ended.
    """

    def __init__(
        self,
        run: CellRun,
        display: CellDisplay,
        publisher: Publisher,
        engines: Callable[[], Sequence[EngineStatus]],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        needs: Needs | None = None,
        view: Line | None = None,
    ) -> None:
        self._needs = needs
        self._run, self._display, self._publisher = run, display, publisher
        self._view = view or Line()
        self._engines, self._clock, self._wall = engines, clock, wall
        self._undrawn: list[Operation] = []
        self._flushed_at = float("-inf")
        self._began = clock()
        self._explained_at = self._began + WAIT_IS_LONG - 1
        self._explanation = ""
        self._failed = 0

    def drain(self, interrupts: Interrupts) -> None:
        """Draw until every task has ended.

        Raises
        ------
        CellInterrupted
            After an interrupt, when the engines have let go of the cell, or were given up.
        """
        cancelled = False
        for entry in self._run.events(TICK):
            if interrupts.count > (1 if cancelled else 0):
                if cancelled:
                    self._give_up()
                cancelled = True
                self._run.cancel("interrupted in the notebook")
            if entry is not None:
                self._take(*entry, interrupts)
            self._tick(idle=entry is None)
        self._explain("")
        self._publish(self._display.finish(self._clock()))
        if interrupts.count:
            raise CellInterrupted(f"the cell was interrupted{self._where()}; engines keep their state")

    def _take(self, event: CellEvent, buffers: Buffers, interrupts: Interrupts) -> None:
        self._undrawn += self._display.apply(event, buffers, self._clock())
        if isinstance(event, TaskDone):
            self._failed += not isinstance(event.outcome, Succeeded)
            self._view.advance(failed=self._failed)
        if isinstance(event, InputWanted):
            self._publish([])
            self._ask(event, interrupts)

    def _ask(self, wanted: InputWanted, interrupts: Interrupts) -> None:
        ask = getpass.getpass if wanted.password else builtins.input
        try:
            with interrupts.raised():
                value = ask(f"[engine {wanted.engine}] {wanted.prompt}")
        except (EOFError, KeyboardInterrupt):
            self._run.cancel("its question was not answered")
            return
        except StdinNotImplementedError as error:
            # The engine must not wait for ever.
            self._run.cancel("the notebook cannot ask for input here")
            raise NotSupported(
                f"engine {wanted.engine} asks for input ({wanted.prompt!r}), and this notebook runs where nobody "
                f"can be asked; the cell was cancelled"
            ) from error
        self._run.send_input(wanted.task, value)

    def _tick(self, *, idle: bool) -> None:
        now = self._clock()
        if self._view.wants_ticks:
            self._view.tick()
        waits = bool(self._display.waiting) or self._display.queued
        if waits and now - self._explained_at >= 1:
            self._explained_at = now
            self._explain(self._why_waiting())
        elif not waits and now - self._explained_at >= LOOK_AGAIN:
            self._explained_at = now
            self._explain(silent_text(self._states()))
        elif not waits and self._explanation.startswith(WAITING):
            self._explain("")
        # A burst of small messages is written in few large ones; the first of them at once.
        if idle or now - self._flushed_at >= TICK:
            self._publish(self._display.tick(now))

    def _why_waiting(self) -> str:
        waiting = set(self._display.waiting)
        wall = self._wall()
        states = [engine for engine in self._states() if engine.number in waiting]
        if silent := silent_text(states):
            return f"{WAITING}: {silent}"
        busy = [
            (engine.number, engine.running or "another cell", max(0.0, wall - (engine.running_since or wall)))
            for engine in states
            if engine.state == "busy"
        ]
        return self._after_others() or waiting_text(
            busy, [engine.number for engine in states if engine.state in ("starting", "restarting")]
        )

    def _after_others(self) -> str:
        """For what other tasks it waits, "" for none."""
        if self._needs is None:
            return ""
        names = [future.what for future in (*self._needs.after, *self._needs.behind) if not future.done()]
        return f"{WAITING} for {', '.join(names)}" if names else ""

    def _states(self) -> Sequence[EngineStatus]:
        places = {place.engine for place in self._run.places}
        try:
            return [engine for engine in self._engines() if engine.number in places or None in places]
        except (NBClusterError, TimeoutError):
            return ()  # only an explanation; what is wrong comes as the cell's own error

    def _explain(self, text: str) -> None:
        if text != self._explanation:
            self._explanation = text
            self._publish([Move(f"{self._run.cell}-waiting", text)])

    def _publish(self, operations: Sequence[Operation]) -> None:
        self._undrawn += operations
        self._flushed_at = self._clock()
        if not self._undrawn:
            return
        undrawn, self._undrawn = merged(self._undrawn), []
        for operation in undrawn:
            self._publisher.publish(operation)
        self._publisher.flush()

    def _give_up(self) -> None:
        self._run.abandon()
        self._explain("")
        self._publish(self._display.finish(self._clock()))
        raise CellInterrupted(
            f"the cell was given up while it still runs{self._where()}; its Future is cluster.last, "
            f"and %cluster restart ends what does not stop"
        )

    def _where(self) -> str:
        engines = [place.engine for place in self._run.places if place.engine is not None]
        return f" on {engines_phrase(engines)}" if engines else ""


def wait_moved(
    futures: Sequence[Any], publisher: Publisher, engines: Callable[[], Sequence[EngineStatus]]
) -> None:
    """Wait until variables are where they go; what came of them is for the caller to ask.

    Parameters
    ----------
    futures : sequence of Future
    publisher : Publisher
        Shows why it takes long.
    engines : callable
        Gives the state of the engines.

    Raises
    ------
    CellInterrupted
        After an interrupt: those on their way are withdrawn, a second interrupt does not wait for that.
    """
    interrupts, asked = Interrupts(), 0
    told = ""
    explain_at = time.monotonic() + WAIT_IS_LONG

    def show(text: str) -> None:
        nonlocal told
        if text != told:
            told = text
            publisher.publish(Move(f"{id(futures)}-moving", text))
            publisher.flush()

    with interrupts.counted():
        for future in futures:
            while not future.done() and asked < 2:
                if interrupts.count > asked:
                    asked = min(interrupts.count, 2)
                    for each in futures:
                        each.ask_to_stop("interrupted in the notebook")
                with suppress(TimeoutError):
                    future.wait_quietly(TICK)
                if time.monotonic() >= explain_at:
                    explain_at += 1
                    show(_why_queued(future, engines))
        show("")
    if interrupts.count:
        raise CellInterrupted("interrupted while variables were on their way; engines keep their state")


def _why_queued(future: Any, engines: Callable[[], Sequence[EngineStatus]]) -> str:
    numbers = future.engine if isinstance(future.engine, tuple) else (future.engine,)
    now = time.time()
    try:
        busy = [
            (engine.number, engine.running or "another cell", max(0.0, now - (engine.running_since or now)))
            for engine in engines()
            if engine.state == "busy" and (None in numbers or engine.number in numbers)
        ]
    except NBClusterError:
        return ""
    return waiting_text(busy, [])


def run_local(shell: Any, code: str) -> Callable[[], None]:
    """Run a cell in the notebook's own kernel; the answer raises what has to be raised, when all is drawn.

    IPython draws an error of the cell itself; so only a note of it is raised.
    """
    result = shell.run_cell(code, store_history=False)
    error = result.error_before_exec or result.error_in_exec
    sys.stdout.flush()

    def check() -> None:
        if error is not None:
            raise NBClusterError(
                f"the cell also failed in the notebook's own kernel, with {type(error).__name__}; "
                f"its traceback is above"
            ) from error

    return check
