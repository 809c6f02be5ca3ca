"""The work of a cluster in a panel: it moves while it is seen, and says when the cluster has gone; without a page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nbcluster.client.worknow import WorkNow
from nbcluster.core.board import Board
from nbcluster.errors import ControllerLost
from nbcluster.notebook import workdesk
from nbcluster.notebook.workdesk import WorkDesk
from nbcluster.protocol.feed import Bar, EngineLoad, Item, Lane, Scope, Strip, WorkTold

DEADLINE = 5.0
HOSTILE = "<script>alert(1)</script>"


class Twin:
    """A client that is watched."""

    name = "one"

    def __init__(self) -> None:
        self.listeners: list[Callable[[Board], None]] = []
        self.is_lost = False

    async def watch(self, listener: Callable[[Board], None]) -> None:
        if self.is_lost:
            raise ControllerLost("it ended")
        self.listeners.append(listener)

    async def unwatch(self, listener: Callable[[Board], None]) -> Board:
        self.listeners.remove(listener)
        return Board()

    def tell(self, board: Board) -> None:
        for listener in list(self.listeners):
            listener(board)


def board(done: int, strips: int = 1) -> Board:
    engine = EngineLoad(0, "idle", busy=(1,), cpu=(1,), memory=(1,))
    lane = Lane(0, 0, tuple(Strip(float(at), at + 1.0, HOSTILE, busy=1.0) for at in range(strips)))
    items: tuple[Item, ...] = (Bar(HOSTILE, 9, done=done, first=1.0), engine, lane, Scope(0.0, drawn=strips))
    return Board().apply(WorkTold(1, 100.0, True, items))


async def until(is_true: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not is_true():
            await asyncio.sleep(0.002)


def test_it_moves_while_it_is_seen_and_no_longer() -> None:
    async def story() -> None:
        twin = Twin()
        shown: list[dict[str, str]] = []
        desk = WorkDesk(WorkNow(board(1), twin), shown.append)
        desk.open()
        assert "1 of 9 done" in shown[-1]["bars"]
        await until(lambda: twin.listeners)
        twin.tell(board(5))
        assert "5 of 9 done" in shown[-1]["bars"]
        assert "live" in shown[-1]["head"]
        assert "<svg" in shown[-1]["stream"]
        assert "engine 0" in shown[-1]["engines"]
        assert "<script>" not in "".join(shown[-1].values())
        desk.take({"do": "see", "view": "a", "on": False})
        await until(lambda: not twin.listeners)
        desk.take({"do": "see", "view": "a", "on": True})
        await until(lambda: twin.listeners)
        desk.take({"do": "stop"})  # is not for it
        await desk.close()
        assert twin.listeners == []

    asyncio.run(story())


def test_a_cluster_that_ends_is_said_and_its_last_picture_stays() -> None:
    async def story() -> None:
        twin = Twin()
        shown: list[dict[str, str]] = []
        desk = WorkDesk(WorkNow(board(1), twin), shown.append)
        desk.open()
        await until(lambda: twin.listeners)
        twin.tell(board(5).end("the controller of 'one' <died>"))
        assert "as it was last; the controller of &#x27;one&#x27; &lt;died&gt;" in shown[-1]["head"]
        assert "5 of 9 done" in shown[-1]["bars"]
        twin.is_lost = True
        twin.listeners.clear()
        desk.take({"do": "see", "view": "a", "on": True})
        await until(lambda: "it ended" in shown[-1]["head"])
        assert "5 of 9 done" in shown[-1]["bars"]

    asyncio.run(story())


def test_a_large_task_stream_is_sent_more_seldom() -> None:
    async def story() -> None:
        twin = Twin()
        shown: list[dict[str, str]] = []
        workdesk.BYTES, before = 10, workdesk.BYTES
        try:
            desk = WorkDesk(WorkNow(board(1), twin), shown.append)
            desk.open()
            await until(lambda: twin.listeners)
            first = shown[-1]["stream"]
            twin.tell(board(5, strips=3))
            assert shown[-1]["stream"] == first
            assert "5 of 9 done" in shown[-1]["bars"]
            await desk.close()
        finally:
            workdesk.BYTES = before

    asyncio.run(story())
