"""The rules of the scheduler as stories of cells that come after cells and calls, and calls after cells."""

from __future__ import annotations

import pytest

from nbcluster.core import ledger
from nbcluster.core.effects import RunCalls, TellAccepted, TellCallsDone, TellDone, TellRefused
from nbcluster.core.explain import explain
from nbcluster.core.inputs import Remove
from nbcluster.ids import EngineNumber, TaskId
from nbcluster.protocol.messages import Cancelled, Lost, Raised, Unmet
from nbcluster.protocol.outcomes import Threw
from nbcluster.testing.simulation import Simulation

BOOM = Raised("ZeroDivisionError", "division by zero")


@pytest.fixture
def sim():
    return Simulation()


def ids(*names):
    return tuple(TaskId(name) for name in names)


def ran(sim):
    return [run.task for run in sim.runs]


def test_a_cell_runs_when_all_that_it_comes_after_have_succeeded(sim):
    sim.engines(3).submit("a", "0").submit("b", "1").submit("c", "2", after=ids("a.0", "b.0")).forget()
    sim.answer(0)
    assert ran(sim) == ["a.0", "b.0"]
    sim.answer(1)
    assert ran(sim) == ["a.0", "b.0", "c.0"]


def test_others_pass_a_cell_that_waits(sim):
    sim.engines(2).submit("a", "0").submit("b", "1", after=ids("a.0")).submit("c", "1")
    assert ran(sim) == ["a.0", "c.0"]


def test_a_failure_is_passed_on_with_its_cause(sim):
    sim.engines(1).submit("load", "0").submit("fit", "0", after=ids("load.0"))
    sim.submit("draw", "0", after=ids("fit.0")).forget()
    sim.answer(0, BOOM).expect(TellDone, task="load.0", outcome=Raised)
    for name, source in (("fit", "load"), ("draw", "fit")):
        outcome = sim.outcomes[TaskId(f"{name}.0")]
        assert isinstance(outcome, Unmet)
        assert outcome.cause == "load.0"
        assert outcome.reason.startswith(f"{name!r} comes after {source!r}, which")
        assert "ZeroDivisionError: division by zero" in outcome.reason
        sim.expect(TellDone, task=f"{name}.0")
    sim.and_nothing_else()


def test_what_comes_behind_waits_for_any_end(sim):
    sim.engines(2).submit("a", "0").submit("b", "1", behind=ids("a.0"))
    assert ran(sim) == ["a.0"]
    sim.answer(0, BOOM)
    assert ran(sim) == ["a.0", "b.0"]


def test_one_that_has_ended_well_is_waited_for_no_more(sim):
    sim.engines(1).submit("a").answer(0).submit("b", after=ids("a.0"), behind=ids("a.0", "never"))
    assert ran(sim) == ["a.0", "b.0"]


def test_one_that_has_failed_ends_a_new_cell_at_once(sim):
    sim.engines(1).submit("a").answer(0, BOOM).forget().submit("b", after=ids("a.0"))
    sim.expect(TellAccepted).expect(TellDone, task="b.0", outcome=Unmet).and_nothing_else()


def test_what_is_not_known_is_refused(sim):
    sim.engines(1).submit("b", after=ids("nothing")).expect(TellRefused, error="ValueReleased")
    sim.and_nothing_else()


def test_of_very_many_ends_the_last_are_remembered(sim, monkeypatch):
    monkeypatch.setattr(ledger, "ENDED_KEPT", 2)
    sim.engines(1)
    for name in "abc":
        sim.submit(name).answer(0)
    assert list(sim.scheduler.ledger.ended) == ["b.0", "c.0"]


def test_a_cell_comes_after_calls(sim):
    sim.engines(2).call("f", "g").submit("a", "0", after=ids("f", "g")).forget()
    assert ran(sim) == []
    sim.give(0).give(1)
    assert ran(sim) == ["a.0"]


def test_a_call_that_fails_ends_the_cell(sim):
    sim.engines(1).call("push", label="push x").submit("a", "0", after=ids("push"))
    sim.give(0, outcome=Threw("ValueError", "no"))
    outcome = sim.outcomes[TaskId("a.0")]
    assert isinstance(outcome, Unmet)
    assert (outcome.reason, outcome.cause) == (
        "'a' comes after 'push x', which raised ValueError: no",
        "push",
    )


def test_calls_come_after_cells(sim):
    sim.engines(2).submit("a", "0").call("f", after=ids("a.0"), label="g").forget()
    assert sim.flight(1) == []
    sim.answer(0)
    assert sim.flight(0) + sim.flight(1) == ["f"]


def test_a_cell_that_fails_ends_calls_after_it(sim):
    sim.engines(1).submit("a", "0").call("f", after=ids("a.0")).call("g", inputs=ids("f")).forget()
    sim.answer(0, BOOM).expect(TellDone, task="a.0")
    ends = {end.task: end.outcome for e in sim.unseen if isinstance(e, TellCallsDone) for end in e.calls}
    assert {task: (outcome.error, outcome.cause) for task, outcome in ends.items()} == {
        "f": ("DependencyFailed", "a.0"),
        "g": ("DependencyFailed", "a.0"),
    }
    sim.submit("b", "0").submit("late", "0", after=ids("a.0"))
    assert sim.outcomes[TaskId("late.0")].cause == "a.0"
    sim.call("later", after=ids("a.0"))
    assert sim.scheduler.calls[TaskId("later")].outcome.cause == "a.0"


def test_a_call_after_a_cell_is_not_sent_ahead(sim):
    sim.engines(2).submit("a", "1").call("f", targets="0").call(
        "g", targets="0", inputs=ids("f"), after=ids("a.0")
    )
    assert sim.flight(0) == ["f"]
    sim.give(0)
    assert sim.flight(0) == []
    sim.answer(1)
    assert sim.flight(0) == ["g"]


def test_a_cell_for_any_runs_near_another(sim):
    sim.engines(3).submit("busy", "0").submit("a", "any").submit(
        "b", "any", after=ids("a.0"), near=TaskId("a.0")
    )
    (other,) = [run.engine for run in sim.runs if run.task == "a.0"]
    sim.answer(0).answer(other)
    assert [(run.task, run.engine) for run in sim.runs[-1:]] == [("b.0", other)]


def test_a_call_is_pinned_near_a_cell(sim):
    sim.engines(3).submit("busy", "0").submit("a", "any")
    sim.call("get x", after=ids("a.0"), near=TaskId("a.0"), pinned=True)
    (other,) = [run.engine for run in sim.runs if run.task == "a.0"]
    assert sim.flight(other) == []
    sim.answer(other)
    assert sim.flight(other) == ["get x"]
    sim.call("again", after=ids("a.0"), near=TaskId("a.0"), pinned=True)
    assert sim.flight(other) == ["get x", "again"]


@pytest.mark.parametrize(
    "options",
    [
        {"near": TaskId("a.0")},
        {"near": TaskId("a.0"), "on": "0", "after": ids("a.0")},
        {"after": ids("a.0"), "live": True},
        {"after": ids("a.0"), "startup": True},
    ],
)
def test_what_cannot_come_after_others_is_refused(sim, options):
    sim.engines(1).submit("a").forget().submit(
        "b", **{"after": ids("a.0"), **options} if "after" in options else {**options, "behind": ids("a.0")}
    )
    sim.expect(TellRefused, error="UsageError").and_nothing_else()


def test_its_engine_may_be_gone_by_then(sim):
    sim.engines(2).submit("a", "0").submit("b", "1", after=ids("a.0")).step(Remove((EngineNumber(1),)))
    sim.lose(1, "exited with code 0").forget()
    sim.answer(0).expect(TellDone, task="a.0").expect(TellDone, task="b.0", outcome=Lost).and_nothing_else()


def test_one_that_waits_can_be_cancelled_and_explained(sim):
    sim.engines(1).submit("load", "0").submit("fit", "0", after=ids("load.0"))
    assert explain(sim.scheduler, "fit.0") == "'fit' waits for 'load' (running)"
    sim.forget().cancel("fit.0").expect(TellDone, task="fit.0", outcome=Cancelled).and_nothing_else()
    sim.answer(0)
    assert ran(sim) == ["load.0"]
    assert not sim.scheduler.ledger.awaited


def test_every_task_of_a_cell_on_many_engines_is_waited_for(sim):
    sim.engines(2).submit("a").submit("b", "0", after=ids("a.0", "a.1"))
    sim.answer(0)
    assert ran(sim) == ["a.0", "a.1"]
    sim.answer(1)
    assert ran(sim)[2:] == ["b.0"]
    sim.drain()
    assert not any(isinstance(effect, RunCalls) for effect in sim.unseen)


def test_a_cell_keeps_its_place_behind_what_is_brought_to_it(sim):
    sim.engines(2).call("push", targets="0", pinned=True).call("far", targets="1", pinned=True)
    sim.submit("a", "0", brought=ids("push", "far")).call("read", targets="0", pinned=True).forget()
    assert sim.flight(0) == ["push"], "the read does not pass the cell"
    sim.give(0)
    assert ran(sim) == ["a.0"]


def test_a_cell_does_not_begin_when_what_is_brought_to_it_fails(sim):
    sim.engines(2).call("push", targets="0", pinned=True).call("far", targets="1", pinned=True)
    sim.submit("a", brought=ids("push", "far")).forget()
    sim.give(0, outcome=Threw("ValueError", "no")).expect(TellDone, task="a.0", outcome=Unmet)
    sim.give(1)
    assert ran(sim) == ["a.1"]
    sim.answer(1).submit("b", "0", brought=ids("push"))
    assert isinstance(sim.outcomes[TaskId("b.0")], Unmet)


def test_a_cell_waits_for_what_is_brought_to_it_and_waits_itself(sim):
    sim.engines(2).call("make", targets="1").call("push", targets="0", pinned=True, inputs=ids("make"))
    sim.submit("a", "0", brought=ids("push")).submit("b", "0").forget()
    assert ran(sim) == ["b.0"]
    sim.answer(0).give(1)
    assert sim.flight(0) == ["push"]
    sim.give(0)
    assert ran(sim) == ["b.0", "a.0"]
