"""The rules of the scheduler as stories of engines: added, restarted, dead, removed."""

from __future__ import annotations

import pytest

from nbcluster.core.effects import (
    RunCell,
    ShowEngine,
    StartEngine,
    StopEngine,
    TellDone,
    TellEngines,
    TellRefused,
    TellStarted,
)
from nbcluster.core.inputs import Add, Remove, Restart, Scale
from nbcluster.core.model import EngineState
from nbcluster.protocol.messages import KernelSpecRef, Lost
from nbcluster.testing.simulation import Simulation

PYTHON = KernelSpecRef()
REASON = "restarted by %cluster restart at 14:02"


@pytest.fixture
def sim():
    return Simulation()


def states(sim):
    return {number: engine.state.value for number, engine in sim.scheduler.engines.items()}


# -- adding and removing ----------------------------------------------------------------------


def test_new_engines_take_the_lowest_free_numbers_and_a_new_life(sim):
    sim.engines(3).step(Remove((1,)))
    sim.lose(1, "exited with code 0").forget()
    sim.step(Add(2, PYTHON))
    sim.expect(StartEngine, engine=1, incarnation=4).expect(StartEngine, engine=3, incarnation=5)
    sim.expect(TellEngines, engines=(1, 3)).and_nothing_else()


def test_up_to_counts_engines_of_its_kernel_and_removes_none(sim):
    sim.engines(2).engines(1, "bash")
    sim.step(Add(4, PYTHON, up_to=True))
    sim.expect(StartEngine, engine=3).expect(StartEngine, engine=4).expect(TellEngines, engines=(3, 4))
    sim.and_nothing_else()
    sim.step(Add(1, PYTHON, up_to=True))
    sim.expect(TellEngines, engines=()).and_nothing_else()


@pytest.mark.parametrize("order", [Add(-1, PYTHON), Scale(-1, PYTHON), Add(-1, PYTHON, up_to=True)])
def test_less_than_no_engines_is_refused(sim, order):
    sim.engines(1).step(order)
    sim.expect(TellRefused, error="UsageError").and_nothing_else()


def test_no_engines_is_fine(sim):
    sim.step(Add(0, PYTHON))
    sim.expect(TellEngines, engines=()).and_nothing_else()


def test_a_tag_that_no_target_could_name_is_refused(sim):
    sim.step(Add(1, KernelSpecRef(tags=("any",))))
    sim.expect(TellRefused, error="UsageError").and_nothing_else()


def test_scaling_down_removes_failed_then_idle_then_high_ones(sim):
    sim.engines(5).submit("a", "0,1,3,4").step(Add(1, PYTHON))
    sim.lose(5).forget()
    assert states(sim) == {0: "busy", 1: "busy", 2: "idle", 3: "busy", 4: "busy", 5: "failed"}
    sim.step(Scale(3, PYTHON))
    sim.expect(ShowEngine, engine=5, gone=True)
    sim.expect(StopEngine, engine=2).expect(StopEngine, engine=4).expect(TellDone, engine=4, outcome=Lost)
    sim.expect(TellEngines, engines=(2, 4, 5)).and_nothing_else()
    sim.step(Scale(3, PYTHON))
    sim.expect(TellEngines, engines=()).and_nothing_else()


def test_scaling_up_starts_what_is_missing(sim):
    sim.engines(1).step(Scale(2, PYTHON))
    sim.expect(StartEngine, engine=1).expect(TellEngines, engines=(1,)).and_nothing_else()


def test_removing_an_engine_ends_its_tasks_at_once(sim):
    sim.engines(2).submit("a", "1").submit("b", "1").forget()
    sim.step(Remove((1, 1)))
    sim.expect(TellDone, task="a.0", outcome=Lost).expect(TellDone, task="b.0", outcome=Lost)
    sim.expect(StopEngine, engine=1).expect(TellEngines, engines=(1,)).and_nothing_else()
    assert states(sim) == {0: "idle", 1: "stopping"}
    sim.submit("c", "1").expect(TellRefused, error="EngineLost").and_nothing_else()
    sim.lose(1, "exited with code 0").expect(ShowEngine, engine=1, gone=True).and_nothing_else()
    assert states(sim) == {0: "idle"}


def test_unknown_engines_are_refused_and_none_is_touched(sim):
    sim.engines(1).step(Remove((0, 7)))
    sim.expect(TellRefused, error="UnknownTarget").and_nothing_else()
    sim.step(Restart((0, 7), REASON))
    sim.expect(TellRefused, error="UnknownTarget").and_nothing_else()
    assert states(sim) == {0: "idle"}


# -- restarting -------------------------------------------------------------------------------


def test_a_restart_loses_what_runs_keeps_what_waits_and_is_said_once(sim):
    sim.engines(1).submit("a").submit("b").submit("c").forget()
    sim.step(Restart((0,), REASON))
    sim.expect(TellDone, task="a.0", outcome=Lost).expect(StopEngine, engine=0, incarnation=1)
    sim.expect(TellEngines, engines=(0,)).and_nothing_else()
    assert REASON in sim.outcomes["a.0"].reason
    sim.lose(0, "exited with code 0").expect(StartEngine, engine=0, incarnation=2).and_nothing_else()
    notice = f"engine 0 was {REASON}; its names are lost"
    sim.ready(0).expect(TellStarted, task="b.0", notice=notice).expect(RunCell).and_nothing_else()
    sim.answer(0).expect(TellDone).expect(TellStarted, task="c.0", notice="").expect(
        RunCell
    ).and_nothing_else()
    assert (sim.scheduler.engines[0].starts, sim.scheduler.engines[0].deaths) == (2, [])


def test_a_second_restart_of_a_restarting_engine_asks_nothing_more(sim):
    sim.engines(1).step(Restart((0,), REASON))
    sim.forget().step(Restart((0,), REASON))
    sim.expect(TellEngines, engines=(0,)).and_nothing_else()


def test_a_restarting_engine_that_is_removed_does_not_come_back(sim):
    sim.engines(1).step(Restart((0,), REASON))
    sim.forget().step(Remove((0,)))
    sim.expect(TellEngines).and_nothing_else()
    sim.lose(0, "exited with code 0").and_nothing_else()
    assert states(sim) == {}


def test_an_engine_that_is_being_removed_cannot_be_restarted(sim):
    sim.engines(2).step(Remove((0,)))
    sim.forget().step(Restart((1, 0), REASON))
    sim.expect(TellRefused, error="EngineLost").and_nothing_else()


# -- dying ------------------------------------------------------------------------------------


def test_a_killed_engine_loses_its_cell_and_starts_again_under_its_number(sim):
    sim.engines(2).submit("a", code="fit(x)").submit("b", "1").forget()
    sim.lose(1)
    sim.expect(TellDone, task="a.1", outcome=Lost("engine 1 was killed by SIGKILL while it ran 'fit(x)'"))
    sim.expect(StartEngine, engine=1, incarnation=3).and_nothing_else()
    notice = "engine 1 was restarted after it was killed by SIGKILL; its names are lost"
    sim.ready(1).expect(TellStarted, task="b.0", notice=notice).expect(
        RunCell, incarnation=3
    ).and_nothing_else()
    sim.answer(0).expect(TellDone, task="a.0").and_nothing_else()


def test_an_engine_that_exits_is_said_to_have_done_so(sim):
    sim.engines(1).submit("a").lose(0, "exited with code 1")
    assert sim.outcomes["a.0"].reason == "engine 0 exited with code 1 while it ran 'a'"


def test_an_engine_that_never_gets_ready_has_failed_with_what_waits_for_it(sim):
    sim.step(Add(1, PYTHON))
    sim.submit("a").forget()
    sim.lose(0, "exited with code 1: no module named ipykernel")
    sim.expect(TellDone, task="a.0", outcome=Lost).and_nothing_else()
    assert states(sim) == {0: "failed"}
    assert "no module named ipykernel" in sim.scheduler.engines[0].note
    sim.submit("b", "0").expect(TellRefused, error="EngineLost").and_nothing_else()
    sim.step(Restart((0,), REASON))
    sim.expect(StartEngine, engine=0).expect(TellEngines).and_nothing_else()
    sim.submit("c").ready(0).expect(TellStarted, task="c.0", notice="")


def test_the_sixth_death_in_a_minute_is_the_last(sim):
    sim.engines(1)
    for _ in range(5):
        sim.wait(1.0).lose(0)
        assert states(sim) == {0: "starting"}
        sim.ready(0)
    sim.submit("a").submit("b").forget()
    sim.lose(0).expect(TellDone, task="a.0", outcome=Lost).expect(TellDone, task="b.0", outcome=Lost)
    sim.and_nothing_else()
    assert states(sim) == {0: "failed"}
    assert "6 times within 60 s" in sim.scheduler.engines[0].note
    sim.step(Restart((0,), REASON))
    sim.ready(0).lose(0)
    assert sim.scheduler.engines[0].state is EngineState.STARTING


def test_an_engine_that_may_not_restart_is_left_alone_until_somebody_asks(sim):
    sim.step(Add(1, KernelSpecRef(restart=False)))
    sim.ready(0).submit("a").submit("b").forget()
    sim.lose(0).expect(TellDone, task="a.0", outcome=Lost).expect(TellDone, task="b.0", outcome=Lost)
    sim.and_nothing_else()
    assert states(sim) == {0: "failed"}
    assert "it was killed by SIGKILL, and restart='never' leaves it so" in sim.scheduler.engines[0].note
    sim.step(Restart((0,), REASON))
    sim.expect(StartEngine, engine=0)


def test_a_failed_engine_is_removed_at_once(sim):
    sim.step(Add(1, PYTHON))
    sim.lose(0).forget()
    sim.step(Remove((0,)))
    sim.expect(ShowEngine, engine=0, gone=True).expect(TellEngines, engines=(0,)).and_nothing_else()


def test_nothing_grows_with_finished_work(sim):
    sim.engines(2)
    for i in range(50):
        sim.submit(f"c{i}", "any" if i % 2 else "", timeout=9.0)
        sim.drain()
    ledger = sim.scheduler.ledger
    left = [ledger.tasks, ledger.cells, ledger.pools, ledger.timers, ledger.startup]
    left += [engine.lane for engine in ledger.engines.values()]
    assert not any(left)
