"""The rules of the scheduler as stories of cells: who runs what, in which order, and how it ends."""

from __future__ import annotations

import pytest

from nbcluster.core.effects import (
    ClearTimer,
    InterruptCell,
    RunCell,
    SetTimer,
    ShowEngine,
    StartEngine,
    StopEngine,
    TellAccepted,
    TellDone,
    TellEngines,
    TellRefused,
    TellStarted,
)
from nbcluster.core.explain import explain
from nbcluster.core.inputs import CancelOwned, CellReturned, EngineReady, Restart, SubmitTasks
from nbcluster.core.model import EngineState
from nbcluster.errors import BY_NAME
from nbcluster.protocol.messages import (
    Cancelled,
    Lost,
    Raised,
    SubmitCell,
    Succeeded,
    TaskPlace,
    TimedOut,
)
from nbcluster.testing.simulation import Simulation

BOOM = Raised("ZeroDivisionError", "division by zero")
INTERRUPTED = Raised("KeyboardInterrupt", "")


@pytest.fixture
def sim():
    return Simulation()


# -- submitting and order ---------------------------------------------------------------------


def test_a_cell_makes_one_task_for_each_target_and_runs_at_once(sim):
    sim.engines(2).submit("a")
    sim.expect(TellAccepted, client="ann", tasks=(TaskPlace("a.0", 0), TaskPlace("a.1", 1)))
    for number in (0, 1):
        sim.expect(TellStarted, task=f"a.{number}", engine=number, attempt=1, notice="")
        sim.expect(RunCell, task=f"a.{number}", engine=number, attempt=1)
    sim.and_nothing_else()


def test_the_acceptance_comes_first_and_a_changed_engine_is_shown_once_last(sim):
    effects = sim.engines(1).step(SubmitTasks("ann", "python", SubmitCell("a", "1"), ("a.0",)))
    assert [type(e) for e in effects] == [TellAccepted, TellStarted, RunCell, ShowEngine]


def test_cells_of_one_engine_run_in_the_order_of_submission(sim):
    sim.engines(1).submit("a").submit("b", client="bob").submit("c").forget()
    sim.answer(0).expect(TellDone, task="a.0", client="ann", outcome=Succeeded)
    sim.expect(TellStarted, client="bob").expect(RunCell, task="b.0").and_nothing_else()
    sim.answer(0, BOOM).expect(TellDone, task="b.0", outcome=BOOM)
    sim.expect(TellStarted).expect(RunCell, task="c.0").and_nothing_else()
    sim.answer(0).expect(TellDone, task="c.0").and_nothing_else()
    assert not sim.scheduler.tasks


def test_cells_wait_for_an_engine_that_is_not_up(sim):
    sim.engines(1).lose(0).submit("a").forget()
    assert (sim.scheduler.queued, sim.scheduler.running) == (1, 0)
    sim.ready(0).expect(TellStarted).expect(RunCell, task="a.0").and_nothing_else()
    assert (sim.scheduler.queued, sim.scheduler.running) == (0, 1)


def test_any_takes_the_lowest_idle_engine_of_the_language(sim):
    sim.engines(1, "bash").engines(2).submit("a", "any")
    sim.expect(TellAccepted, tasks=(TaskPlace("a.0", None),))
    sim.expect(TellStarted, engine=1).expect(RunCell, engine=1).and_nothing_else()


def test_an_engine_takes_the_earlier_of_its_lane_and_the_pool(sim):
    sim.engines(1).submit("busy").submit("pool", "any").submit("lane", "0").submit("pool2", "any").forget()
    ran = []
    for _ in range(3):
        sim.answer(0)
        ran.append(sim.runs[-1].task)
    assert ran == ["pool.0", "lane.0", "pool2.0"]


def test_any_goes_to_the_first_engine_that_gets_free(sim):
    sim.engines(2).submit("busy").submit("a", "any").forget()
    sim.answer(1).expect(TellDone).expect(TellStarted, task="a.0", engine=1).expect(
        RunCell
    ).and_nothing_else()


def test_any_waits_for_an_engine_that_can_run_it_and_ends_when_there_is_none(sim):
    sim.engines(1).engines(1, "bash").submit("busy").submit("a", "any").forget()
    sim.lose(0).expect(TellDone, task="busy.0", outcome=Lost).expect(StartEngine).and_nothing_else()
    sim.lose(0, "exited with code 1")
    sim.expect(TellDone, task="a.0", engine=None, outcome=Lost).and_nothing_else()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"on": "7"}, "UnknownTarget", "engine 7"),
        ({"on": "0 1"}, "UsageError", "commas"),
        ({"on": "5:"}, "NoEngines", "matches no engine"),
        ({"timeout": 0.0}, "UsageError", "above 0"),
        ({"timeout": -1.0}, "UsageError", "above 0"),
        ({"timeout": float("nan")}, "UsageError", "above 0"),
        ({"timeout": float("inf")}, "UsageError", "above 0"),
        ({"on": "any", "startup": True}, "UsageError", "startup"),
        ({"cell": "busy"}, "UsageError", "in use"),
    ],
)
def test_a_refusal_changes_nothing(sim, options, error, says):
    sim.engines(1).submit("busy").forget()
    sim.submit(**{"cell": "a", **options})
    (refusal,) = sim.unseen
    assert isinstance(refusal, TellRefused)
    assert refusal.error == error
    assert refusal.error in BY_NAME
    assert says in refusal.message
    assert list(sim.scheduler.tasks) == ["busy.0"]


@pytest.mark.parametrize(
    ("ids", "says"), [(("x",), "task ids were given"), (("x", "x"), "distinct"), (("busy.0", "x"), "in use")]
)
def test_task_ids_must_be_enough_and_new(sim, ids, says):
    sim.engines(2).submit("busy").forget()
    (refusal,) = sim.step(SubmitTasks("ann", "python", SubmitCell("a", "1"), ids))
    assert says in refusal.message


# -- answers ----------------------------------------------------------------------------------


def test_a_late_answer_of_a_former_life_is_dropped(sim):
    sim.engines(1).submit("a")
    (old,) = sim.runs
    sim.lose(0).ready(0).submit("b").forget()
    sim.answer_to(old).and_nothing_else()
    sim.answer(0).expect(TellDone, task="b.0").and_nothing_else()


def test_an_engine_of_a_former_life_cannot_get_ready_or_die_again(sim):
    sim.engines(1)
    old = sim.scheduler.engines[0].incarnation
    sim.lose(0).forget()
    assert sim.step(EngineReady(0, old, "python", "python3", "here", True)) == []
    sim.ready(0)
    assert sim.step(EngineReady(0, sim.scheduler.engines[0].incarnation, "R", "ir", "there", False)) == []


@pytest.mark.parametrize(("engine", "incarnation", "attempt"), [(1, 1, 1), (1, 2, 1), (0, 2, 1), (0, 1, 2)])
def test_an_answer_counts_only_for_its_engine_life_and_attempt(sim, engine, incarnation, attempt):
    sim.engines(2).submit("a").forget()
    sim.step(CellReturned("a.0", engine, incarnation, attempt, Succeeded()))
    sim.and_nothing_else()
    assert sim.scheduler.engines[0].running == "a.0"


# -- cancelling -------------------------------------------------------------------------------


def test_a_waiting_task_is_withdrawn_at_once(sim):
    sim.engines(1).submit("a").submit("b").forget()
    sim.cancel("b.0").expect(
        TellDone, task="b.0", outcome=Cancelled("cancelled by its owner")
    ).and_nothing_else()


def test_a_running_task_is_interrupted_and_ends_when_its_engine_says_so(sim):
    sim.engines(1).submit("a").forget()
    sim.cancel("a.0").expect(InterruptCell, task="a.0", attempt=1).expect(
        SetTimer, seconds=5.0
    ).and_nothing_else()
    sim.answer(0, INTERRUPTED).expect(ClearTimer)
    sim.expect(TellDone, outcome=Cancelled("cancelled by its owner", INTERRUPTED)).and_nothing_else()


def test_what_completed_before_the_interrupt_has_succeeded(sim):
    sim.engines(1).submit("a").cancel("a.0").forget()
    sim.answer(0).expect(ClearTimer).expect(TellDone, outcome=Succeeded).and_nothing_else()


def test_cancelling_twice_interrupts_twice_and_tells_once(sim):
    sim.engines(1).submit("a").cancel("a.0").forget()
    sim.cancel("a.0", "a.0", "unknown").expect(InterruptCell).expect(InterruptCell).and_nothing_else()
    sim.answer(0, INTERRUPTED).expect(ClearTimer).expect(TellDone).and_nothing_else()


def test_a_task_that_does_not_end_is_given_up_and_its_engine_stays_busy(sim):
    sim.engines(1).submit("a").submit("b").cancel("a.0").forget()
    sim.wait(5.0).expect(TellDone, task="a.0", outcome=Cancelled)
    sim.and_nothing_else()
    assert "still stuck" in sim.outcomes["a.0"].reason
    assert "%cluster restart 0" in sim.outcomes["a.0"].reason
    assert "given up" in sim.scheduler.engines[0].note
    sim.answer(0).expect(TellStarted, task="b.0").expect(RunCell, task="b.0").and_nothing_else()
    assert sim.scheduler.engines[0].note == ""


def test_the_death_of_an_engine_with_a_given_up_task_is_not_told_again(sim):
    sim.engines(1).submit("a").cancel("a.0").wait(5.0).forget()
    sim.lose(0).expect(StartEngine).and_nothing_else()


def test_force_restarts_an_engine_that_does_not_let_go(sim):
    sim.engines(1).submit("a").submit("b").cancel("a.0").forget()
    sim.cancel("a.0", force=True).expect(InterruptCell).and_nothing_else()
    sim.wait(5.0).expect(TellDone, task="a.0", outcome=Cancelled).expect(StopEngine).and_nothing_else()
    sim.lose(0).expect(StartEngine).and_nothing_else()
    sim.ready(0).expect(TellStarted, task="b.0").expect(RunCell).and_nothing_else()
    assert sim.scheduler.engines[0].deaths == []


def test_force_on_a_given_up_task_restarts_its_engine_at_once(sim):
    sim.engines(1).submit("a").cancel("a.0").wait(5.0).forget()
    sim.cancel("a.0").expect(InterruptCell).and_nothing_else()
    sim.cancel("a.0", force=True).expect(StopEngine).and_nothing_else()


def test_all_of_a_client_are_cancelled_and_no_others(sim):
    sim.engines(1).submit("a", client="bob").submit("b").submit("c").forget()
    sim.step(CancelOwned("ann", "cancelled by %cluster cancel"))
    sim.expect(TellDone, task="b.0").expect(TellDone, task="c.0").and_nothing_else()


# -- time -------------------------------------------------------------------------------------


def test_a_task_out_of_time_is_interrupted(sim):
    sim.engines(1).submit("a", timeout=3.0).expect(SetTimer, timer="timeout/a.0/1", seconds=3.0).forget()
    sim.wait(2.9).and_nothing_else()
    sim.wait(0.1).expect(InterruptCell, task="a.0").expect(SetTimer, timer="grace/a.0/1").and_nothing_else()
    sim.answer(0, INTERRUPTED).expect(ClearTimer).expect(TellDone, outcome=TimedOut(3.0, INTERRUPTED))
    sim.and_nothing_else()


def test_time_counts_from_the_start_of_the_task(sim):
    sim.engines(1).submit("busy").submit("a", timeout=3.0).forget()
    sim.wait(100.0).and_nothing_else()
    sim.answer(0).wait(2.9).expect(TellDone, task="busy.0").expect(TellStarted).expect(RunCell)
    sim.expect(SetTimer).and_nothing_else()


def test_a_task_in_time_clears_its_timer(sim):
    sim.engines(1).submit("a", timeout=3.0).forget()
    sim.answer(0).expect(ClearTimer, timer="timeout/a.0/1").expect(
        TellDone, outcome=Succeeded
    ).and_nothing_else()


def test_a_task_out_of_time_that_does_not_end_is_given_up(sim):
    sim.engines(1).submit("a", timeout=3.0).wait(3.0).forget()
    sim.wait(5.0).expect(TellDone, outcome=TimedOut).and_nothing_else()
    assert "%cluster restart 0" in sim.outcomes["a.0"].note


# -- fail fast --------------------------------------------------------------------------------


def test_the_others_of_a_cell_that_fails_fast_are_cancelled(sim):
    sim.engines(3).submit("busy", "2").submit("a", fail_fast=True).submit("b").forget()
    sim.answer(1, BOOM).expect(TellDone, task="a.1", outcome=BOOM)
    sim.expect(InterruptCell, task="a.0").expect(SetTimer)
    sim.expect(TellDone, task="a.2", outcome=Cancelled)
    sim.expect(TellStarted, task="b.1").expect(RunCell).and_nothing_else()
    assert "engine 1 failed with ZeroDivisionError" in sim.outcomes["a.2"].reason


def test_other_cells_go_on(sim):
    sim.engines(2).submit("a").forget()
    sim.answer(1, BOOM).expect(TellDone, task="a.1").and_nothing_else()


# -- clients ----------------------------------------------------------------------------------


def test_the_tasks_of_a_client_that_left_go_on_and_nobody_is_told(sim):
    sim.engines(1).submit("a").submit("b").leave("ann").forget()
    sim.answer(0).expect(RunCell, task="b.0").and_nothing_else()
    sim.answer(0).and_nothing_else()
    assert not sim.scheduler.tasks


def test_a_notice_waits_for_someone_to_tell(sim):
    sim.engines(1).lose(0).submit("a", client="bob").leave("bob").submit("b").ready(0).forget()
    sim.answer(0).expect(TellStarted, task="b.0", notice=sim_notice()).expect(RunCell).and_nothing_else()


def sim_notice(number=0, why="restarted after it was killed by SIGKILL"):
    return f"engine {number} was {why}; its names are lost"


# -- startup cells ----------------------------------------------------------------------------


def test_a_startup_cell_runs_on_engines_that_join_before_all_else(sim):
    sim.engines(1).submit("s", startup=True).submit("t", startup=True, code="other")
    sim.answer(0).answer(0)
    sim.engines(1).submit("a", "1")
    assert [run.task for run in sim.runs] == ["s.0", "t.0", "s/startup/2"]
    sim.answer(1).answer(1).answer(1)
    assert [run.task for run in sim.runs[2:]] == ["s/startup/2", "t/startup/2", "a.0"]
    assert sim.outcomes["t/startup/2"] == Succeeded()


def test_a_startup_cell_runs_once_in_each_life_and_before_what_waits(sim):
    sim.engines(1).submit("s", startup=True).answer(0)
    sim.submit("a").submit("b").lose(0).forget()
    sim.ready(0).expect(TellStarted, task="s/startup/2", notice="").expect(RunCell).and_nothing_else()
    sim.answer(0).expect(TellDone, task="s/startup/2")
    sim.expect(TellStarted, task="b.0", notice=sim_notice()).expect(RunCell).and_nothing_else()


def test_a_startup_cell_that_still_waits_is_not_doubled(sim):
    sim.engines(1).submit("a").submit("s", startup=True).lose(0).ready(0)
    assert [run.task for run in sim.runs] == ["a.0", "s.0"]
    sim.answer(0)
    assert not sim.scheduler.tasks


def test_a_startup_cell_runs_only_where_it_is_meant(sim):
    sim.engines(1, tags=["gpu"]).submit("s", "gpu", startup=True).answer(0)
    sim.engines(1).engines(1, "bash", tags=["gpu"])
    assert [run.task for run in sim.runs] == ["s.0", "s/startup/3"]


def test_the_same_startup_cell_sent_again_takes_the_old_ones_place(sim):
    for name in ("s", "t"):
        sim.engines(1 if name == "s" else 0).submit(name, startup=True, code="import numpy").answer(0)
    assert list(sim.scheduler.startup) == ["t"]


def test_who_cancels_a_startup_cell_is_rid_of_it(sim):
    sim.engines(1).submit("s", startup=True).cancel("s.0").answer(0, INTERRUPTED).lose(0).ready(0)
    assert [run.task for run in sim.runs] == ["s.0"]


def test_the_failure_of_a_startup_run_cancels_nothing(sim):
    sim.engines(1).submit("s", startup=True, fail_fast=True).engines(1).forget()
    sim.answer(1, BOOM).expect(TellDone, task="s/startup/2", outcome=BOOM).and_nothing_else()


# -- explanations -----------------------------------------------------------------------------


def test_every_place_of_a_task_is_explained(sim):
    sim.engines(2, tags=["gpu"]).submit("a", code="train()").submit("b").submit("c", "any")
    says = lambda task: explain(sim.scheduler, task)  # noqa: E731
    assert says("a.0") == "'train()' runs on engine 0"
    assert says("b.1") == "'b' waits for engine 1, which runs 'train()', with no tasks before it"
    assert says("c.0") == "'c' waits for any python engine: 2 busy, no tasks before it"
    sim.cancel("a.0")
    assert says("a.0").startswith("'train()' was interrupted on engine 0 because it was cancelled")
    sim.wait(5.0)
    assert "given up" in says("a.0")
    assert "%cluster restart 0" in says("a.0")
    sim.step(Restart((1,), "restarted"))
    assert says("b.1") == "'b' waits for engine 1, which is restarting, with no tasks before it"
    assert says("x") == "task x has ended, or was never submitted here"
    assert sim.scheduler.engines[1].state is EngineState.RESTARTING
    sim.expect(TellEngines, engines=(1,))
