"""The rules of the scheduler as stories of cells with options: priority, resources, retries, live."""

from __future__ import annotations

import pytest

from nbcluster.core.effects import (
    InterruptCell,
    RunCell,
    SetTimer,
    StopEngine,
    TellAccepted,
    TellDone,
    TellRefused,
    TellStarted,
)
from nbcluster.protocol.messages import Cancelled, Lost, Raised, Succeeded, TaskPlace
from nbcluster.testing.simulation import Simulation

BOOM = Raised("ZeroDivisionError", "division by zero")
INTERRUPTED = Raised("KeyboardInterrupt", "")


@pytest.fixture
def sim():
    return Simulation()


def test_higher_priority_goes_first_in_a_lane_and_in_a_pool(sim):
    sim.engines(1).submit("busy").submit("a").submit("any", "any").submit("urgent", priority=2)
    sim.submit("urgent any", "any", priority=3).submit("low", priority=-1).drain()
    ran = [run.task for run in sim.runs]
    assert ran == ["busy.0", "urgent any.0", "urgent.0", "a.0", "any.0", "low.0"]


def test_a_cell_runs_only_on_engines_with_its_resources(sim):
    sim.engines(1).engines(2, resources={"gpu": 1.0}).submit("a", resources={"gpu": 1.0})
    assert [run.engine for run in sim.runs] == [1, 2]
    sim.submit("b", "any", resources={"gpu": 1.0}).submit("c", "any")
    assert sim.runs[-1].task == "c.0"
    assert sim.runs[-1].engine == 0
    sim.answer(2)
    assert sim.runs[-1].task == "b.0"


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"resources": {"gpu": 2.0}}, "NoEngines", "gpu=2: engine 0 has gpu=1"),
        ({"resources": {"tpu": 1.0}, "on": "any"}, "NoEngines", "tpu=1"),
        ({"resources": {"gpu": float("nan")}}, "UsageError", "0 or more"),
        ({"retries": -1}, "UsageError", "-1 retries"),
    ],
)
def test_what_no_engine_has_is_refused(sim, options, error, says):
    sim.engines(1, resources={"gpu": 1.0}).submit("a", **options)
    (refusal,) = sim.unseen
    assert isinstance(refusal, TellRefused)
    assert refusal.error == error
    assert says in refusal.message


def test_what_waits_for_resources_ends_with_the_last_engine_that_has_them(sim):
    sim.engines(1).engines(1, resources={"gpu": 1.0}).submit("busy").submit(
        "a", "any", resources={"gpu": 1.0}
    )
    sim.lose(1).forget()
    sim.lose(1, "exited with code 1").expect(TellDone, task="a.0", outcome=Lost).and_nothing_else()


def test_a_startup_cell_runs_only_where_its_resources_are(sim):
    sim.engines(1, resources={"gpu": 1.0}).submit("s", startup=True, resources={"gpu": 1.0}).answer(0)
    sim.engines(1).engines(1, resources={"gpu": 1.0})
    assert [(run.task, run.engine) for run in sim.runs] == [("s.0", 0), ("s/startup/3", 2)]


@pytest.mark.parametrize("on", ["", "any"])
def test_a_cell_that_raises_runs_again_before_those_behind_it(sim, on):
    sim.engines(1).submit("a", on, retries=1).submit("b").forget()
    sim.answer(0, BOOM).expect(TellStarted, task="a.0", attempt=2).expect(RunCell, attempt=2)
    sim.and_nothing_else()
    sim.answer(0, BOOM).expect(TellDone, task="a.0", attempt=2, outcome=BOOM)
    sim.expect(TellStarted, task="b.0").expect(RunCell).and_nothing_else()


def test_what_succeeds_or_was_cancelled_does_not_run_again(sim):
    sim.engines(1).submit("a", retries=3).answer(0).submit("b", retries=3).cancel("b.0").answer(
        0, INTERRUPTED
    )
    assert sim.outcomes["a.0"] == Succeeded()
    assert isinstance(sim.outcomes["b.0"], Cancelled)
    assert len(sim.runs) == 2


def test_live_cells_run_at_once_beside_what_runs(sim):
    sim.engines(1).submit("busy").submit("waits").forget()
    sim.submit("x", live=True).expect(TellAccepted).expect(TellStarted).expect(RunCell, task="x.0")
    sim.submit("y", live=True).expect(TellAccepted).expect(TellStarted).expect(RunCell, task="y.0")
    sim.and_nothing_else()
    assert (sim.scheduler.running, sim.scheduler.queued) == (3, 1)
    sim.answer_to(sim.runs[1]).expect(TellDone, task="x.0").and_nothing_else()
    sim.answer(0).expect(TellDone, task="busy.0").expect(TellStarted).expect(RunCell, task="waits.0")
    sim.and_nothing_else()


def test_a_live_cell_runs_beside_calls_and_holds_none_up(sim):
    sim.engines(1).call("a", "b", "c").submit("x", live=True)
    assert sim.runs[-1].task == "x.0"
    assert not sim.processes[0].calls.recalled
    sim.give(0)
    assert sim.flight(0) == ["b", "c"]


def test_a_live_cell_for_any_engine_goes_to_one_that_is_up(sim):
    sim.engines(2).lose(0).forget().submit("x", "any", live=True)
    sim.expect(TellAccepted, tasks=(TaskPlace("x.0", 1),)).expect(TellStarted).expect(RunCell, engine=1)
    sim.and_nothing_else()


def test_a_live_cell_waits_for_an_engine_that_is_not_up_and_is_lost_with_it(sim):
    sim.engines(1).lose(0).submit("x", live=True)
    assert not sim.runs
    sim.ready(0)
    assert sim.runs[-1].task == "x.0"
    sim.lose(0)
    assert isinstance(sim.outcomes["x.0"], Lost)


def test_a_live_cell_is_interrupted_and_forced_out_like_others(sim):
    sim.engines(1).submit("busy").submit("x", live=True).forget()
    sim.cancel("x.0", force=True).expect(InterruptCell, task="x.0").expect(SetTimer).and_nothing_else()
    sim.wait(5.0).expect(TellDone, task="x.0", outcome=Cancelled).expect(
        TellDone, task="busy.0", outcome=Lost
    )
    sim.expect(StopEngine).and_nothing_else()
