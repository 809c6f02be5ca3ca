"""Calls that are sent ahead to the engine that makes what they miss, and graphs that go depth-first, as stories."""

from __future__ import annotations

import pytest

from nbcluster.core.effects import RunCalls, TakeBackCalls, TellCallsDone
from nbcluster.core.explain import explain
from nbcluster.core.inputs import CancelOwned
from nbcluster.protocol.outcomes import Returned, Threw
from nbcluster.protocol.tasks import CallRef
from nbcluster.testing.simulation import Simulation

BOOM = Threw("ZeroDivisionError", "division by zero")
FAST = 1e-5


@pytest.fixture
def sim():
    return Simulation()


def fast(sim, function="f"):
    """Let every engine have learned that the function takes no time, so that there is much room."""
    name = f"known {function}"
    return sim.call(name, function=function).give(0, seconds=FAST).release(name).forget()


def chain(sim, n, **options):
    """Submit a chain, whose links have the names c0, c1 and so on."""
    sim.call("c0", **options)
    for i in range(1, n):
        sim.call(f"c{i}", inputs=(f"c{i - 1}",), **options)
    return sim


def error_of(sim, name):
    outcome = sim.world.outcomes[name]
    return outcome.error, outcome.cause


def test_a_chain_is_sent_whole_to_one_engine(sim):
    chain(fast(sim.engines(2)), 5)
    assert sim.flight(0) == ["c0", "c1", "c2", "c3", "c4"]
    assert sim.flight(1) == []
    assert explain(sim.scheduler, "c2") == (
        "'f' was sent ahead to engine 0, which is to make what it waits for: 'f' (c1, running)"
    )
    sim.forget().give(0, "c0", "c1", "c2", "c3", "c4").expect(TellCallsDone)
    assert all(isinstance(outcome, Returned) for outcome in sim.world.outcomes.values())


def test_as_much_of_a_chain_is_sent_as_there_is_room_for(sim):
    chain(sim.engines(2), 5)
    assert sim.flight(0) == ["c0", "c1"]
    sim.give(0, seconds=1.0)
    assert sim.flight(0) == ["c1", "c2"]


def test_what_misses_something_from_elsewhere_waits(sim):
    sim.engines(2).call("a").call("b").call("c", inputs=("a", "b"))
    assert (sim.flight(0), sim.flight(1)) == (["a"], ["b"])
    assert sim.give(0).flight(0) == []
    sim.give(1).expect(RunCalls)
    assert explain(sim.scheduler, "c").startswith("'f' was sent to engine")


def test_what_must_come_after_another_is_not_sent_ahead_of_it(sim):
    fast(sim.engines(1)).call("a").call("b", after=("a",)).call("c", inputs=("a",), repeatable=False)
    sim.call("d", inputs=("a",), timeout=5.0).call("e", inputs=("a",), targets="0", pinned=True)
    assert sim.flight(0) == ["a"]


def test_a_failure_in_the_middle_gives_the_rest_back_and_none_of_it_runs(sim):
    chain(fast(sim.engines(1)), 5).give(0, "c0").give(0, "c1", outcome=BOOM)
    assert [error_of(sim, f"c{i}") for i in (2, 3, 4)] == [("DependencyFailed", "c1")] * 3
    assert sim.flight(0) == []
    assert "c1) raised ZeroDivisionError" in sim.world.outcomes["c4"].message


def test_the_first_failure_is_told_though_its_future_was_dropped(sim):
    chain(fast(sim.engines(1)), 4).release("c0").give(0, "c0", outcome=BOOM)
    assert sim.world.outcomes["c3"].message == (
        "'f' needed 'f' (c2), which did not run because 'f' (c0) raised ZeroDivisionError: division by zero"
    )


def test_a_call_that_raised_and_runs_again_has_the_rest_behind_it_again(sim):
    chain(fast(sim.engines(1)), 3, retries=1).give(0, outcome=BOOM)
    assert sim.flight(0) == ["c0", "c1", "c2"]
    sim.give(0, "c0", "c1", "c2")
    assert all(isinstance(outcome, Returned) for outcome in sim.world.outcomes.values())


def test_cancelling_the_first_ends_the_rest(sim):
    chain(fast(sim.engines(1)), 3).cancel("c0").give(0, outcome=BOOM)
    assert sim.flight(0) == []
    assert [error_of(sim, f"c{i}") for i in (1, 2)] == [("DependencyFailed", "c0")] * 2


def test_cancelling_all_of_a_chain_leaves_nothing(sim):
    chain(fast(sim.engines(1)), 3).step(CancelOwned("ann", "cancelled"))
    sim.drain()
    assert set(sim.world.outcomes) == {"known f", "c0", "c1", "c2"}


def test_what_was_sent_ahead_of_one_that_does_not_end_is_taken_back_and_fails(sim):
    chain(fast(sim.engines(2)), 3).cancel("c0").forget().wait(6.0)
    assert [
        ref.task for effect in sim.unseen if isinstance(effect, TakeBackCalls) for ref in effect.calls
    ] == [
        "c1",
        "c2",
    ]
    sim.give_back(0)
    assert [error_of(sim, f"c{i}") for i in (1, 2)] == [("DependencyFailed", "c0")] * 2


def test_taking_back_the_first_takes_back_what_was_sent_ahead_of_it(sim):
    sim = fast(fast(sim.engines(1)), "g").call("slow", function="g")
    chain(sim, 3)
    sim.begin(0).forget().submit("cell", "0")
    sim.expect(TakeBackCalls, calls=(CallRef("c0", 1), CallRef("c1", 1), CallRef("c2", 1)))
    sim.give_back(0)
    assert sim.flight(0) == ["slow"]
    assert explain(sim.scheduler, "c1") == "'f' waits for 'f' (c0, ready)"
    sim.give(0).answer(0)
    assert sim.flight(0) == ["c0", "c1", "c2"]


def test_an_idle_engine_takes_no_more_than_what_can_run_there(sim):
    sim.engines(2).call("known").give(0, seconds=0.01).release("known")
    chain(sim, 4).begin(0)
    assert sim.flight(0) == ["c0", "c1", "c2", "c3"]
    assert not [effect for effect in sim.unseen if isinstance(effect, TakeBackCalls)]


def test_a_chain_goes_on_elsewhere_when_its_engine_dies_and_only_the_first_is_blamed(sim):
    chain(fast(sim.engines(2)), 3).lose(0)
    assert sim.flight(1) == ["c0", "c1", "c2"]
    calls = sim.scheduler.calls
    assert [len(calls[name].losses) for name in ("c0", "c1", "c2")] == [1, 0, 0]


def test_others_have_their_turn_beside_a_chain(sim):
    sim.engines(1)
    chain(sim, 4)
    sim.call("theirs", client="bob")
    assert sim.flight(0) == ["c0", "c1"]
    sim.give(0, seconds=1.0)
    assert sim.flight(0) == ["c1", "theirs"]


def test_what_grew_from_the_first_goes_before_what_has_not_begun(sim):
    sim.engines(1).call("x").call("a1", "a2", "b1", "b2").call("a", inputs=("a1", "a2")).call(
        "b", inputs=("b1", "b2")
    )
    while sim.flight(0):
        sim.give(0, seconds=1.0)
    order = [run.task for _, _, run in sim.world.sent]
    assert order.index("a") < order.index("b2") < order.index("b")


def test_one_that_was_cancelled_does_not_follow_and_what_it_needed_may_be_forgotten(sim):
    sim.engines(1).call("before", "x", "y", timeout=5.0)
    sim.call("sum", inputs=("x", "y")).cancel("sum", "y").release("sum", "y")
    sim.give(0).give(0)
    assert sim.scheduler.calls.keys() == {"before", "x"}


def test_an_input_that_is_lost_under_what_was_sent_ahead_is_missed_when_the_others_come(sim):
    fast(sim.engines(1)).call("a", repeatable=False).call("b").call("c", inputs=("a", "b"))
    assert sim.flight(0) == ["a", "b", "c"]
    sim.give(0, "a", kept=False).lose(0).ready(0).give(0, "b").forget()
    assert error_of(sim, "c")[0] == "EngineLost"
    assert sim.flight(0) == []
