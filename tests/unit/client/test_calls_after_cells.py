"""What is sent of `after=`: of a cell what has not ended, what has failed, and never what ran well."""

from __future__ import annotations

from typing import Any

import pytest

from nbcluster.client.callfutures import ManyFuture
from nbcluster.client.cells import CellRun
from nbcluster.client.graph import Plan
from nbcluster.client.needs import tasks_before
from nbcluster.errors import DependencyFailed, UsageError
from nbcluster.ids import CellId, EngineNumber, TaskId
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m

CELL = CellId("cell")


class Story:
    """A cell on two engines, of the client whose calls are in memory."""

    def __init__(self, memory: Any) -> None:
        self.memory = memory
        memory.peer.held = True
        self.run = CellRun(memory.peer, m.SubmitCell(CELL, "load()"), single=False)
        self.run.accepted(tuple(m.TaskPlace(TaskId(f"t{n}"), EngineNumber(n)) for n in (0, 1)))

    def end(self, number: int, outcome: m.Outcome) -> None:
        self.run.handle(m.TaskDone(CELL, TaskId(f"t{number}"), EngineNumber(number), 1, outcome), ())

    def sent_after(self, submission: Any) -> tuple[str, ...]:
        future = submission.send(int, (), {})
        self.memory.do(lambda: None)
        (after,) = [
            spec.after
            for message in self.memory.peer.sent
            if isinstance(message, c.SubmitCalls)
            for spec in message.calls
            if spec.task == future.task
        ]
        return tuple(after)


@pytest.fixture
def story(memory: Any) -> Story:
    return Story(memory)


def test_what_has_not_ended_or_has_failed_is_waited_for_as_it_is_when_a_call_is_sent(story: Story) -> None:
    later = story.memory.peer.submission(after=[story.run.future])
    assert story.sent_after(later) == ("t0", "t1")
    story.end(0, m.Succeeded())
    assert story.sent_after(later) == ("t1",)
    story.end(1, m.Raised("ValueError", "no", ()))
    assert story.sent_after(later) == ("t1",), "the controller remembers how it failed"


def test_a_cell_that_ran_well_is_not_waited_for(story: Story) -> None:
    later = story.memory.peer.submission(after=story.run.future)
    story.end(0, m.Succeeded())
    story.end(1, m.Succeeded())
    assert story.run.future.exception(0) is None
    assert story.sent_after(later) == ()


def test_a_cell_that_was_not_sent_stands_for_what_it_was_to_come_after(story: Story) -> None:
    story.end(0, m.Succeeded())
    story.end(1, m.Raised("ValueError", "no", ()))
    unsent = CellRun(story.memory.peer, m.SubmitCell(CellId("next"), "fit()"), single=True)
    unsent.refuse(DependencyFailed("for want of the other"), tasks_before((story.run.future,)))
    assert story.sent_after(story.memory.peer.submission(after=[unsent.future])) == ("t1",)


def test_futures_of_calls_and_cells_together(story: Story) -> None:
    call = story.memory.peer.submission().send(int, (), {})
    several = ManyFuture("both", {0: call, 1: story.memory.peer.submission().send(int, (), {})})
    later = story.memory.peer.submission(after=[several, story.run.future])
    assert story.sent_after(later) == (call.task, several.parts[1].task, "t0", "t1")


def test_cells_of_other_clusters_are_refused(story: Story) -> None:
    class Other:
        calls, loop = Plan(story.memory.peer.calls), None

        def post_soon(self, request: m.Request) -> None:
            raise AssertionError("nothing is sent")

    stranger = CellRun(Other(), m.SubmitCell(CELL, "1"), single=True)  # type: ignore[arg-type]  # never asked
    with pytest.raises(
        UsageError, match="is of another cluster, and work can only come after what runs on its own"
    ):
        story.memory.peer.submission(after=[stranger.future])
