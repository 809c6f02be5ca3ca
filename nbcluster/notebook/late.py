"""Draws what cells show while the notebook does not wait for them. Knows nothing of engines."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from nbcluster.notebook.display import CellDisplay, CellEvent
from nbcluster.notebook.operations import Buffers, Publisher, merged
from nbcluster.protocol.messages import TaskDone

PACE = 0.2
"""Seconds between two drawings."""

Listener = Callable[[CellEvent, Buffers], None]


class Drawn(Protocol):
    """Something that is drawn now and then."""

    def draw(self, now: float) -> bool:
        """Draw what has come; return whether more is to be drawn without another event."""


_log = logging.getLogger(__name__)


class Follower:
    """One cell whose events arrive on another thread, to be drawn later.

    Parameters
    ----------
    display : CellDisplay
    publisher : Publisher
    """

    def __init__(self, display: CellDisplay, publisher: Publisher) -> None:
        self._display, self._publisher = display, publisher
        self._events: deque[tuple[CellEvent, Buffers]] = deque()

    def take(self, event: CellEvent, buffers: Buffers) -> None:
        """Keep an event for the next drawing. Any thread."""
        self._events.append((event, buffers))

    def draw(self, now: float) -> bool:
        """Draw what has come; return whether more is to be drawn without another event."""
        operations = []
        while self._events:
            event, buffers = self._events.popleft()
            operations += self._display.apply(event, buffers, now)
            if isinstance(event, TaskDone) and self._display.ended:
                operations += self._display.finish(now)
        operations += self._display.tick(now)
        for operation in merged(operations):
            self._publisher.publish(operation)
        self._publisher.flush()
        return self._display.restless


class LateOutput:
    """Draws followers five times a second at most, on one thread that sleeps while there is nothing to draw.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._due: dict[Drawn, None] = {}
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def listener(self, follower: Follower) -> Listener:
        """Return what is to be called with each event, on any thread; it returns at once."""

        def hear(event: CellEvent, buffers: Buffers) -> None:
            follower.take(event, buffers)
            self.due(follower)

        return hear

    def draw_due(self) -> None:
        """Draw every follower that has something to draw."""
        with self._changed:
            due, self._due = list(self._due), {}
        for follower in due:
            try:
                restless = follower.draw(self._clock())
            except Exception:
                # One cell that cannot be drawn must not silence the others.
                _log.exception("output of a cell that is not waited for could not be drawn")
                continue
            if restless:
                with self._changed:
                    self._due[follower] = None

    def close(self) -> None:
        """End the thread, after what is due was drawn once more."""
        with self._changed:
            self._stopped.set()
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout=5)
        self.draw_due()

    def due(self, drawn: Drawn) -> None:
        """Draw this one soon. Any thread."""
        with self._changed:
            self._due[drawn] = None
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="nbcluster-late-output", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._changed:
                self._changed.wait_for(lambda: bool(self._due) or self._stopped.is_set())
            self.draw_due()
            self._stopped.wait(PACE)


class UntilNextCell:
    """Keeps late text for a terminal, where nothing may be written while the user types.

    Parameters
    ----------
    publisher : Publisher
        Of the terminal.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._lock = threading.Lock()
        self._followers: list[Drawn] = []
        self._clock: Callable[[], float] = time.monotonic

    def listener(self, follower: Follower) -> Listener:
        """Return what is to be called with each event, on any thread; it returns at once."""

        def hear(event: CellEvent, buffers: Buffers) -> None:
            follower.take(event, buffers)
            self.due(follower)

        return hear

    def due(self, drawn: Drawn) -> None:
        """Draw this one before the next cell. Any thread."""
        with self._lock:
            if drawn not in self._followers:
                self._followers.append(drawn)

    def draw_due(self) -> None:
        """Draw everything; to be called before a cell runs."""
        with self._lock:
            due, self._followers = self._followers, []
        for follower in due:
            if follower.draw(self._clock()):
                with self._lock:
                    self._followers.append(follower)

    def close(self) -> None:
        """Draw what is left."""
        self.draw_due()
