"""What the controller tells a client that watches its work, and what a client costs that does not read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from stage import NOTHING, Stage, play  # type: ignore[import-not-found]  # beside this file: conftest

from nbcluster.controller import feed as feed_module
from nbcluster.core.board import Board
from nbcluster.ids import TaskId
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m
from nbcluster.protocol import tasks as t
from nbcluster.protocol.feed import Bar, StopWork, WatchWork, WorkTold
from nbcluster.protocol.outcomes import Threw


async def told(stage: Stage, board: Board, is_there: Any) -> Board:
    """Fold what comes until the board shows something."""
    while not is_there(board):
        board = board.apply(await stage.client.next(WorkTold))
        assert not board.is_behind
    return board


def bar(board: Board) -> Bar:
    [found] = board.bars
    return found


def test_who_watches_is_told_at_once_what_was_counted_before_and_then_what_changes(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a", "b", "c", "d")
        await stage.agent.next(t.RunCalls)
        stage.returned("a")
        await stage.client.next(c.CallsDone)
        stage.wire.send(WatchWork(), msg_id="watch")
        first = await stage.client.next(WorkTold)
        assert (first.number, first.whole) == (1, True)
        board = Board().apply(first)
        await stage.client.next(m.Done)
        assert (bar(board).label, bar(board).total, bar(board).done, bar(board).running) == ("fit", 4, 1, 1)
        [engine] = board.engines
        assert (engine.state, engine.running) == ("busy", "fit")
        assert board.strips == {}, "what ended before is counted, not drawn"
        result = t.CallResult(TaskId("b"), 1, Threw("ValueError", "nine"), 5.0, 2.0)
        stage.say(t.Reported(TaskId("c"), 1, {"loss": 0.5}))
        stage.say(t.CallsReturned((result,)))
        board = await told(stage, board, lambda board: bar(board).failed)
        assert [(strip.start, strip.end, strip.failed) for strip in board.strips[0]] == [(5.0, 7.0, 1)]
        assert [(failure.label, failure.error) for failure in board.failures] == [("fit", "ValueError: nine")]
        assert [(curve.name, curve.values) for curve in board.curves] == [("loss", (0.5,))]
        stage.returned("c", "d")
        await stage.client.next(c.CallsDone, lambda done: done.calls[-1].task == "d")
        stage.wire.send(WatchWork(on=False), msg_id="enough")
        last = await stage.client.next(WorkTold, lambda told: told.whole)
        assert (bar(Board().apply(last)).done, bar(Board().apply(last)).ended) == (3, 4)
        await stage.client.next(m.Done)
        assert stage.controller._work.watched == {}

    play(tmp_path, story)


def test_calls_that_were_refused_or_are_of_nbcluster_itself_are_not_counted(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.submit("push", quiet=True)
        await stage.client.next(c.CallsAccepted)
        two = (c.CallOptions(label="fit"), c.CallOptions(label="judge"))
        specs = tuple(
            c.CallSpec(TaskId(name), kind, "f", NOTHING) for name, kind in (("a", 0), ("b", 1), ("c", 1))
        )
        stage.wire.send(c.SubmitCalls(two, specs), msg_id="two labels")
        await stage.client.next(c.CallsAccepted)
        unknown = c.SubmitCalls(two, (c.CallSpec(TaskId("d"), 0, "no such function"),))
        stage.wire.send(unknown, msg_id="unknown")
        await stage.client.next(c.CallsDone)
        stage.wire.send(WatchWork(), msg_id="watch")
        board = Board().apply(await stage.client.next(WorkTold))
        assert [(each.label, each.total) for each in board.bars] == [("fit", 1), ("judge", 2)]

    play(tmp_path, story)


def test_a_whole_picture_comes_again_and_again_though_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "TELL_EVERY", 0.01)

    async def story(stage: Stage) -> None:
        stage.wire.send(WatchWork(), msg_id="watch")
        for _ in range(3):
            await stage.client.next(WorkTold, lambda told: told.whole)

    play(tmp_path, story)


def test_a_client_that_says_nothing_is_told_nothing_until_it_is_heard_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "TELL_EVERY", 0.01)
    monkeypatch.setattr(feed_module, "PATIENCE", 0.1)

    async def story(stage: Stage) -> None:
        stage.wire.send(WatchWork(), msg_id="watch")
        feed = stage.controller._feed
        await stage.client.next(WorkTold)
        async with asyncio.timeout(10):
            while set(feed._turns.values()) != {feed_module.WHOLE_EVERY}:
                await asyncio.sleep(0.01)
        stage.client.came.clear()
        stage.submit("a")
        first = await stage.client.next(WorkTold)
        assert first.whole
        assert [each.total for each in Board().apply(first).bars] == [1]

    play(tmp_path, story)


def test_a_client_that_left_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "TELL_EVERY", 0.01)

    async def story(stage: Stage) -> None:
        stage.submit("a")
        stage.wire.send(WatchWork(), msg_id="watch")
        await stage.client.next(WorkTold)
        stage.wire.send(m.Goodbye(), msg_id="bye")
        await stage.client.next(m.Done, lambda _: not stage.controller._work.watched)
        assert stage.controller._work._tallies._by_client == {}
        feed = stage.controller._feed
        feed._turn()
        assert (feed._turns, feed._is_due) == ({}, False)

    play(tmp_path, story)


def test_a_cell_is_counted_by_its_engines(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.wire.send(m.SubmitCell("cell", "x = 1", label="cell [3]"), msg_id="cell")
        await stage.client.next(m.Accepted)
        stage.wire.send(WatchWork(), msg_id="watch")
        board = Board().apply(await stage.client.next(WorkTold))
        assert (bar(board).label, bar(board).total, bar(board).running) == ("cell [3]", 1, 1)
        stage.controller._pool.stop(stage.process.incarnation, busy=True)
        stage.controller.engine_died(stage.process, "was killed")
        board = await told(stage, board, lambda board: bar(board).lost)
        assert bar(board).running == 0
        [failure] = board.failures
        assert failure.error.startswith("EngineLost: ")

    play(tmp_path, story)


def test_who_watches_is_told_what_is_to_be_stopped_and_who_asks_whether_anybody_watches(
    tmp_path: Path,
) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.wire.send(StopWork("abc"), msg_id="too soon")
        refused = await stage.client.next(m.Refused)
        assert "nobody waits for work" in refused.message
        stage.wire.send(WatchWork(), msg_id="watch")
        board = Board().apply(await stage.client.next(WorkTold))
        assert board.stops == set()
        stage.wire.send(StopWork("abc"), msg_id="stop")
        board = await told(stage, board, lambda board: board.stops)
        assert board.stops == {"abc"}

    play(tmp_path, story)


def test_all_work_of_a_cluster_can_be_cancelled(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a")
        await stage.agent.next(t.RunCalls)
        stage.wire.send(StopWork(), msg_id="stop")
        stopped = await stage.agent.next(t.StopCalls)
        assert [call.task for call in stopped.calls] == ["a"]

    play(tmp_path, story)
