"""The launcher's desk on a loop of its own: what is shown, asked and done, without cluster and page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from nbcluster.core.board import Board
from nbcluster.drawing.panel import Offers
from nbcluster.errors import ControllerLost, LauncherError, UsageError
from nbcluster.ids import EngineNumber, Incarnation
from nbcluster.notebook import paneldesk
from nbcluster.notebook.clustergrammar import Start
from nbcluster.notebook.paneldesk import Desk
from nbcluster.protocol.feed import EngineLoad, Scope, WorkTold
from nbcluster.protocol.status import ClusterStatus, EngineStatus

DEADLINE = 5.0


class MemoryTwin:
    """A cluster that does what it is told when it is let."""

    def __init__(self, name: str = "nb", n: int = 2) -> None:
        self.name, self.n = name, n
        self.is_connected = False
        self.asked: list[tuple[Any, ...]] = []
        self.listeners: list[Callable[[Board], None]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails: Exception | None = None
        self.state = "idle"
        self.clients: tuple[str, ...] = ("me",)
        self.running = 0

    @property
    def engines(self) -> list[EngineStatus]:
        return [EngineStatus(EngineNumber(at), Incarnation(at), self.state) for at in range(self.n)]

    async def start(self) -> None:
        await self._do("start")
        self.is_connected = True

    async def status(self, usage: bool = False) -> ClusterStatus:
        return ClusterStatus(
            self.name, 1, "here", "", "", 0.0, None, tuple(self.engines), self.clients, 0, self.running
        )

    async def add(self, n: int, **options: Any) -> list[int]:
        await self._do("add", n, options)
        return list(range(self.n, self.n + n))

    async def scale(self, n: int) -> list[int]:
        await self._do("scale", n)
        return [1]

    async def restart(self, targets: Any = "all") -> list[int]:
        await self._do("restart", targets)
        return [targets]

    async def interrupt(self, targets: Any = "all") -> list[int]:
        await self._do("interrupt", targets)
        return [targets]

    async def stop(self, force: bool = False) -> None:
        await self._do("stop", force)
        self.is_connected = False
        self.lose("it was stopped")

    async def watch(self, listener: Callable[[Board], None]) -> None:
        if self.fails is not None:
            raise self.fails
        self.listeners.append(listener)
        self.tell()

    async def unwatch(self, listener: Callable[[Board], None]) -> Board:
        self.listeners.remove(listener)
        return Board()

    async def _do(self, *what: Any) -> None:
        self.asked.append(what)
        await self.gate.wait()
        if self.fails is not None:
            raise self.fails

    def tell(self) -> None:
        loads = [EngineLoad(EngineNumber(at), self.state) for at in range(self.n)]
        board = Board().apply(WorkTold(1, 100.0, True, (*loads, Scope(0.0))))
        for listener in self.listeners:
            listener(board)

    def lose(self, why: str) -> None:
        listeners, self.listeners = self.listeners, []
        for listener in listeners:
            listener(Board().end(why))


class MemoryHouse:
    label = "me"

    def __init__(self) -> None:
        self.twin = MemoryTwin()
        self.made: list[Start] = []
        self.known: list[MemoryTwin] = []
        self.running: tuple[str, ...] = ()
        self.looked = 0

    async def offers(self) -> Offers:
        self.looked += 1
        return Offers("nb", 2, running=self.running)

    def make(self, order: Start) -> MemoryTwin:
        if order.tags == ("all",):
            raise UsageError("'all' cannot be a tag")
        self.made.append(order)
        return self.twin

    async def connect(self, name: str) -> MemoryTwin:
        if name not in self.running:
            raise LauncherError(f"no cluster {name!r} runs")
        self.twin.name, self.twin.is_connected = name, True
        return self.twin

    def taken(self, twin: Any) -> None:
        self.known.append(twin)

    def left(self, twin: Any) -> None:
        self.known.remove(twin)


class Story:
    """A desk, and what it has shown last."""

    def __init__(self) -> None:
        self.house = MemoryHouse()
        self.shown: dict[str, str] = {}
        self.drawings = 0
        self.desk = Desk(self.house, self._show)  # type: ignore[arg-type]  # in the place of a client

    @property
    def twin(self) -> MemoryTwin:
        return self.house.twin

    def _show(self, parts: dict[str, str]) -> None:
        self.shown = parts
        self.drawings += 1

    def do(self, order: str, **fields: Any) -> None:
        self.desk.take({"do": order, **fields})

    async def until(self, part: str, text: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while text not in self.shown.get(part, ""):
                await asyncio.sleep(0.002)

    async def settled(self) -> None:
        """Wait until it has done all that it was told."""
        async with asyncio.timeout(DEADLINE):
            while self.desk._tasks:
                await asyncio.sleep(0)

    async def open_with_a_cluster(self) -> None:
        self.twin.is_connected = True
        self.desk.open(self.twin)  # type: ignore[arg-type]  # in the place of a client
        await self.until("head", "2 engines")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paneldesk, "DRAW_EVERY", 0.005)
    monkeypatch.setattr(paneldesk, "LOOK_EVERY", 0.01)


def told(story: Callable[[Story], Coroutine[Any, Any, None]]) -> None:
    """Run a story; at its end nothing of the desk is left."""

    async def run() -> None:
        one = Story()
        await story(one)
        await one.desk.close()
        assert one.twin.listeners == []

    asyncio.run(run())


def test_a_start_says_what_it_waits_for_and_then_shows_the_engines() -> None:
    async def story(one: Story) -> None:
        one.desk.open()
        await one.until("form", 'value="nb"')
        one.twin.gate.clear()
        one.do("start", name="nb", n="2", tags="gpu")
        await one.until("said", "starting cluster “nb” with 2 engines")
        await one.until("said", "waiting for the controller to answer")
        one.twin.is_connected, one.twin.state = True, "starting"
        await one.until("said", "waiting for engine 0 (starting), engine 1 (starting)")
        assert one.shown["form"] == ""
        one.do("start", name="nb", n="2")
        await one.until("trouble", "is under way; wait for its end")
        one.twin.state = "idle"
        one.twin.gate.set()
        await one.until("said", "“nb” is ready")
        await one.until("table", 'data-part="row/1"')
        assert one.house.made == [Start(2, "nb", "", "", ("gpu",))]
        assert one.house.known == [one.twin]
        assert one.twin.asked == [("start",)]

    told(story)


def test_a_start_that_fails_says_why_in_the_words_of_the_engine() -> None:
    async def story(one: Story) -> None:
        one.desk.open()
        one.twin.fails = LauncherError("engine 0 did not start: exited with code 1\nImportError: <no>")
        one.do("start", name="nb", n="2")
        await one.until("trouble", "ImportError: &lt;no&gt;")
        await one.until("form", 'data-do="start"')
        assert one.house.known == []
        one.do("start", name="nb", n="2", tags="all")
        await one.until("trouble", "cannot be a tag")
        one.do("dismiss")
        async with asyncio.timeout(DEADLINE):
            while one.shown["trouble"]:
                await asyncio.sleep(0.002)

    told(story)


def test_orders_run_beside_one_another_and_a_failure_is_shown() -> None:
    async def story(one: Story) -> None:
        await one.open_with_a_cluster()
        one.twin.gate.clear()
        one.do("scale", n="3")
        one.do("interrupt", engine="1")
        await one.until("said", "changing from 2 to 3 engines")
        await one.until("said", "interrupting engine 1")
        assert one.twin.asked == [("scale", 3), ("interrupt", 1)]
        one.twin.fails = LauncherError("engine <2> did not answer")
        one.twin.gate.set()
        await one.until("trouble", "failed: engine &lt;2&gt; did not answer")
        one.twin.fails = None
        one.do("add", n="1", kernel="bash", launcher="local", tags="gpu")
        await one.until("said", "added engine 2")
        assert one.twin.asked[2:] == [("add", 1, {"launcher": "local", "kernel": "bash", "tags": ("gpu",)})]

    told(story)


@pytest.mark.parametrize(
    ("order", "asks", "done"),
    [
        ({"do": "restart", "engine": "1"}, "Restart engine 1?", ("restart", 1)),
        ({"do": "scale", "n": "1"}, "Have 1 engine? 1 engine will end", ("scale", 1)),
        ({"do": "add", "n": "9"}, "Start 9 engines? This machine has 2 CPUs", ("add", 9)),
    ],
)
def test_what_loses_something_is_asked_about_first(
    order: dict[str, str], asks: str, done: tuple[Any, ...]
) -> None:
    async def story(one: Story) -> None:
        await one.open_with_a_cluster()
        one.desk.take(order)
        await one.until("question", asks)
        one.do("dismiss")
        one.do("confirm")
        assert one.twin.asked == []
        one.desk.take(order)
        one.do("confirm")
        async with asyncio.timeout(DEADLINE):
            while not one.twin.asked:
                await asyncio.sleep(0.002)
        assert one.twin.asked[0][:2] == done

    told(story)


@pytest.mark.parametrize(("others", "force"), [((), False), (("notebook <b>.ipynb",), True)])
def test_stop_asks_and_names_those_who_use_it_too(others: tuple[str, ...], force: bool) -> None:
    async def story(one: Story) -> None:
        await one.open_with_a_cluster()
        one.house.known.append(one.twin)
        one.twin.clients, one.twin.running = ("me", *others), 3
        one.do("stop")
        await one.until("question", "Stop cluster “nb” with 2 engines?")
        assert "3 running" in one.shown["question"]
        assert ("Others use it: notebook &lt;b&gt;.ipynb." in one.shown["question"]) == bool(others)
        one.do("confirm")
        await one.until("said", "“nb” is stopped")
        assert one.twin.asked == [("stop", force)]
        assert (one.shown["table"], one.shown["trouble"]) == ("", "")
        assert 'data-do="start"' in one.shown["form"]
        assert one.house.known == []

    told(story)


def test_a_cluster_that_is_lost_is_said_and_one_that_comes_back_can_be_joined() -> None:
    async def story(one: Story) -> None:
        await one.open_with_a_cluster()
        one.do("restart", engine="1")
        one.twin.lose("its controller ended")
        await one.until("trouble", "The cluster “nb” is gone: its controller ended")
        assert (one.shown["table"], one.shown["question"]) == ("", "")
        one.do("restart", engine="1")
        await one.until("trouble", "there is no cluster any more")
        one.do("connect", name="nb")
        await one.until("trouble", "no cluster &#x27;nb&#x27; runs")
        one.house.running = ("nb",)
        await one.until("form", "Connect to “nb”")
        one.do("connect", name="nb")
        await one.until("head", "2 engines")
        assert one.house.known == [one.twin]

    told(story)


def test_a_cluster_that_cannot_be_watched_is_gone() -> None:
    async def story(one: Story) -> None:
        one.twin.fails = ControllerLost("the controller of 'nb' ended")
        one.desk.open(one.twin)  # type: ignore[arg-type]  # in the place of a client
        await one.until("trouble", "is gone: the controller of &#x27;nb&#x27; ended")

    told(story)


def test_it_is_watched_only_while_somebody_sees_it() -> None:
    async def story(one: Story) -> None:
        await one.open_with_a_cluster()
        one.do("see", view="a", on=True)
        one.do("see", view="b", on=True)
        one.do("see", view="a", on=False)
        await one.settled()
        assert len(one.twin.listeners) == 1
        one.do("see", view="b", on=False)
        await one.settled()
        assert one.twin.listeners == []
        one.twin.n = 3
        one.do("see", view="b", on=True)
        await one.until("head", "3 engines")

    told(story)


def test_it_is_drawn_a_few_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(one: Story) -> None:
        await one.open_with_a_cluster()
        monkeypatch.setattr(paneldesk, "DRAW_EVERY", 60.0)
        before = one.drawings
        for _ in range(500):
            one.twin.tell()
            await asyncio.sleep(0)
        assert one.drawings - before <= 1

    told(story)


def test_what_a_page_may_not_send_is_said_there() -> None:
    async def story(one: Story) -> None:
        one.desk.open()
        one.do("<b>boom</b>")
        await one.until("trouble", "no command &#x27;&lt;b&gt;boom")

    told(story)
