"""What the launcher does: takes orders of a page, has them carried out beside one another, and shows how that goes.

All of it happens on one asyncio loop, that of the client's I/O thread: no order waits for the kernel's main thread, and
none blocks it. Knows no widgets, no HTML of its own and no kernel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, assert_never

from nbcluster.core.board import Board
from nbcluster.drawing.enginetable import EngineRow, rows_of_board
from nbcluster.drawing.panel import Offers, PanelView, Question, Under, parts
from nbcluster.errors import NBClusterError, UsageError
from nbcluster.notebook.audience import GRACE, Audience
from nbcluster.notebook.clustergrammar import Add, Connect, Interrupt, Restart, Scale, Start, Stop
from nbcluster.notebook.labels import engines_phrase
from nbcluster.notebook.panelorders import Confirm, Dismiss, PanelOrder, See, read_order
from nbcluster.protocol.status import ClusterStatus, EngineStatus

DRAW_EVERY = 0.2
"""Seconds between two drawings, at least."""

LOOK_EVERY = 2.0
"""Seconds between two looks for clusters that run, while there is none here."""

CROWD = 4
"""Engines for each CPU, beyond which it is asked whether so many are meant."""

READY = ("idle", "busy")

_log = logging.getLogger(__name__)


class Twin(Protocol):
    """The part of client.aio.AsyncCluster that the launcher uses."""

    name: str

    @property
    def is_connected(self) -> bool:
        """Whether the controller can be asked."""

    @property
    def engines(self) -> Sequence[EngineStatus]:
        """The engines as last told."""

    async def start(self) -> Any:
        """Start it, and have its engines ready."""

    async def status(self, usage: bool = False) -> ClusterStatus:
        """Ask what it is at."""

    async def add(
        self, n: int, *, launcher: str = "local", kernel: str = "", tags: Sequence[str] = ()
    ) -> list[int]:
        """Start engines."""

    async def scale(self, n: int) -> list[int]:
        """Have n engines."""

    async def restart(self, targets: Any = "all") -> list[int]:
        """Restart engines."""

    async def interrupt(self, targets: Any = "all") -> list[int]:
        """Interrupt engines."""

    async def stop(self, force: bool = False) -> None:
        """End it."""

    async def watch(self, listener: Callable[[Board], None]) -> None:
        """Give each new board to a callback."""

    async def unwatch(self, listener: Callable[[Board], None]) -> Board:
        """Give it no more."""


class House(Protocol):
    """Where clusters come from and where they are known."""

    @property
    def label(self) -> str:
        """How clusters call this notebook."""

    async def offers(self) -> Offers:
        """What a form can offer now."""

    def make(self, order: Start) -> Twin:
        """A cluster that is yet to be started."""

    async def connect(self, name: str) -> Twin:
        """Join one that runs."""

    def taken(self, twin: Twin) -> None:
        """It is the notebook's cluster now."""

    def left(self, twin: Twin) -> None:
        """It was stopped."""


@dataclass(eq=False)
class _Work:
    what: str
    since: float
    blocks: bool = False
    """What would change the cluster has to wait for it."""
    twin: Twin | None = None
    """Whose engines it waits for."""


class Desk:
    """The launcher of one cluster, or of none yet.

    Parameters
    ----------
    house : House
    show : callable
        Called with the HTML of each part by name, when something has changed.
    """

    def __init__(self, house: House, show: Callable[[dict[str, str]], None]) -> None:
        self._house, self._show = house, show
        self._loop = asyncio.get_running_loop()
        self._view = PanelView()
        self._twin: Twin | None = None
        self._board: Board | None = None
        self._works: list[_Work] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: Callable[[], None] | None = None
        """What is done when the question is answered with yes."""
        self._audience = Audience()
        self._is_watched = False
        self._turn = asyncio.Lock()
        self._drawn_at = float("-inf")
        self._is_due = False
        self._is_looking_soon = False

    @property
    def twin(self) -> Twin | None:
        """The cluster that it shows."""
        return self._twin

    # -- what is seen -------------------------------------------------------------------------

    def open(self, twin: Twin | None = None) -> None:
        """It is displayed, perhaps again; with a cluster that is the notebook's already."""
        if twin is not None and twin is not self._twin:
            self._adopt(twin)
        self._audience.expect(self._loop.time())
        self._loop.call_later(GRACE, self._begin, self._settle)
        self._begin(self._settle)
        self._begin(self._look)
        self._draw()

    def _is_seen(self) -> bool:
        return self._audience.is_there(self._loop.time())

    async def _settle(self) -> None:
        """Watch the cluster when somebody sees it, and not otherwise."""
        async with self._turn:
            twin, wanted = self._twin, self._is_seen()
            if twin is None or wanted == self._is_watched:
                return
            self._is_watched = wanted
            try:
                if wanted:
                    await twin.watch(self._told)
                else:
                    await twin.unwatch(self._told)
            except (NBClusterError, TimeoutError) as error:
                self._is_watched = False
                if wanted and self._twin is twin:
                    self._ended(twin, str(error))

    async def _look(self) -> None:
        """What the form can offer."""
        offers = await self._house.offers()
        if offers != self._view.offers:
            self._view = replace(self._view, offers=offers)
            self._changed()
        if self._twin is None and self._is_seen() and not self._is_looking_soon:
            self._is_looking_soon = True
            self._loop.call_later(LOOK_EVERY, self._look_again)

    def _look_again(self) -> None:
        self._is_looking_soon = False
        if self._twin is None and self._is_seen():
            self._begin(self._look)

    # -- the cluster --------------------------------------------------------------------------

    def _adopt(self, twin: Twin) -> None:
        self._twin, self._board, self._is_watched = twin, None, False
        self._view = replace(self._view, said="", trouble="")
        self._begin(self._settle)

    def _told(self, board: Board) -> None:
        if board.ended:
            if self._twin is not None and not any(work.blocks for work in self._works):
                self._ended(self._twin, board.ended)
            return
        self._board = board
        self._changed()

    def _ended(self, twin: Twin, why: str) -> None:
        self._twin, self._board, self._is_watched = None, None, False
        offers = replace(self._view.offers, name=twin.name)
        self._withdraw()
        self._view = replace(
            self._view, offers=offers, said="", trouble=f"The cluster “{twin.name}” is gone: {why}"
        )
        self._begin(self._look)
        self._changed()

    # -- orders -------------------------------------------------------------------------------

    def take(self, content: Mapping[str, Any]) -> None:
        """Do what somebody did in the page; what cannot be done is said there."""
        try:
            order = read_order(content)
            if not isinstance(order, See):
                self._view = replace(self._view, said="", trouble="")
            self._do(order)
        except (NBClusterError, ValueError) as error:
            self._view = replace(self._view, trouble=str(error))
        self._changed()

    def _do(self, order: PanelOrder) -> None:
        match order:
            case See(view, on):
                self._audience.hear(view, on)
                self._begin(self._settle)
                self._look_again()
            case Dismiss():
                self._withdraw()
            case Confirm():
                asked = self._asked
                self._withdraw()
                if asked is not None:
                    asked()
            case Start():
                self._refuse_when_blocked()
                self._refuse_a_second()
                self._ask_when_many(order.n or 0, lambda: self._start(order))
            case Connect(name):
                self._refuse_when_blocked()
                self._refuse_a_second()
                self._run(f"connecting to “{name}”", lambda: self._connect(str(name)), blocks=True)
            case Stop():
                self._refuse_when_blocked()
                self._run("asking who uses it", self._ask_to_stop)
            case Add() | Scale() | Restart() | Interrupt():
                self._refuse_when_blocked()
                self._change(order)
            case _:
                assert_never(order)

    def _change(self, order: Add | Scale | Restart | Interrupt) -> None:
        """Change the engines of the cluster."""
        twin = self._twin
        if twin is None:
            raise UsageError("there is no cluster any more; start one, or connect to one")
        match order:
            case Add(n, kernel, tags, launcher):
                what = f"adding {_engines(n)}{f' of kernel {kernel}' if kernel else ''}"
                add = partial(twin.add, n, launcher=launcher or "local", kernel=kernel, tags=tags)
                self._ask_when_many(n, partial(self._run_on, twin, what, add, "added"))
            case Scale(n):
                has = len(twin.engines)
                what, done = f"changing from {has} to {_engines(n)}", f"the cluster has {_engines(n)};"
                scale = partial(self._run_on, twin, what, partial(twin.scale, n), done)
                if n >= has:
                    self._ask_when_many(n - has, scale)
                    return
                fewer = _engines(has - n)
                text = f"Have {_engines(n)}? {fewer} will end, idle ones first, with all names there."
                self._ask(text, f"End {fewer}", scale)
            case Restart(targets):
                what = f"restarting engine {targets}"
                self._ask(
                    f"Restart engine {targets}? What it runs is ended, and its names are lost.",
                    f"Restart engine {targets}",
                    lambda: self._run_on(twin, what, lambda: twin.restart(int(targets)), "restarted"),
                )
            case Interrupt(targets):
                what = f"interrupting engine {targets}"
                self._run_on(twin, what, lambda: twin.interrupt(int(targets)), "interrupted")
            case _:
                assert_never(order)

    def _start(self, order: Start) -> None:
        twin = self._house.make(order)
        what = f"starting cluster “{twin.name}” with {_engines(order.n or 0)}"
        self._run(what, lambda: self._started(twin), blocks=True, twin=twin)

    async def _started(self, twin: Twin) -> None:
        await twin.start()
        self._house.taken(twin)
        self._adopt(twin)
        self._say(f"cluster “{twin.name}” is ready; in this notebook it is called cluster")

    async def _connect(self, name: str) -> None:
        twin = await self._house.connect(name)
        self._house.taken(twin)
        self._adopt(twin)
        self._say(f"connected to cluster “{name}”; in this notebook it is called cluster")

    async def _ask_to_stop(self) -> None:
        twin = self._twin
        if twin is None:
            return
        status = await twin.status()
        others = list(status.clients)
        if self._house.label in others:
            others.remove(self._house.label)
        text = f"Stop cluster “{twin.name}” with {_engines(len(status.engines))}? All names there are lost."
        if status.running or status.queued:
            text += f" {status.running} running and {status.queued} waiting tasks are ended."
        if others:
            text += f" Others use it: {_listed(others)}."
        stop = partial(self._stop, twin, bool(others))
        what = f"stopping cluster “{twin.name}”"
        self._ask(text, "Stop it", partial(self._run, what, stop, blocks=True))

    async def _stop(self, twin: Twin, force: bool) -> None:
        try:
            await twin.stop(force)
        finally:
            if not twin.is_connected:
                self._ended(twin, "")
                self._view = replace(self._view, trouble="")
        self._house.left(twin)
        self._say(f"cluster “{twin.name}” is stopped")

    # -- questions ----------------------------------------------------------------------------

    def _ask(self, text: str, yes: str, then: Callable[[], None]) -> None:
        self._asked = then
        self._view = replace(self._view, question=Question(text, yes))
        self._changed()

    def _ask_when_many(self, n: int, then: Callable[[], None]) -> None:
        cpus = self._view.offers.n
        if n > CROWD * cpus:
            self._ask(f"Start {_engines(n)}? This machine has {cpus} CPUs.", f"Start {n}", then)
        else:
            then()

    def _withdraw(self) -> None:
        self._asked = None
        self._view = replace(self._view, question=None)

    def _refuse_when_blocked(self) -> None:
        blocking = next((work.what for work in self._works if work.blocks), None)
        if blocking is not None:
            raise UsageError(f"{blocking} is under way; wait for its end")

    def _refuse_a_second(self) -> None:
        if self._twin is not None:
            raise UsageError(
                f"this is the launcher of “{self._twin.name}”; nbcluster.Launcher() makes another"
            )

    # -- what is under way --------------------------------------------------------------------

    def _run_on(self, twin: Twin, what: str, work: Callable[[], Awaitable[list[int]]], done: str) -> None:
        async def change() -> None:
            numbers = await work()
            if self._twin is twin:
                self._say(
                    f"{done} {engines_phrase(numbers)}" if numbers else f"{what}: nothing was to be done"
                )

        self._run(what, change, twin=twin)

    def _run(
        self,
        what: str,
        work: Callable[[], Awaitable[None]],
        *,
        blocks: bool = False,
        twin: Twin | None = None,
    ) -> None:
        """Do something, beside whatever else is under way, and show that it is."""
        under = _Work(what, self._loop.time(), blocks, twin)
        self._works.append(under)

        async def run() -> None:
            try:
                await work()
            except (NBClusterError, TimeoutError, OSError) as error:
                self._fail(f"{what} failed: {error}")
            except Exception as error:
                _log.exception("%s failed", what)
                self._fail(f"{what} failed: {type(error).__name__}: {error}")
            finally:
                self._works.remove(under)
                self._changed()

        self._begin(run)
        self._changed()

    def _fail(self, text: str) -> None:
        self._view = replace(self._view, trouble=text[:1].upper() + text[1:])

    def _say(self, text: str) -> None:
        self._view = replace(self._view, said=text)

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = self._loop.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the launcher failed", exc_info=error)
            self._fail(f"the launcher failed: {error!r}")
            self._changed()

    # -- drawing ------------------------------------------------------------------------------

    def _changed(self) -> None:
        """Draw soon, a few times a second at most."""
        if not self._is_due:
            self._is_due = True
            self._loop.call_at(max(self._loop.time(), self._drawn_at + DRAW_EVERY), self._draw_due)

    def _draw_due(self) -> None:
        self._is_due = False
        self._draw()
        if self._works:
            self._changed()  # their clocks go on

    def _draw(self) -> None:
        self._drawn_at = self._loop.time()
        self._show(parts(self.view()))

    def view(self) -> PanelView:
        """All that it shows now."""
        board = self._board
        rows: tuple[EngineRow, ...] = tuple(rows_of_board(board)) if board is not None else ()
        return replace(
            self._view,
            cluster=self._twin.name if self._twin is not None else "",
            rows=rows,
            left_out=board.scope.engines_left_out if board is not None else 0,
            is_waiting=board is None,
            under_way=tuple(
                Under(work.what, self._loop.time() - work.since, _waits_for(work.twin))
                for work in self._works
            ),
            is_blocked=any(work.blocks for work in self._works),
        )

    async def close(self) -> None:
        """Watch nothing any more."""
        self._audience.leave()
        await self._settle()
        for task in list(self._tasks):
            task.cancel()


def _engines(n: int) -> str:
    return f"{n:,} engine" if n == 1 else f"{n:,} engines"


def _listed(labels: Sequence[str]) -> str:
    shown = [label[:60] for label in labels[:6]]
    more = len(labels) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _waits_for(twin: Twin | None) -> str:
    """What a start waits for."""
    if twin is None:
        return ""
    if not twin.is_connected:
        return "the controller to answer"
    late = [
        f"engine {engine.number} ({engine.state})" for engine in twin.engines if engine.state not in READY
    ]
    more = f" and {len(late) - 8} more" if len(late) > 8 else ""
    return ", ".join(late[:8]) + more
