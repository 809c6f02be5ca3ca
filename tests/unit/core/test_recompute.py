"""Values that are lost with an engine are made again, with all that they need, or it is said why not."""

from __future__ import annotations

import pytest

from nbcluster.core.effects import (
    DropValues,
    ForgetPayloads,
    ForgetValues,
    LoseValues,
    MakeAgain,
    TellCallsBegun,
    TellCallsDone,
    TellCallsRemade,
)
from nbcluster.core.explain import explain
from nbcluster.core.inputs import (
    CallOrder,
    CallReturn,
    CallsAnswered,
    CallsGivenBack,
    EngineDied,
    ReleaseCalls,
    SubmitCallOrders,
)
from nbcluster.core.recipes import OVERHEAD
from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.outcomes import EngineGone, Rejected, Returned, Threw
from nbcluster.protocol.tasks import CallRef
from nbcluster.testing.simulation import Simulation


@pytest.fixture
def sim():
    return Simulation()


def chain(sim, *names, keep="", release=True, **options):
    """Calls of which each takes the value of the one before; all lie on engine 0, and the last alone is held."""
    for before, name in zip(("", *names), names, strict=False):
        inputs = (before,) if before else ()
        sim.call(name, inputs=inputs, label=name, **options).give(0, name, kept=name in keep)
        if before and release:
            sim.release(before)
    return sim.forget()


def past(sim):
    return set(sim.scheduler.ledger.recipes.past)


def finish(sim, number=1):
    """Let an engine do all that it has, values staying there."""
    while sim.flight(number):
        sim.give(number, kept=False)
    return sim


def test_a_lost_value_is_made_again_with_all_that_it_grew_from(sim):
    chain(sim.engines(1), "a", "b", "c")
    assert past(sim) == {"a", "b"}
    assert explain(sim.scheduler, "c").endswith("its value lies on engine 0, and can be computed again")
    sim.lose(0).expect(MakeAgain).ready(0)
    assert explain(sim.scheduler, "c").startswith(
        "the value of 'c' was lost with engine 0: engine 0 was killed by SIGKILL; it is computed again: 'c' "
    )
    assert "had been let go" in explain(sim.scheduler, "a")
    finish(sim, 0)
    assert past(sim) == {"a", "b"}
    assert sim.processes[0].calls.values == {"c"}
    sim.expect(TellCallsRemade).release("c")
    assert not sim.scheduler.ledger.recipes.sizes
    assert not sim.world.recipes


def test_the_owner_is_told_once_and_who_waits_for_the_value_is_told_again(sim):
    chain(sim.engines(1), "a").lose(0).ready(0).forget().begin(0).give(0, kept=False)
    sim.expect(TellCallsRemade)
    assert not [effect for effect in sim.unseen if isinstance(effect, TellCallsDone | TellCallsBegun)]


def test_a_small_value_stays_in_the_place_of_a_recipe(sim):
    chain(sim.engines(1), "a", "b", "c", keep="b")
    assert past(sim) == {"b"}
    assert sim.world.known == {"b", "c"}
    sim.lose(0).ready(0)
    assert sim.flight(0) == ["c"]
    finish(sim, 0).release("c")
    assert not sim.world.known


def test_an_input_that_is_there_is_not_made_again(sim):
    sim.engines(2).call("x", targets="1").give(1, kept=False)
    sim.call("y", inputs=("x",), targets="0").give(0, kept=False).lose(0)
    assert explain(sim.scheduler, "x").endswith("and can be computed again")
    assert list(sim.scheduler.calls) == ["x", "y"]
    assert sim.scheduler.calls["x"].outcome is not None


@pytest.mark.parametrize("pinned", [False, True])
def test_who_waits_for_a_lost_value_waits_until_it_is_made_again(sim, pinned):
    chain(sim.engines(2), "a").call("busy", "more", function="slow", targets="1", pinned=True)
    sim.call("b", inputs=("a",), targets="1", pinned=pinned)
    assert sim.scheduler.calls["b"].queued
    sim.lose(0)
    assert explain(sim.scheduler, "b") == "'f' waits for 'a' (a, ready)"
    finish(sim)
    assert isinstance(sim.world.outcomes["b"], Returned)


def test_a_call_that_was_sent_without_the_lost_value_is_given_back_and_waits(sim):
    chain(sim.engines(2), "a").call("b", inputs=("a",), targets="1").lose(0)
    assert sim.flight(1) == ["b", "a"]
    refs = [CallRef(run.task, run.attempt) for run in sim.processes[1].calls.sent.values() if run.task == "b"]
    del sim.processes[1].calls.sent["b"]
    sim.step(CallsGivenBack(1, sim.processes[1].incarnation, tuple(refs)))
    finish(sim)
    assert isinstance(sim.world.outcomes["b"], Returned)


def test_one_that_has_the_lost_value_goes_on(sim):
    chain(sim.engines(2), "a").call("b", inputs=("a",), targets="1").lose(0).give(1, "b")
    assert isinstance(sim.world.outcomes["b"], Returned)


def test_a_value_that_nobody_needs_any_more_is_not_made_again(sim):
    chain(sim.engines(1), "a", "b").lose(0).release("b").ready(0)
    assert not sim.flight(0)
    assert not sim.scheduler.calls
    assert not sim.world.payloads


def test_nor_is_one_that_nobody_needs_by_the_time_that_its_engine_is_lost_again(sim):
    chain(sim.engines(1), "a").lose(0).ready(0)
    assert sim.flight(0) == ["a"]
    sim.release("a").lose(0)
    assert not sim.scheduler.calls
    assert not sim.ready(0).flight(0)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"repeatable": False}, "repeatable=False forbids that its call runs again"),
        (
            {"repeatable": False, "namespace": "exp1"},
            "calls in a named namespace (exp1) never run again unasked",
        ),
        ({"pinned": True, "targets": "0"}, "calls that are bound to one engine never run again unasked"),
    ],
)
def test_what_may_not_run_twice_is_lost_and_says_so(sim, options, why):
    chain(sim.engines(2), "a", **options)
    assert explain(sim.scheduler, "a").endswith(f"its value lies on engine 0, and is lost with it: {why}")
    sim.lose(0).expect(LoseValues)
    lost = f"was lost with engine 0: engine 0 was killed by SIGKILL, and is not computed again: {why}"
    assert sim.world.losses == {"a": f"the value of 'a' (a) {lost}"}
    sim.call("b", inputs=("a",))
    assert sim.world.outcomes["b"] == Rejected("EngineLost", f"the value of 'a' (a) {lost}", "a")


def test_what_grew_from_a_value_that_is_gone_for_good_is_lost_with_its_engine(sim):
    sim.engines(2).call("a", label="a", repeatable=False, targets="0").give(0, kept=False)
    sim.call("b", label="b", inputs=("a",), targets="1").give(1, kept=False)
    sim.call("c", label="c", inputs=("b",), targets="1").give(1, kept=False).release("a", "b")
    assert not sim.world.recipes
    assert not past(sim)
    sim.lose(1)
    assert sim.world.losses["c"].endswith(
        "it was made from 'a' (a), whose value was let go, and repeatable=False forbids that its call runs again"
    )


def test_recipes_end_with_the_value_that_they_could_not_make_again(sim):
    sim.engines(2).call("a", label="a", repeatable=False, targets="0").give(0, kept=False)
    sim.call("b", label="b", inputs=("a",), targets="1").give(1, kept=False).lose(0)
    assert "made from 'a' (a), whose value was lost with engine 0" in explain(sim.scheduler, "b")
    assert not sim.world.recipes


def test_the_oldest_recipes_are_let_go_beyond_the_bound_and_it_is_said():
    sim = Simulation(recipe_limit=2 * OVERHEAD).engines(2)
    chain(sim, "a", release=False).call("b", "c", label="f").give(0, kept=False)
    while sim.flight(0) or sim.flight(1):
        sim.give(0 if sim.flight(0) else 1, kept=False)
    assert len(sim.world.recipes) == 2
    assert "a" not in sim.world.recipes
    why = (
        "its recipe had been let go, because recipes take at most 0.004096 MB in all; a larger "
        "NBCLUSTER_RECIPE_LIMIT keeps more"
    )
    assert explain(sim.scheduler, "a").endswith(why)
    sim.lose(0)
    assert sim.world.losses["a"].endswith(why)


def test_when_the_recipe_of_a_past_call_goes_so_do_those_that_grew_from_it():
    sim = Simulation(recipe_limit=3 * OVERHEAD).engines(1)
    chain(sim, "a", "b", "c").call("d").give(0, kept=False)
    assert sim.world.recipes == {"d"}
    assert not past(sim)
    sim.lose(0)
    assert "made from 'a' (a), whose recipe had been let go, because" in sim.world.losses["c"]
    assert set(sim.world.losses) == {"c"}


def test_a_function_counts_once_however_many_recipes_need_it(sim):
    recipes = sim.engines(1).scheduler.ledger.recipes
    sim.call("a", "b")
    for name in ("a", "b"):
        sim.give(0, name, kept=False, recipe=100, function_bytes=5000)
    assert recipes.nbytes == 2 * (OVERHEAD + 100) + 5000
    sim.release("a", "b")
    assert recipes.nbytes == 0


def test_arguments_that_could_not_be_held_are_said(sim):
    sim.engines(1).call("a").give(0, kept=False, recipe=-1).lose(0)
    assert sim.world.losses["a"].endswith(
        "its arguments lay in shared memory and were not kept there, where the controller holds those of at most 256 "
        "calls; what cluster.put() sends once for many calls counts once"
    )


def test_what_fails_when_it_is_made_again_is_lost_with_the_story(sim):
    chain(sim.engines(2), "a").call("b", inputs=("a",)).lose(0)
    sim.give(1, "a", outcome=Threw("ValueError", "no file"))
    lost = (
        "its value was lost with engine 0: engine 0 was killed by SIGKILL; when it was to be computed again, "
        "it raised ValueError: no file"
    )
    assert sim.scheduler.calls["a"].outcome == EngineGone(lost)
    sim.call("c", label="c", inputs=("a",))
    assert sim.world.outcomes["c"].message == f"'c' needed 'a' (a), which was lost: {lost}"


def test_a_value_is_made_again_three_times_and_no_more(sim):
    chain(sim.engines(2), "a")
    for _ in range(3):
        number = sim.scheduler.calls["a"].engine
        sim.lose(number).ready(number)
        other = next(n for n in (0, 1) if sim.flight(n))
        sim.give(other, kept=False)
    sim.lose(sim.scheduler.calls["a"].engine)
    assert sim.world.losses["a"].endswith("it was made again 3 times before")


def test_a_long_chain_needs_no_deep_recursion(sim):
    names = [f"n{i}" for i in range(3000)]
    scheduler = sim.engines(2).scheduler
    life = scheduler.engines[0].incarnation
    for before, name in zip([None, *names], names, strict=False):
        inputs = (before,) if before else ()
        scheduler.step(SubmitCallOrders("ann", (CallOrder(name, CallOptions(targets="0"), "f", 1, inputs),)))
        returned = CallReturn(name, 1, Returned(10**6, home=False), 0.001, kept_here=False)
        scheduler.step(CallsAnswered(0, life, (returned,)))
        if before:
            scheduler.step(ReleaseCalls("ann", (before,)))
    assert len(scheduler.ledger.recipes.past) == 2999
    effects = scheduler.step(EngineDied(0, life, 0.0, "killed by SIGKILL"))
    assert len(next(effect for effect in effects if isinstance(effect, MakeAgain)).tasks) == 3000
    scheduler.step(ReleaseCalls("ann", (names[-1],)))
    assert not scheduler.calls
    assert not scheduler.ledger.recipes.nbytes


def test_intermediates_are_dropped_on_engines_as_soon_as_nobody_needs_them(sim):
    sim.engines(1).call("a").call("b", inputs=("a",)).call("c", inputs=("b",)).release("a", "b").forget()
    sim.give(0, "a", kept=False).give(0, "b", kept=False)
    sim.expect(DropValues, tasks=("a",)).expect(ForgetValues, tasks=("a",))
    assert not [effect for effect in sim.unseen if isinstance(effect, ForgetPayloads)]
    assert sim.processes[0].calls.values == {"b"}
    assert sim.flight(0) == ["c"]
    sim.give(0, "c").expect(ForgetPayloads)
    assert not sim.world.recipes
