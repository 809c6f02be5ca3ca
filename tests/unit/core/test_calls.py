"""The rules of the scheduler as stories of calls: who runs what, how many ahead, and how it ends."""

from __future__ import annotations

import re

import pytest

from nbcluster.core.effects import (
    ClearTimer,
    ForgetPayloads,
    ForgetValues,
    RunCalls,
    RunCell,
    SetTimer,
    StartEngine,
    StopCalls,
    StopEngine,
    TakeBackCalls,
    TellCallsBegun,
    TellCallsDone,
    TellDone,
    TellEngines,
    TellRefused,
    TellStarted,
)
from nbcluster.core.explain import explain
from nbcluster.core.inputs import (
    CallOrder,
    CallReturn,
    CallsAnswered,
    CallsGivenBack,
    CallsHaveBegun,
    CancelOwned,
    Remove,
    Restart,
    SubmitCallOrders,
)
from nbcluster.errors import BY_NAME
from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.messages import KernelSpecRef
from nbcluster.protocol.outcomes import EngineGone, OutOfTime, Returned, Threw, Withdrawn
from nbcluster.protocol.tasks import CallRef
from nbcluster.testing.simulation import Simulation

BOOM = Threw("ZeroDivisionError", "division by zero")
FAST = 1e-5
GONE = Withdrawn("interrupted")


@pytest.fixture
def sim():
    return Simulation()


def known(sim, seconds, function="f"):
    """Let every engine have learned how long a function takes."""
    return sim.call("known", function=function).give(0, seconds=seconds).release("known").forget()


def ran(sim):
    """The calls in the order in which they were sent."""
    return [run.task for _, _, run in sim.world.sent]


# -- the straight path ------------------------------------------------------------------------


def test_a_call_runs_is_told_and_is_forgotten_when_its_future_is_dropped(sim):
    sim.engines(1).call("a").expect(RunCalls, engine=0).and_nothing_else()
    sim.give(0).expect(TellCallsDone, client="ann").expect(ForgetPayloads, tasks=("a",)).and_nothing_else()
    assert sim.world.outcomes == {"a": Returned(8)}
    sim.release("a").expect(ForgetValues, tasks=("a",)).and_nothing_else()
    assert not sim.scheduler.calls


def test_a_batch_is_one_effect_for_each_engine_and_for_each_client(sim):
    known(sim.engines(2), FAST)
    sim.call(*(f"a{n}" for n in range(100))).expect(RunCalls, engine=0).expect(RunCalls, engine=1)
    sim.and_nothing_else()
    assert len(sim.flight(0)) == len(sim.flight(1)) == 50
    sim.call("b", client="bob").forget()
    sim.give(0, *sim.flight(0)).expect(TellCallsDone, client="ann").expect(TellCallsDone, client="bob")
    sim.expect(ForgetPayloads).and_nothing_else()


def test_counts_are_of_both_kinds(sim):
    sim.engines(2).call("a", "b", "c", "d", "e").submit("cell", "0")
    assert (sim.scheduler.running, sim.scheduler.queued) == (2, 4)
    assert sim.scheduler.doing(0) == "f"
    sim.drain()
    assert (sim.scheduler.running, sim.scheduler.queued) == (0, 0)
    assert sim.scheduler.doing(0) is None


def test_a_dropped_future_does_not_end_its_task(sim):
    sim.engines(1).call("a").release("a")
    assert list(sim.scheduler.calls) == ["a"]
    sim.give(0)
    assert sim.world.outcomes["a"] == Returned(8)
    assert not sim.scheduler.calls


@pytest.mark.parametrize("again", [("a",), ("b", "b"), ("cell.0",)])
def test_ids_must_be_new(sim, again):
    sim.engines(1).call("a").submit("cell").forget()
    orders = tuple(CallOrder(name, CallOptions(), "f") for name in again)
    sim.step(SubmitCallOrders("ann", orders))
    sim.expect(TellRefused, error="UsageError").and_nothing_else()
    assert len(sim.scheduler.calls) == 1


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"targets": "7"}, "UnknownTarget", "no engine 7"),
        ({"targets": "gpuu"}, "UnknownTarget", "did you mean 'gpu'"),
        ({"targets": "0 1"}, "UsageError", "commas"),
        ({"targets": "bash"}, "NoEngines", "there are engine 0 .python, idle, gpu, gpu=1."),
        ({"resources": {"gpu": 2.0}}, "NoEngines", "'f', which asks for gpu=2; there are engine 0"),
        ({"resources": {"gpu": -1.0}}, "UsageError", "0 or more"),
        ({"timeout": 0.0}, "UsageError", "above 0"),
        ({"timeout": float("nan")}, "UsageError", "above 0"),
        ({"retries": -1}, "UsageError", "-1 retries"),
        ({"targets": "1", "pinned": True}, "NotSupported", "engine 1 .bash. cannot run functions"),
        ({"targets": "0,", "pinned": True}, None, ""),
        ({"targets": "all", "pinned": True}, "UsageError", "is about one engine"),
    ],
)
def test_a_call_that_cannot_be_ends_at_once_and_the_others_run(sim, options, error, says):
    sim.engines(1, tags=["gpu"], resources={"gpu": 1.0}).engines(1, "bash")
    orders = [CallOrder("a", CallOptions(label="f", **options), "f"), CallOrder("b", CallOptions(), "f")]
    sim.submit_calls(*orders)
    assert "b" in sim.flight(0)
    if error is None:
        assert "a" in sim.flight(0)
        return
    assert sim.world.outcomes["a"].error == error
    assert error in BY_NAME
    assert re.search(says, sim.world.outcomes["a"].message)


# -- order and fairness -----------------------------------------------------------------------


def test_higher_priority_goes_first_and_then_age(sim):
    sim.engines(1).call("x", "y")
    sim.call("low", priority=-1).call("a", "b").call("high", priority=5)
    sim.drain()
    assert ran(sim) == ["x", "y", "high", "a", "b", "low"]


def test_two_clients_share(sim):
    sim.engines(1).call(*(f"a{n}" for n in range(8))).call("b0", "b1", "b2", client="bob")
    sim.drain()
    assert ran(sim)[2:8] == ["a2", "b0", "a3", "b1", "a4", "b2"]


def test_clients_share_over_kinds_of_calls(sim):
    sim.engines(1, tags=["gpu"]).call(*(f"a{n}" for n in range(6)))
    sim.call("b0", "b1", client="bob", targets="gpu").drain()
    assert ran(sim)[2:6] == ["a2", "b0", "a3", "b1"]


def test_calls_go_where_least_waits_and_then_to_the_lowest_number(sim):
    sim.engines(3).call("a", "b", "c", "d")
    assert [sim.flight(n) for n in range(3)] == [["a", "d"], ["b"], ["c"]]
    sim.give(1, seconds=10.0).call("e", "f")  # others of its function are now expected to take as long
    assert [sim.flight(n) for n in range(3)] == [["a", "d"], ["e", "f"], ["c"]]


def test_targets_and_resources_restrict(sim):
    sim.engines(1).engines(1, tags=["gpu"], resources={"gpu": 1.0}).engines(1, "bash")
    sim.call("a", targets="gpu").call("b", resources={"gpu": 1.0}).call("c", targets="1").call("d")
    assert sim.flight(1) == ["a", "b"]
    assert sim.flight(0) == ["d"]
    sim.drain()
    assert {run.task: engine for engine, _, run in sim.world.sent} == {"a": 1, "b": 1, "c": 1, "d": 0}


def test_a_position_means_the_engine_that_it_meant_at_submission(sim):
    sim.engines(2).call("x", "y", "z", "zz", targets="-1").engines(1).drain()
    assert {engine for engine, _, _ in sim.world.sent} == {1}


def test_a_call_goes_where_its_inputs_lie(sim):
    sim.engines(2).call("x", "y").give(1, "y", kept=False).give(0, "x")
    sim.call("z", inputs=("y",))
    assert sim.flight(1) == ["z"]
    assert sim.world.sent[-1][2].inputs[0].engine == 1


def test_new_engines_take_what_waits(sim):
    sim.engines(1).call("a", "b", "c", "d").engines(1)
    assert sim.flight(1) == ["c", "d"]


# -- prefetch and taking back -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "ahead"), [(10.0, 2), (0.03, 2), (0.02, 3), (0.001, 50), (1e-4, 500), (1e-6, 1000)]
)
def test_so_many_are_sent_ahead(sim, seconds, ahead):
    known(sim.engines(1), seconds)
    sim.call(*(f"a{n}" for n in range(1200)))
    assert abs(len(sim.flight(0)) - ahead) <= 1
    assert len(sim.flight(0)) <= 1000


def test_the_later_half_is_taken_back_and_runs_elsewhere(sim):
    known(sim.engines(2), 0.004)
    sim.call(*(f"a{n}" for n in range(10)), targets="0,1")
    first, second = sim.forget().flight(0), sim.flight(1)
    assert (len(first), len(second)) == (5, 5)
    sim.give(1, *second, seconds=0.004).expect(TellCallsDone).expect(ForgetPayloads)
    sim.expect(
        TakeBackCalls, engine=0, calls=tuple(CallRef(name, 1) for name in first[3:])
    ).and_nothing_else()
    sim.give_back(0).expect(RunCalls, engine=1).and_nothing_else()
    assert sim.flight(1) == first[3:]
    assert [run.attempt for _, _, run in sim.world.sent[-2:]] == [2, 2]


def test_what_has_begun_meanwhile_goes_on_where_it_is(sim):
    known(sim.engines(2), 0.004)
    sim.call(*(f"a{n}" for n in range(10)))
    first = sim.flight(0)
    sim.give(1, *sim.flight(1), seconds=0.004).give_back(0, but=2)
    assert sim.flight(0) == first
    sim.drain()
    assert len(ran(sim)) == 11


def test_an_engine_that_was_given_nothing_looks_for_others(sim):
    known(sim.engines(3), 0.004)
    sim.call(*(f"a{n}" for n in range(30)))
    sim.give(2, *sim.flight(2), seconds=0.004).forget()
    assert sim.processes[0].calls.is_asked_to_give
    sim.give_back(0, but=1000).expect(TakeBackCalls).and_nothing_else()


def test_what_takes_no_time_is_not_taken_back(sim):
    known(sim.engines(2), 1e-4)
    sim.call(*(f"a{n}" for n in range(10))).forget()
    sim.give(1, *sim.flight(1), seconds=1e-4).expect(TellCallsDone).expect(ForgetPayloads).and_nothing_else()


def test_what_waits_behind_a_call_that_takes_long_is_shared_with_an_idle_engine(sim):
    known(sim.engines(2), 1e-4)
    sim.call(*(f"a{n}" for n in range(10)))
    sim.give(1, *sim.flight(1), seconds=1e-4).forget()
    behind = tuple(CallRef(name, 1) for name in sim.flight(0)[3:])
    sim.begin(0).expect(TellCallsBegun, client="ann", engine=0)
    sim.expect(TakeBackCalls, engine=0, calls=behind).and_nothing_else()
    assert sim.scheduler.calls["a0"].begun


def test_calls_are_not_taken_for_an_engine_that_may_not_run_them(sim):
    sim.engines(2).call("a", "b", targets="0").call("c", targets="1").forget()
    sim.give(1).expect(TellCallsDone).expect(ForgetPayloads).and_nothing_else()


def test_a_call_begins_once_and_only_in_its_present_attempt(sim):
    sim.engines(1).call("a").begin(0).forget()
    sim.begin(0).and_nothing_else()
    sim.step(CallsHaveBegun(0, sim.scheduler.engines[0].incarnation, (CallRef("a", 2), CallRef("x", 1))))
    sim.step(CallsHaveBegun(0, 99, (CallRef("a", 1),)))
    sim.and_nothing_else()


# -- beside cells -----------------------------------------------------------------------------


def test_a_cell_waits_for_what_runs_and_has_the_rest_taken_back(sim):
    sim.engines(1).call("a", "b", "c").forget()
    sim.submit("cell").forget()
    assert sim.processes[0].calls.recalled == {"a": 1, "b": 1}
    sim.give_back(0, but=1).and_nothing_else()
    sim.give(0).expect(TellCallsDone).expect(ForgetPayloads)
    sim.expect(TellStarted, task="cell.0").expect(RunCell).and_nothing_else()
    sim.answer(0).expect(TellDone).expect(RunCalls, engine=0).and_nothing_else()
    assert sim.flight(0) == ["b", "c"]


def test_no_call_is_sent_behind_a_cell(sim):
    sim.engines(1).submit("cell").forget()
    sim.call("a").call("p", targets="0", pinned=True).and_nothing_else()
    sim.answer(0)
    assert sim.flight(0) == ["p", "a"]


def test_pinned_calls_and_cells_go_in_the_order_of_submission(sim):
    sim.engines(1).submit("one").call("p", targets="0", pinned=True).submit("two")
    sim.call("q", targets="0", pinned=True).call("urgent", targets="0", pinned=True, priority=1)
    sim.answer(0)
    assert sim.flight(0) == ["urgent", "p"]
    sim.give(0).give(0)
    assert sim.processes[0].run.task == "two.0"
    sim.answer(0)
    assert sim.flight(0) == ["q"]


def test_pinned_calls_do_not_move(sim):
    sim.engines(2).call("p", "q", targets="0", pinned=True).call("x", targets="1").forget()
    sim.give(1).expect(TellCallsDone).expect(ForgetPayloads).and_nothing_else()
    sim.submit("cell", "0").forget()
    assert not sim.processes[0].calls.recalled


def test_a_cell_for_any_engine_is_not_kept_waiting_by_calls(sim):
    sim.engines(2).call(*(f"a{n}" for n in range(20)))
    sim.submit("cell", "any").give_back(0, but=1).give_back(1, but=1).give(1, seconds=1.0).forget()
    assert sim.processes[1].run.task == "cell.0"
    assert len(sim.flight(0)) == 2


# -- inputs -----------------------------------------------------------------------------------


def test_a_call_waits_for_its_inputs_and_for_those_that_come_first(sim):
    sim.engines(1).call("a", "b").call("c", inputs=("a", "a"), after=("b",)).forget()
    assert explain(sim.scheduler, "c") == "'f' waits for 'f' (a, running), 'f' (b, running)"
    sim.give(0, "b").give(0, "a")
    assert sim.flight(0) == ["c"]
    assert [place.task for place in sim.world.sent[-1][2].inputs] == ["a", "a"]


def test_a_failure_fails_all_that_need_it(sim):
    sim.engines(1).call("a").call("b", inputs=("a",)).call("c", after=("b",)).call("d")
    sim.give(0, outcome=BOOM)
    for name in ("b", "c"):
        assert sim.world.outcomes[name].error == "DependencyFailed"
        assert sim.world.outcomes[name].cause == "a"
    assert "'f' needed 'f' (a), which raised ZeroDivisionError" in sim.world.outcomes["b"].message
    sim.call("e", inputs=("c",))
    assert sim.world.outcomes["e"].cause == "a"
    assert "d" not in sim.world.outcomes


def test_a_long_chain_fails_without_end_of_the_stack(sim):
    sim.engines(1).call("c0")
    orders = [CallOrder(f"c{n}", CallOptions(), "f", 0, (f"c{n - 1}",)) for n in range(1, 3000)]
    sim.scheduler.step(SubmitCallOrders("ann", tuple(orders)))
    life = sim.scheduler.engines[0].incarnation
    effects = sim.scheduler.step(CallsAnswered(0, life, (CallReturn("c0", 1, BOOM),)))
    assert [
        call.task for effect in effects if isinstance(effect, TellCallsDone) for call in effect.calls
    ] == ["c0"]
    effects = sim.scheduler.step(CallsGivenBack(0, life, (CallRef("c1", 1),)))
    (told,) = [effect for effect in effects if isinstance(effect, TellCallsDone)]
    assert len(told.calls) == 2999
    assert told.calls[-1].outcome.message == (
        "'a call' needed 'a call' (c2998), which did not run because 'f' (c0) raised ZeroDivisionError: "
        "division by zero"
    )


def test_unknown_and_released_inputs_are_refused(sim):
    sim.engines(1).call("a").give(0).release("a").call("b", inputs=("a",)).call("c", after=("never",))
    for name in ("b", "c"):
        assert sim.world.outcomes[name].error == "ValueReleased"


def test_a_value_stays_while_a_call_that_needs_it_has_not_ended(sim):
    sim.engines(1).call("a").give(0, kept=False).call("b", inputs=("a",)).forget()
    sim.release("a").and_nothing_else()
    sim.give(0, "b")
    assert not sim.processes[0].calls.values
    assert list(sim.scheduler.calls) == ["b"]


def test_a_value_that_its_engine_took_along_is_missed(sim):
    sim.engines(2).call("a", repeatable=False).give(0, kept=False).call("x", "y", "z")
    sim.call("b", inputs=("a",), targets="1", after=("x",)).forget()
    sim.lose(0)
    assert sim.world.outcomes["b"].error == "EngineLost"
    assert "was lost with engine 0: engine 0 was killed by SIGKILL" in sim.world.outcomes["b"].message
    sim.call("c", inputs=("a",), after=("y",))
    assert sim.world.outcomes["c"].error == "EngineLost"
    assert "its value was lost" in explain(sim.scheduler, "a")


def test_a_call_that_ran_beside_its_lost_input_is_not_sent_elsewhere(sim):
    sim.engines(2).call("a", repeatable=False).give(0, kept=False).call("b", inputs=("a",)).lose(0)
    assert sim.world.outcomes["b"].error == "EngineLost"


def test_a_value_that_the_controller_has_outlives_its_engine(sim):
    sim.engines(1).call("a").give(0, kept=True).lose(0).ready(0).call("b", inputs=("a",))
    assert sim.flight(0) == ["b"]


# -- holding ----------------------------------------------------------------------------------


def test_a_key_holds_a_value_until_it_is_used_again(sim):
    sim.engines(1).call("a", key="train").give(0).release("a").leave("ann", goodbye=True).forget()
    assert sim.scheduler.keys == {"train": "a"}
    assert explain(sim.scheduler, "train") == "'f' has returned; it ran on engine 0"
    sim.call("b", key="train", client="bob").expect(RunCalls).expect(ForgetValues, tasks=("a",))
    sim.and_nothing_else()
    assert sim.scheduler.keys == {"train": "b"}


def test_who_says_goodbye_holds_nothing_and_who_vanishes_holds_all(sim):
    sim.engines(1).call("a", client="bob").give(0).call("b").give(0).leave("bob").leave("ann", goodbye=True)
    assert list(sim.scheduler.calls) == ["a"]


def test_another_client_cannot_let_go(sim):
    sim.engines(1).call("a").give(0).release("a", client="bob")
    assert "a" in sim.scheduler.calls


# -- own exceptions ---------------------------------------------------------------------------


def test_a_call_runs_again_after_its_own_exception_as_often_as_asked(sim):
    sim.engines(1).call("a", retries=2)
    sim.give(0, outcome=BOOM).give(0, outcome=BOOM)
    assert explain(sim.scheduler, "a").endswith("; attempt 3, because it raised 2 times")
    assert not sim.world.outcomes
    sim.give(0, outcome=BOOM)
    assert sim.world.outcomes["a"] == BOOM


def test_what_is_kept_of_an_exception_is_short(sim):
    sim.engines(1).call("a").give(0, outcome=Threw("E", "x" * 5000, ("t" * 5000,), b"p" * 5000))
    assert sim.scheduler.calls["a"].outcome == Threw("E", "x" * 300)
    assert len(sim.world.outcomes["a"].exception) == 5000


# -- engines that end -------------------------------------------------------------------------


def test_a_lost_engines_calls_run_elsewhere(sim):
    sim.engines(2).call("a", "b", "c", "d")
    assert (sim.flight(0), sim.flight(1)) == (["a", "c"], ["b", "d"])
    sim.lose(0)
    assert not sim.world.outcomes
    sim.drain()
    assert sim.world.outcomes == dict.fromkeys("abcd", Returned(8))


def test_pinned_and_not_repeatable_calls_end_with_their_engine(sim):
    sim.engines(2).call("a", targets="0", repeatable=False).call("p", targets="0", pinned=True)
    sim.call("q", "r", targets="0", pinned=True)
    sim.lose(0).ready(0)
    for name in ("a", "p"):
        assert isinstance(sim.world.outcomes[name], EngineGone)
        assert "engine 0 was killed by SIGKILL" in sim.world.outcomes[name].reason
    assert sim.flight(0) == ["q", "r"]


def test_only_the_first_in_flight_is_suspected_and_three_losses_end_it(sim):
    sim.engines(1).call("bad", "good")
    for _ in range(2):
        sim.lose(0).ready(0)
    assert len(sim.scheduler.calls["bad"].losses) == 2
    assert "because engine 0 was killed by SIGKILL and" in explain(sim.scheduler, "bad")
    sim.lose(0, "exited with code 1")
    story = sim.world.outcomes["bad"].reason
    assert story.startswith("'f' took down 3 engines: engine 0 was killed by SIGKILL; ")
    assert story.endswith("engine 0 exited with code 1")
    assert sim.scheduler.calls["good"].losses == ()
    sim.ready(0).drain()
    assert sim.world.outcomes["good"] == Returned(8)


def test_a_restart_that_was_asked_for_blames_nobody(sim):
    sim.engines(2).call("a", "b").step(Restart((0,), "restarted by %cluster restart"))
    assert sim.scheduler.calls["a"].losses == ()
    assert "a" in sim.flight(1)


def test_an_answer_of_a_former_life_or_attempt_counts_for_nothing(sim):
    sim.engines(1).call("a")
    ((_, life, old),) = sim.world.sent
    sim.lose(0).ready(0).forget()
    sim.give_to(0, life, [old], Returned(8)).and_nothing_else()
    sim.give_to(0, life + 1, [old], Returned(8)).and_nothing_else()
    sim.give_to(0, life, [sim.world.sent[-1][2]], Returned(8)).and_nothing_else()
    sim.give(0).expect(TellCallsDone).expect(ForgetPayloads).and_nothing_else()


def test_calls_wait_for_engines_that_are_coming_and_end_when_none_is_left(sim):
    sim.engines(1).call("a", "b", "c").lose(0).forget()
    assert explain(sim.scheduler, "c") == (
        "'f' waits for any engine that can run functions: 0 at work and 1 not up, 2 tasks before it"
    )
    sim.step(Remove((0,)))
    sim.expect(TellEngines).expect(StopEngine).expect(TellCallsDone).expect(ForgetPayloads).and_nothing_else()
    assert {outcome.error for outcome in sim.world.outcomes.values()} == {"NoEngines"}


def test_pinned_calls_end_with_their_removed_or_failed_engine_or_one_that_cannot_call(sim):
    sim.engines(2).submit("cell", "0").call("p", targets="0", pinned=True)
    sim.call("w", targets="0", pinned=True, after=("p",)).step(Remove((0,)))
    assert isinstance(sim.world.outcomes["p"], EngineGone)
    sim.lose(1).call("q", targets="1", pinned=True).call("x", after=("q",))
    sim.processes[1].spec = KernelSpecRef("bash")
    sim.ready(1)
    assert sim.world.outcomes["q"].error == "NotSupported"
    assert sim.world.outcomes["x"].error == "DependencyFailed"


# -- cancelling and time ----------------------------------------------------------------------


def test_what_waits_is_withdrawn_at_once(sim):
    sim.engines(1).call("a", "b", "c").call("d", inputs=("c",)).forget()
    sim.cancel("c").expect(TellCallsDone).expect(ForgetPayloads).and_nothing_else()
    assert sim.world.outcomes["c"] == Withdrawn("cancelled by its owner")
    assert sim.world.outcomes["d"].cause == "c"


@pytest.mark.parametrize(
    ("answer", "told"),
    [(GONE, Withdrawn("cancelled by its owner")), (Returned(8), Returned(8)), (BOOM, BOOM)],
)
def test_what_was_sent_ends_when_its_engine_says_so(sim, answer, told):
    sim.engines(1).call("a", "b", retries=3).forget()
    sim.cancel("a", "b").expect(StopCalls, calls=(CallRef("a", 1), CallRef("b", 1))).expect(SetTimer)
    sim.and_nothing_else()
    sim.give(0, "a", "b", outcome=answer)
    assert sim.world.outcomes == {"a": told, "b": told}
    sim.wait(100.0)
    assert not sim.scheduler.ledger.call_timers


def test_a_call_that_is_given_back_while_it_is_to_stop_has_stopped(sim):
    sim.engines(1).call("a", "b").submit("cell").cancel("b").give_back(0, but=1)
    assert isinstance(sim.world.outcomes["b"], Withdrawn)


def test_a_call_that_does_not_end_is_given_up_and_others_run_elsewhere(sim):
    sim.engines(1).call("a", "b", "c").cancel("a").wait(5.0)
    assert "engine 0 is still stuck in it" in sim.world.outcomes["a"].reason
    assert "given up" in sim.scheduler.engines[0].note
    assert "%cluster restart 0" in explain(sim.scheduler, "a")
    sim.give_back(0).engines(1)
    assert sim.flight(0) == ["a"]
    assert sim.flight(1) == ["b", "c"]
    sim.give(0, "a", outcome=GONE)
    assert sim.scheduler.engines[0].note == ""
    sim.call("d")
    assert sim.flight(0) == ["d"]


def test_force_restarts_an_engine_that_does_not_let_go(sim):
    sim.engines(1).call("a", "b").cancel("a", force=True).forget()
    sim.wait(5.0).expect(StopEngine).expect(TellCallsDone).expect(ForgetPayloads).and_nothing_else()
    assert isinstance(sim.world.outcomes["a"], Withdrawn)
    sim.lose(0).expect(StartEngine).and_nothing_else()
    sim.ready(0)
    assert sim.flight(0) == ["b"]
    assert sim.scheduler.calls["b"].losses == ()


def test_force_on_a_given_up_call_restarts_at_once(sim):
    sim.engines(1).call("a").cancel("a").wait(5.0).forget()
    sim.cancel("a").expect(StopCalls).and_nothing_else()
    sim.cancel("a", force=True).expect(StopEngine).and_nothing_else()


def test_an_engine_that_is_restarted_is_not_asked_to_stop_calls_any_more(sim):
    sim.engines(1).call("a", "b").cancel("a").wait(5.0).forget()
    sim.cancel("b", "a", force=True).expect(StopEngine).expect(SetTimer)
    sim.expect(TellCallsDone).expect(ForgetPayloads).and_nothing_else()


def test_all_of_a_client_are_cancelled_and_no_others(sim):
    sim.engines(1).call("a", "b", "c").call("d", client="bob").submit("cell").forget()
    sim.step(CancelOwned("ann", "cancelled by %cluster cancel"))
    assert set(sim.world.outcomes) == {"c"}
    assert sim.processes[0].calls.stops == {"a", "b"}
    assert set(sim.outcomes) == {"cell.0"}


def test_a_call_with_a_time_limit_is_alone_on_its_engine(sim):
    sim.engines(1).call("a").call("t", timeout=3.0).call("b")
    assert sim.flight(0) == ["a"]
    sim.give(0).expect(SetTimer, timer="timeout/t/1", seconds=3.0)
    assert sim.flight(0) == ["t"]
    sim.forget().give(0).expect(ClearTimer, timer="timeout/t/1")
    assert sim.flight(0) == ["b"]


def test_no_pinned_call_is_sent_behind_one_with_a_time_limit_nor_such_a_one_behind_others(sim):
    sim.engines(1).call("t", timeout=3.0).call("p", targets="0", pinned=True)
    assert sim.flight(0) == ["t"]
    sim.give(0).call("limited", targets="0", pinned=True, timeout=3.0)
    assert sim.flight(0) == ["p"]
    sim.give(0)
    assert sim.flight(0) == ["limited"]


def test_a_call_out_of_time_is_stopped_and_then_given_up(sim):
    sim.engines(1).call("a", timeout=3.0).wait(2.9).forget()
    sim.wait(0.1).expect(StopCalls, calls=(CallRef("a", 1),)).expect(SetTimer, seconds=5.0).and_nothing_else()
    sim.wait(5.0)
    assert sim.world.outcomes["a"].seconds == 3.0
    assert "still stuck" in sim.world.outcomes["a"].note


@pytest.mark.parametrize("answer", [GONE, BOOM])
def test_a_call_out_of_time_that_stops_is_out_of_time(sim, answer):
    sim.engines(1).call("a", timeout=3.0, retries=1).wait(3.0).give(0, outcome=answer)
    assert isinstance(sim.world.outcomes["a"], OutOfTime)


def test_calls_with_a_time_limit_are_not_kept_waiting_by_others(sim):
    sim.engines(2).call(*(f"a{n}" for n in range(6))).call("t", timeout=3.0)
    sim.call(*(f"b{n}" for n in range(6))).drain()
    order = ran(sim)
    assert order.index("t") < order.index("b0")


def test_when_it_is_withdrawn_those_that_made_room_for_it_go_on(sim):
    sim.engines(1).call("a", "b").call("t", timeout=3.0).call("c", "d").give(0, seconds=1.0)
    assert sim.flight(0) == ["b"]
    sim.cancel("t")
    assert sim.flight(0) == ["b", "c"]


# -- many kinds -------------------------------------------------------------------------------


def test_kinds_that_nothing_waits_in_are_not_kept_and_come_back(sim):
    sim.engines(1, resources={"x": 1e6}).call("w", resources={"x": 0.5}, after=("never",))
    sim.call("first").call("late", resources={"x": 0.5}, after=("first",))
    for n in range(90):
        sim.call(f"c{n}", resources={"x": float(n)}).give(0, f"c{n}") if n else sim.give(0, "first")
    assert len(sim.scheduler.ledger.kinds) <= 66
    assert len(sim.scheduler.engines[0].kinds) == len(sim.scheduler.ledger.kinds)
    sim.drain()
    assert sim.world.outcomes["late"] == Returned(8)


def test_a_sentence_for_every_place(sim):
    sim.engines(1).call("a", "b", "c", "e", label="fit").call("d", label="fit", client="bob")
    says = lambda name: explain(sim.scheduler, name)  # noqa: E731
    assert says("a") == "'fit' was sent to engine 0 and is the first there"
    assert says("b") == "'fit' was sent to engine 0 behind 1 task"
    assert says("e") == (
        "'fit' waits for any engine that can run functions: 1 at work, 1 task before it, "
        "sharing them with 1 task of other clients"
    )
    sim.begin(0)
    assert says("a") == "'fit' runs on engine 0"
    sim.cancel("a")
    assert says("a").startswith("'fit' was interrupted on engine 0 because it was cancelled")
    sim.give(0, "a", outcome=GONE)
    assert says("a") == "'fit' was cancelled: cancelled by its owner"
    sim.submit("cell").call("p", targets="0", pinned=True, label="push")
    assert says("p") == "'push' waits for engine 0, which runs 'fit', with 1 task before it"


def test_what_has_ended_says_where_it_ran_and_how_long(sim):
    sim.engines(1).call("a", "b", "c")
    says = lambda name: explain(sim.scheduler, name)  # noqa: E731
    sim.give(0, "a", seconds=0.25)
    assert says("a") == "'f' has returned; it ran on engine 0 for 250 ms"
    sim.give(0, "b", outcome=Threw("ValueError", "no"), seconds=2.5)
    assert says("b") == "'f' raised ValueError: no; it ran on engine 0 for 2.5 s"
    sim.cancel("c").give(0, "c", outcome=GONE)
    assert says("c") == "'f' was cancelled: cancelled by its owner"
    sim.call("d", retries=1).give(0, "d", outcome=Threw("ValueError", "no"), seconds=9.0)
    sim.cancel("d").give(0, "d", outcome=GONE)
    assert "9 s" not in says("d")


def test_a_value_that_is_held_does_not_remember_who_took_it(sim):
    sim.engines(1).call("x").give(0, seconds=FAST)
    source = sim.scheduler.calls["x"]
    for n in range(200):
        sim.call(f"f{n}", inputs=("x",))
        if n % 10:  # some are always under way, so that the value is needed throughout
            sim.give(0, f"f{n}", seconds=FAST).release(f"f{n}")
    assert source.needed == 20
    assert len(source.takers) <= 2 * 20 + 17
    sim.give(0, *sim.flight(0), seconds=FAST)
    assert (source.needed, source.takers) == (0, None)


def test_a_value_that_is_named_twice_is_waited_for_once_and_let_go_once(sim):
    sim.engines(1).call("x")
    sim.call("f", inputs=("x", "x"))
    call = sim.scheduler.calls["f"]
    assert (call.missing, call.sources[0].needed) == (1, 2)
    sim.release("x").give(0, "x", seconds=FAST)
    assert (call.missing, "x" in sim.scheduler.calls) == (0, True)
    sim.give(0, "f", seconds=FAST)
    assert "x" not in sim.scheduler.calls
    assert (call.sources, sim.scheduler.queued) == ((), 0)


def test_when_the_first_of_a_function_has_ended_what_others_take_is_no_guess_any_more(sim):
    sim.engines(2).call(*(f"a{n}" for n in range(40)))
    assert [len(sim.flight(n)) for n in (0, 1)] == [2, 2]
    sim.give(0, seconds=FAST)
    assert [len(sim.flight(n)) for n in (0, 1)] == [20, 19], "all engines share what is ready, not one has it"
    assert abs(sim.scheduler.engines[1].load - 19 * FAST) < 1e-9
    assert not sim.scheduler.ledger.guessed


def test_what_nobody_knows_is_forgotten_with_the_calls_that_were_expected_to_take_it(sim):
    sim.engines(1).call("a").call("b", function="g")
    assert len(sim.scheduler.ledger.guessed) == 2
    sim.give(0, "b", outcome=GONE).lose(0)
    assert [list(calls) for calls in sim.scheduler.ledger.guessed.values()] == []
