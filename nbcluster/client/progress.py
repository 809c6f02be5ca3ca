"""Shows how far some work is: in a line of text, or by what a notebook puts in its place. Knows no Futures' values."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from nbcluster.client.collecting import flatten
from nbcluster.client.futures import Future, say
from nbcluster.client.naming import is_notebook, running_shell
from nbcluster.client.waiting import Arrivals
from nbcluster.drawing.graph import GraphShown
from nbcluster.errors import UsageError

VARIABLE = "NBCLUSTER_PROGRESS"
"""Environment variable: auto (the default), on or off."""

DELAY = 0.5
"""Seconds that work may take before progress is shown, where it was not asked for."""

TICK = 0.05
"""Seconds between two ticks of who waits, where they are wanted."""

SECOND = 1.0

MODES = ("auto", "on", "off")


def is_shown(mode: str | None = None) -> bool:
    """Whether progress is to be shown: someone looks at stderr, or `mode`, else NBCLUSTER_PROGRESS, says so.

    Raises
    ------
    UsageError
        When NBCLUSTER_PROGRESS is none of auto, on and off.
    """
    wanted = mode or os.environ.get(VARIABLE, "auto").lower() or "auto"
    if wanted not in MODES:
        raise UsageError(f"{VARIABLE}={wanted!r} cannot be: it is auto, on or off")
    return wanted == "on" or (wanted == "auto" and (sys.stderr.isatty() or is_notebook()))


@dataclass(frozen=True)
class Shown:
    """Work that somebody begins to wait for: what it is, and when it is worth showing."""

    what: str
    total: int | None
    unit: str = "call"
    is_wanted: bool = False
    """It was asked for, so it is shown at once."""
    address: tuple[str, str] | None = None
    """Name and connection file of the cluster, where that is known."""


viewers: list[Callable[[Shown], AbstractContextManager[Line] | None]] = []
"""What shows work in place of a line of text: the last one that wants to. The notebook's extension adds itself."""


class Line:
    """One line that counts; does nothing when progress is not shown."""

    wants_ticks = False
    """Whether who waits is to call `tick` now and then."""

    explains = False
    """Whether it shows what is waited for, so that nobody has to say it."""

    def __init__(self, bar: Any = None) -> None:
        self._bar = bar

    @property
    def is_stopped(self) -> bool:
        """Whether it is interrupted since somebody wants the work to be stopped, and not only the wait."""
        return False

    @property
    def is_shown(self) -> bool:
        """Whether anybody sees it."""
        return self._bar is not None

    def tick(self) -> None:
        """Time passes, and the work is not over."""

    def interrupted(self) -> None:
        """The work is stopped before its end."""

    def failed(self) -> None:
        """The work has failed, though the wait for it ends without an error."""

    def draws(self, make: Callable[[], GraphShown]) -> None:
        """The work is a graph; `make`, called by who calls `tick`, says how it is now."""

    def advance(self, count: int = 1, failed: int = 0) -> None:
        """Count some more that have ended."""
        if self._bar is None:
            return
        if failed:
            self._bar.set_postfix_str(f"{failed} failed", refresh=False)
        self._bar.update(count)


@contextmanager
def line(
    what: str,
    total: int | None,
    *,
    delay: float = DELAY,
    unit: str = "call",
    address: tuple[str, str] | None = None,
) -> Iterator[Line]:
    """Count on a line while the block runs, or by what the notebook shows in its place."""
    if not is_shown():
        yield Line()
        return
    for viewer in reversed(viewers):
        view = viewer(Shown(what, total, unit, not delay, address))
        if view is not None:
            with view as viewed:
                yield viewed
            return
    from tqdm import tqdm

    # Not tqdm.auto: its notebook form needs a front end with ipywidgets.
    file = Moving(running_shell()) if is_notebook() else sys.stderr
    with tqdm(total=total, desc=what, unit=unit, delay=delay, file=file, leave=True) as bar:
        yield Line(bar)


class Moving:
    """A file for one line that is written again and again: in a notebook one display, which changes.

    Carriage returns in a stream would do in JupyterLab; elsewhere each state is a line of its own.
    """

    encoding = "utf-8"  # of what it shows: tqdm looks whether it may draw blocks

    def __init__(self, shell: Any) -> None:
        self._display = shell.display_pub
        self._key = f"nbcluster-progress-{uuid.uuid4().hex}"
        self._text = self._shown = ""

    def write(self, text: str) -> None:
        """Take the line as it is now."""
        self._text = text.replace("\r", "").strip("\n") or self._text

    def flush(self) -> None:
        """Show it, if it has changed."""
        if self._text == self._shown:
            return
        update, self._shown = bool(self._shown), self._text
        self._display.publish(
            data={"text/plain": self._text}, transient={"display_id": self._key}, update=update
        )


def progress(futures: Future | Iterable[Any], timeout: float | None = None) -> list[Future]:
    """Wait for Futures and show how many have ended; Ctrl-C ends only the wait.

    Parameters
    ----------
    futures : Future or iterable of Future
        Also nested, as for `gather`.
    timeout : float, optional
        Seconds to wait.

    Returns
    -------
    list of Future
        All of them, in order.

    Raises
    ------
    TimeoutError
        When the wait was given up; the work goes on.

    Examples
    --------
    >>> results = gather(progress(futures))
    """
    wanted = flatten([futures] if isinstance(futures, Future) else futures)
    watch(wanted, timeout, "progress", delay=0.0)
    return wanted


def watch(
    futures: list[Future],
    timeout: float | None = None,
    what: str = "calls",
    *,
    delay: float = DELAY,
    fail_fast: bool = False,
) -> None:
    """Wait for Futures behind a line that counts; with `fail_fast` until the first error at most."""
    until = None if timeout is None else time.monotonic() + timeout
    ended: list[Future] = []
    waiting: list[Future] = []
    for future in dict.fromkeys(futures):
        (ended if future.done() else waiting).append(future)
    arrivals = Arrivals(waiting)
    total = len(ended) + len(waiting)
    failed = sum(future._error() is not None for future in ended)

    def why() -> str:
        first = next((future for future in futures if not future.done()), None)
        of = "" if first is None else f", such as {first.why_waiting()}"
        return f"{arrivals.left} of {total} Futures{of}"

    shown = Line()
    try:
        address = getattr(waiting[0], "address", None) if waiting else None
        with line(what, total, delay=delay, address=address) as shown:
            shown.advance(len(ended), failed)
            while arrivals.left and not (fail_fast and failed):
                future = next_ended(arrivals, until, why, shown)
                failed += future._error() is not None
                shown.advance(failed=failed)
                for other in arrivals.take_ended():
                    failed += other._error() is not None
                    shown.advance(failed=failed)
    except KeyboardInterrupt:
        if shown.is_stopped:
            for future in futures:
                future.ask_to_stop("stopped in the notebook")
            say(f"stopped: {arrivals.left} of {total} are cancelled; engines keep their state")
            raise
        say(f"stopped waiting; {arrivals.left} of {total} go on, and cluster.cancel(futures) cancels them")
        raise


def next_ended(arrivals: Arrivals, until: float | None, why: Callable[[], str], shown: Line) -> Future:
    """The next one that ends; until then what shows the work is told that time passes."""
    while (shown.wants_ticks or shown.explains) and (until is None or time.monotonic() < until):
        future = arrivals.poll(TICK if shown.wants_ticks else SECOND)
        if future is not None:
            return future
        shown.tick()
    return arrivals.next(until, why)
