"""The two folds of a client's work: the controller's summary, and the board that views fold of what it tells."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from nbcluster.core import summary as summaries
from nbcluster.core.board import Board
from nbcluster.core.curves import MOST_CURVES, MOST_POINTS, MOST_SAMPLES, Curves, Samples
from nbcluster.core.strips import MOST_STRIPS, Strips
from nbcluster.core.summary import MOST_BARS, MOST_ENGINES, MOST_FAILURES, EngineNow, Summary
from nbcluster.core.tallies import MOST_LABELS, OTHERS, Tallies
from nbcluster.ids import ClientId, EngineNumber
from nbcluster.protocol import codec
from nbcluster.protocol.feed import WorkTold

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "feed").glob("*.json"))
ME = ClientId("me")


class Story:
    """One client's work as events, folded by both."""

    def __init__(self, now: float) -> None:
        self.tallies = Tallies()
        self.summary = Summary(self.tallies.of(ME), now)
        self.board = Board()
        self.told: list[WorkTold] = []

    def submitted(self, label: str, count: int, now: float) -> None:
        self.tallies.tally(ME, label).submitted(count, now)

    def ended(
        self, label: str, engine: int | None, state: str, start: float, took: float, error: str, now: float
    ) -> None:
        tally = self.tallies.tally(ME, label)
        tally.ended(state, took, now)
        number = EngineNumber(engine) if engine is not None else None
        self.summary.ended([(tally.label, number, state, start, took, error)], now)

    def reported(self, label: str, engine: int, values: dict[str, Any], now: float) -> None:
        self.summary.reported(label, EngineNumber(engine), values, now)

    def tell(self, engines: list[Any], now: float, whole: bool = False, lost: bool = False) -> None:
        told = self.summary.tell([EngineNow(*engine) for engine in engines], now, whole=whole)
        if told is None:
            return
        self.told.append(told)
        came = codec.decode_from_controller(codec.encode(told)[1])
        assert isinstance(came, WorkTold)
        if not lost:
            self.board = self.board.apply(came)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_cases(path: Path) -> None:
    case = json.decode(path.read_bytes())
    story = Story(case["events"][0][-1])
    for what, *arguments in case["events"]:
        getattr(story, what)(*arguments)
    assert json.decode(json.encode(story.board.items)) == case["items"]


labels = st.sampled_from(["fit", "judge", "cell [3]"])
numbers = st.integers(0, 3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("submitted"), labels, st.integers(1, 5)),
        st.tuples(
            st.just("ended"), labels, numbers, st.sampled_from(["done", "failed", "cancelled", "lost"])
        ),
        st.tuples(st.just("reported"), labels, numbers, st.floats(-1, 1)),
        st.tuples(st.just("tell"), st.lists(numbers, unique=True), st.booleans(), st.booleans()),
    ),
    max_size=60,
)


@given(steps)
def test_a_board_of_patches_is_the_board_of_a_whole_picture_unless_it_says_that_it_is_behind(
    steps: list[tuple[Any, ...]],
) -> None:
    story, now = Story(0.0), 0.0
    running: list[Any] = []
    for what, *rest in steps:
        now += 0.1
        if what == "submitted":
            story.submitted(*rest, now)
        elif what == "ended":
            label, engine, state = rest
            if story.tallies.tally(ME, label).open:
                story.ended(label, engine, state, now - 0.05, 0.05, "no", now)
        elif what == "reported":
            label, engine, value = rest
            story.reported(label, engine, {"loss": value}, now)
        else:
            engines, whole, lost = rest
            running = [(number, "busy", "fit", True, now) for number in engines]
            story.tell(running, now, whole, lost)
            fresh = Board().apply(_whole(story, running))
            missed = story.told and story.board.number != story.told[-1].number
            assert story.board.is_behind or missed or story.board.items == fresh.items
    story.tell(running, now, whole=True)
    assert story.board.items == Board().apply(_whole(story, running)).items
    assert not story.board.is_behind
    for bar in story.board.bars:
        assert bar.waiting + bar.running + bar.ended == bar.total


def _whole(story: Story, engines: list[Any]) -> WorkTold:
    """The picture as a late comer would be told it; tells nobody else."""
    items = story.summary._items([EngineNow(*engine) for engine in engines])
    return WorkTold(1, 0.0, True, tuple(items.values()))


def test_only_what_changed_is_told_and_nothing_when_nothing_did() -> None:
    story = Story(0.0)
    story.submitted("fit", 2, 0.0)
    story.submitted("judge", 2, 0.0)
    story.tell([], 0.1)
    story.tell([], 0.3)
    assert len(story.told) == 1
    story.ended("fit", 0, "cancelled", 0.0, 0.0, "", 0.4)
    story.tell([], 0.5)
    assert [type(item).__name__ for item in story.told[-1].items] == ["Bar"]
    assert story.told[-1].items[0].label == "fit"


def test_facts_of_an_engine_are_told_again_only_when_they_change() -> None:
    story = Story(0.0)
    facts = ("here", 7, "python3", ["gpu"])
    story.tell([(0, "busy", "fit", False, 0.0, 0, 0.0, *facts)], 0.1)
    story.tell([(0, "idle", "", False, 0.0, 0, 0.0, *facts)], 0.3)
    assert [type(item).__name__ for item in story.told[-1].items] == ["EngineLoad"]
    story.tell([(0, "failed", "", False, 0.0, 0, 0.0, *facts, "x" * 9000)], 0.5)
    assert [type(item).__name__ for item in story.told[-1].items] == ["EngineLoad", "EngineFacts"]
    assert story.board.facts[EngineNumber(0)].note.endswith("… (5000 more characters)")
    story.tell([], 0.7)
    assert story.board.facts == {}


def test_a_board_that_has_ended_keeps_what_it_showed_and_the_first_reason() -> None:
    story = Story(0.0)
    story.submitted("fit", 9, 0.0)
    story.tell([], 0.1)
    ended = story.board.end("its controller is gone").end("this notebook has left it")
    assert (ended.ended, ended.bars) == ("its controller is gone", story.board.bars)


def test_a_gap_leaves_the_board_as_it_was_until_a_whole_picture_comes() -> None:
    story = Story(0.0)
    story.submitted("fit", 9, 0.0)
    story.tell([], 0.1)
    story.submitted("fit", 1, 0.2)
    story.tell([], 0.3, lost=True)
    story.submitted("fit", 1, 0.4)
    story.tell([], 0.5)
    assert (story.board.is_behind, story.board.bars[0].total) == (True, 9)
    story.tell([], 0.7, whole=True)
    assert (story.board.is_behind, story.board.bars[0].total) == (False, 11)


def test_a_picture_is_bounded_whatever_the_run_and_says_what_it_leaves_out() -> None:
    story = Story(1000.0)
    now = 1000.0
    for number in range(20_000):
        now = 1000.0 + number * 0.01
        label = f"step {number % 150}"
        story.submitted(label, 1, now)
        story.ended(label, number % 80, "failed", now, 0.02, "x" * 9000, now)
        story.reported(label, number % 80, {"loss": 1.0 / (number + 1)}, now)
    engines = [(number, "busy", "fit", False, now, 1 << 30, 50.0) for number in range(80)]
    for _ in range(500):
        now += 1.0
        story.tell(engines, now)
    story.tell(engines, now, whole=True)
    board = story.board
    assert len(board.bars) == MOST_BARS
    assert len(board.engines) == MOST_ENGINES
    assert sum(len(row) for row in board.strips.values()) <= MOST_STRIPS
    assert len(board.curves) == MOST_CURVES
    assert max(len(engine.busy) for engine in board.engines) <= MOST_SAMPLES
    scope = board.scope
    assert (scope.drawn, scope.failures, scope.labels_left_out, scope.engines_left_out) == (
        20_000,
        20_000,
        50,
        16,
    )
    assert scope.curves_left_out == 20_000 - sum(1 for n in range(20_000) if n % 1200 < MOST_CURVES)
    assert [failure.number for failure in board.failures] == list(range(20_001 - MOST_FAILURES, 20_001))
    assert all(failure.error.endswith("… (5000 more characters)") for failure in board.failures)
    assert len(codec.encode(story.told[-1])[1]) < 150_000


def test_strips_keep_every_task_and_all_its_time_when_they_are_merged() -> None:
    strips = Strips(most=50)
    for number in range(3000):
        at = number * 0.1
        strips.add(EngineNumber(number % 3), at, at + 0.05, f"label {number % 2}", 0.05, 1, number % 10 == 0)
        if number % 700 == 0:
            strips.lanes()
    rows = [strip for lane in strips.lanes() for strip in lane.strips]
    assert len(rows) <= 50
    assert strips.is_binned
    assert sum(strip.count for strip in rows) == 3000
    assert sum(strip.failed for strip in rows) == 300
    assert math.isclose(sum(strip.busy for strip in rows), 150.0, rel_tol=1e-6)
    for lane in strips.lanes():
        assert all(
            a.start < a.end <= b.start + 1e-9 for a, b in zip(lane.strips, lane.strips[1:], strict=False)
        )
    assert strips.lanes() == strips.lanes()


tasks = st.lists(
    st.tuples(
        st.sampled_from(["fit", "judge"]),
        st.sampled_from([None, EngineNumber(0), EngineNumber(1)]),
        st.sampled_from(["done", "failed", "lost", "cancelled"]),
        st.integers(0, 60_000).map(lambda at: at / 10_000),
        st.sampled_from([0.0, 1e-5, 0.0004, 0.5]),
        st.just("no"),
    ),
    max_size=40,
)


@given(tasks, st.integers(1, 40))
def test_tasks_that_end_together_are_drawn_as_those_that_end_one_by_one(tasks: list[Any], size: int) -> None:
    together, alone = Summary({}, 0.0), Summary({}, 0.0)
    for at in range(0, len(tasks), size):
        together.ended(tasks[at : at + size], 9.0)
    for task in tasks:
        alone.ended([task], 9.0)
    ours, theirs = (Board().apply(_told(summary)) for summary in (together, alone))
    assert ours.failures == theirs.failures
    assert (ours.scope.drawn, ours.scope.failures) == (theirs.scope.drawn, theirs.scope.failures)
    for engine, strips in theirs.strips.items():
        mine = ours.strips[engine]
        assert sum(strip.count for strip in mine) == sum(strip.count for strip in strips)
        assert math.isclose(sum(s.busy for s in mine), sum(s.busy for s in strips), abs_tol=1e-4)
        assert max(strip.end for strip in mine) == max(strip.end for strip in strips)


def _told(summary: Summary) -> WorkTold:
    told = summary.tell((), 9.0, whole=True)
    assert told is not None
    return told


def test_pages_that_did_not_change_are_the_same_objects() -> None:
    strips = Strips()
    for number in range(100):
        strips.add(EngineNumber(0), number, number + 0.5, "fit", 0.5, 1, 0)
    before = strips.lanes()
    strips.add(EngineNumber(0), 100.0, 100.5, "fit", 0.5, 1, 0)
    after = strips.lanes()
    assert [a is b for a, b in zip(before, after, strict=True)] == [True, True, True, False]


def test_more_labels_than_are_counted_apart_are_counted_together_and_resting_ones_make_room() -> None:
    tallies = Tallies()
    for number in range(MOST_LABELS):
        tallies.tally(ME, f"label {number}").submitted(1, 0.0)
    tallies.tally(ME, "one more").submitted(3, 0.0)
    assert tallies.of(ME)[OTHERS].total == 3
    tallies.tally(ME, "label 7").ended("done", 0.1, 1.0)
    tallies.tally(ME, "late").submitted(1, 2.0)
    assert "label 7" not in tallies.of(ME)
    assert tallies.of(ME)["late"].open == 1


def test_what_a_label_says_after_a_colon_tells_tasks_of_one_bar_apart() -> None:
    story = Story(0.0)
    story.submitted("fit: alpha=1", 1, 0.0)
    story.submitted("fit: alpha=2", 1, 0.0)
    story.reported("fit: alpha=2", 0, {"loss": 1.0}, 0.0)
    story.tell([(0, "busy", "fit: alpha=1", True)], 0.1)
    assert [(bar.label, bar.total, bar.running) for bar in story.board.bars] == [("fit", 2, 1)]
    assert [curve.label for curve in story.board.curves] == ["fit"]
    assert story.board.engines[0].running == "fit: alpha=1"


def test_samples_of_a_long_run_grow_coarser_and_keep_their_mean() -> None:
    samples = Samples()
    for number in range(1000):
        samples.add((100 if number % 2 else 0, 7))
    busy, memory = samples.columns()
    assert len(busy) <= MOST_SAMPLES
    assert samples.every == 32
    assert set(busy) == {50}
    assert set(memory) == {7}


def test_a_curve_keeps_its_first_and_its_last_point() -> None:
    curves = Curves()
    for number in range(5000):
        curves.add("fit", EngineNumber(0), {"loss": float(number), "nan": math.nan}, float(number))
        [curve] = curves.curves()
        assert (curve.values[0], curve.values[-1]) == (0.0, float(number))
        assert len(curve.values) <= MOST_POINTS + 1
    assert list(curve.times) == sorted(set(curve.times))


def test_an_engine_is_as_busy_as_the_time_that_it_spent() -> None:
    story = Story(0.0)
    story.submitted("fit", 3, 0.0)
    story.tell([(0, "idle")], 0.0)
    story.ended("fit", 0, "done", 0.25, 0.25, "", 0.5)
    story.tell([(0, "busy", "fit", True, 0.75)], 1.0)
    story.tell([(0, "busy", "fit", True, 0.75)], 2.0)
    story.tell([(0, "busy", "fit", False, 0.75)], 3.0)
    assert story.board.engines[0].busy == (0, 50, 100, 0)


def test_what_the_module_says_of_itself() -> None:
    import doctest

    from nbcluster.core import board

    assert doctest.testmod(summaries).failed == 0
    assert doctest.testmod(board).failed == 0
