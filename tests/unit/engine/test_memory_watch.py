"""Calls that want memory wait, are told why, and do not wait for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbcluster.engine.keeper import Keeper
from nbcluster.engine.meters import Meter
from nbcluster.engine.pressure import Limits
from nbcluster.engine.sharing import Sharing
from nbcluster.engine.store import Store
from nbcluster.engine.waiting import CallQueue, Waiting
from nbcluster.engine.watch import EVERY, PATIENCE, TELL, MemoryWatch
from nbcluster.protocol.outcomes import Rejected
from nbcluster.protocol.tasks import CallOrder, RunOptions

MIB = 1 << 20


class MeterAt(Meter):
    """Says what it is told to, in the place of the system."""

    used = 0

    def own(self) -> int:
        return self.used


class Story:
    """A watch over an engine with a limit of 100 MiB, and its clock."""

    def __init__(self, place: Path) -> None:
        self.meter = MeterAt(place, place / "none")
        self.queue = CallQueue(lambda name: None)
        self.went_on = 0
        self.now = 100.0
        keeper = Keeper(Store(), Sharing(), self.meter, Limits(100 * MIB, strict=True, reserve=0), None, "3")
        self.watch = MemoryWatch(keeper, self.queue, self.go_on)

    def go_on(self) -> None:
        self.went_on += 1

    def submit(self, task: str) -> None:
        self.queue.add([Waiting(CallOrder(task, 1, 0, "f"), RunOptions(), ())])

    def look(self, used: int, after: float = EVERY, *, busy: bool = False):
        self.now += after
        self.meter.used = used
        return self.watch.look(self.now, busy=busy)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_nothing_is_told_while_there_is_enough(story: Story) -> None:
    story.submit("a")
    assert story.look(60 * MIB) == (None, ())
    assert not story.watch.has_told
    assert story.queue.take() is not None


def test_calls_wait_while_memory_is_short_and_go_on_after(story: Story) -> None:
    story.submit("a")
    news, ends = story.look(101 * MIB)
    assert news is not None
    assert (news.paused, news.used, news.limit, list(ends)) == (True, 101 * MIB, 100 * MIB, [])
    assert "engine 3 uses 101 MiB of memory of the 100 MiB it may" in news.note
    assert "it begins no further calls" in news.note
    assert story.queue.take() is None
    assert story.look(101 * MIB) == (None, ()), "once a while is enough"
    assert story.look(102 * MIB, TELL)[0] is not None

    news, _ = story.look(50 * MIB)
    assert news is not None
    assert (news.paused, news.note, story.went_on) == (False, "", 1)
    assert story.queue.take() is not None


def test_calls_do_not_wait_for_ever(story: Story) -> None:
    story.submit("a")
    story.look(101 * MIB)
    _, ends = story.look(101 * MIB, PATIENCE - EVERY)
    assert list(ends) == []
    _, ends = story.look(101 * MIB, EVERY)
    (end,) = ends
    assert (end.task, end.attempt) == ("a", 1)
    assert isinstance(end.outcome, Rejected)
    assert end.outcome.error == "OutOfMemory"
    assert "it was not begun within 5 s: engine 3 uses" in end.outcome.message
    assert len(story.queue) == 0

    story.submit("b")
    assert list(story.look(101 * MIB)[1]) == [], "the next has its time, too: others may take it"
    assert len(story.look(101 * MIB, PATIENCE)[1]) == 1


def test_each_call_has_its_time(story: Story) -> None:
    story.submit("a")
    story.look(101 * MIB)
    story.submit("b")
    story.look(101 * MIB)
    assert [end.task for end in story.look(101 * MIB, PATIENCE - EVERY)[1]] == ["a"]
    assert [end.task for end in story.look(101 * MIB)[1]] == ["b"]


def test_behind_what_runs_calls_wait_as_long_as_that(story: Story) -> None:
    story.submit("a")
    for _ in range(3):
        assert list(story.look(101 * MIB, PATIENCE, busy=True)[1]) == []
    assert list(story.look(101 * MIB, busy=False)[1]) == []
    assert len(story.look(101 * MIB, PATIENCE)[1]) == 1


def test_it_is_looked_at_now_and_then_and_at_once_when_something_ended(story: Story) -> None:
    story.look(50 * MIB)
    assert story.look(101 * MIB, EVERY / 2) == (None, ())
    assert not story.watch.is_waiting
    story.watch.hurry()
    assert story.look(101 * MIB, 0.0)[0] is not None
    assert story.watch.is_waiting
