"""Several who look at one feed, and a feed that has a gap."""

from __future__ import annotations

import asyncio

import pytest

from nbcluster.client.watching import Watching
from nbcluster.core.board import Board
from nbcluster.errors import ControllerLost
from nbcluster.protocol.feed import Bar, WatchWork, WorkTold


class Controller:
    """Answers what is asked, and keeps what it was told."""

    def __init__(self) -> None:
        self.asked: list[bool] = []
        self.told: list[WatchWork] = []
        self.lost = False

    async def ask(self, order: WatchWork) -> None:
        self.asked.append(order.on)
        if self.lost:
            raise ControllerLost("it ended")


def picture(number: int, total: int, whole: bool = False) -> WorkTold:
    return WorkTold(number, 0.0, whole, (Bar("fit", total),))


def test_the_feed_goes_on_until_the_last_one_looks_away() -> None:
    async def story() -> None:
        controller = Controller()
        watching = Watching(controller.ask, controller.told.append)
        first: list[Board] = []
        second: list[Board] = []
        await watching.begin(first.append)
        watching.handle(picture(1, 5, whole=True))
        await watching.begin(second.append)
        watching.handle(picture(2, 6, whole=True))
        assert (await watching.end(first.append)) is watching.board
        watching.handle(picture(3, 7))
        await watching.end(second.append)
        await watching.end(second.append)
        assert controller.asked == [True, True, True, False]
        assert [board.bars[0].total for board in first] == [5, 6]
        assert [board.bars[0].total for board in second] == [6, 7]

    asyncio.run(story())


def test_after_a_gap_everything_is_asked_for_once() -> None:
    async def story() -> None:
        controller = Controller()
        watching = Watching(controller.ask, controller.told.append)
        watching.handle(picture(1, 5, whole=True))
        for number in (3, 4, 5):
            watching.handle(picture(number, number))
        assert controller.told == [WatchWork()]
        assert watching.board.bars[0].total == 5
        watching.handle(picture(6, 9, whole=True))
        assert watching.board.bars[0].total == 9
        watching.handle(picture(8, 9))
        assert controller.told == [WatchWork()] * 2

    asyncio.run(story())


def test_a_controller_that_is_lost_leaves_the_picture_that_it_told() -> None:
    async def story() -> None:
        controller = Controller()
        watching = Watching(controller.ask, controller.told.append)
        seen: list[Board] = []
        await watching.begin(seen.append)
        watching.handle(picture(1, 5, whole=True))
        controller.lost = True
        with pytest.raises(ControllerLost):
            await watching.begin(seen.append)
        assert (await watching.end(seen.append)).bars[0].total == 5
        assert watching._listeners == []

    asyncio.run(story())


def test_who_looks_hears_once_that_nothing_more_is_told() -> None:
    async def story() -> None:
        controller = Controller()
        watching = Watching(controller.ask, controller.told.append)
        seen: list[Board] = []
        await watching.begin(seen.append)
        watching.handle(picture(1, 5, whole=True))
        watching.close("the controller ended")
        watching.close("this notebook has left it")
        assert [board.ended for board in seen] == ["", "the controller ended"]
        assert seen[-1].bars[0].total == 5
        assert (await watching.end(seen.append)).ended == "the controller ended"
        assert controller.asked == [True], "what is gone is not asked to end its feed"

    asyncio.run(story())
