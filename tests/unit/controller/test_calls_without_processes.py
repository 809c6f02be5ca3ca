"""Calls that are slow, large or late: what passes between client, controller and agent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from stage import NOTHING, Stage, answer, play  # type: ignore[import-not-found]  # beside this file: conftest

from nbcluster.controller import calls as calls_module
from nbcluster.controller import clients as clients_module
from nbcluster.controller.payloads import OVERHEAD
from nbcluster.ids import TaskId
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m
from nbcluster.protocol import tasks as t
from nbcluster.protocol.offers import Offer
from nbcluster.protocol.outcomes import EngineGone, Returned, Threw, Withdrawn


def test_calls_are_sent_in_one_message_with_their_function_once_and_end_in_one(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a")
        first = await stage.agent.next(t.RunCalls)
        assert first.functions == {"f": b"code"}
        stage.returned("a")
        assert [end.task for end in (await stage.client.next(c.CallsDone)).calls] == ["a"]
        stage.submit("b", "c")
        second = await stage.agent.next(t.RunCalls)
        assert ([call.task for call in second.calls], second.functions) == (["b", "c"], {})
        assert second.options == (t.RunOptions(label="fit"),)
        stage.returned("b", "c")
        done = await stage.client.next(c.CallsDone)
        assert [(end.task, end.payload, end.started, end.seconds) for end in done.calls] == [
            ("b", NOTHING, 1.0, 2.0),
            ("c", NOTHING, 1.0, 2.0),
        ]

    play(tmp_path, story)


def test_what_is_answered_in_one_round_of_the_loop_is_told_in_one_message(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a", "b")
        await stage.agent.next(t.RunCalls)
        stage.hears(answer("a"))
        stage.hears(answer("b"))
        done = await stage.client.next(c.CallsDone)
        assert [end.task for end in done.calls] == ["a", "b"]

    play(tmp_path, story)


def test_what_was_answered_before_an_engine_died_has_ended(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a", "b", pinned=True, targets="0")
        await stage.agent.next(t.RunCalls)
        stage.hears(answer("a"))
        stage.die()
        first, second = (await stage.client.next(c.CallsDone)).calls
        assert isinstance(first.outcome, Returned)
        assert isinstance(second.outcome, EngineGone)

    play(tmp_path, story)


def test_what_a_thread_prints_after_a_call_is_told_after_its_end(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("me-1")
        await stage.agent.next(t.RunCalls)
        stage.hears(answer("me-1"))
        stage.hears(t.Printed(TaskId("me-1"), 1, b"late"))
        await stage.held()
        told = [type(message) for message in stage.client.came]
        assert [kind for kind in told if kind in (c.CallsDone, c.CallOutput)] == [c.CallsDone, c.CallOutput]

    play(tmp_path, story)


def test_clients_wait_while_too_many_bytes_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "HELD_LIMIT", 2 * (OVERHEAD + 100))

    async def story(stage: Stage) -> None:
        stage.submit("a", "b", payload=b"x" * 100)
        assert (await stage.client.next(c.CallsAccepted)).count == 2
        stage.submit("c", payload=b"x" * 100)
        stage.submit("d", "e", payload=b"x" * 100)
        held = await stage.held()
        assert held == 5 * (OVERHEAD + 100) + len(b"code")
        assert not any(isinstance(message, c.CallsAccepted) for message in stage.client.came)
        stage.wire.send(m.CancelTasks((TaskId("a"), TaskId("b"))), msg_id="cancel")
        await stage.client.next(c.CallsDone)
        await stage.held()
        assert not any(isinstance(message, c.CallsAccepted) for message in stage.client.came)
        stage.wire.send(m.CancelTasks((TaskId("c"), TaskId("d"))), msg_id="cancel more")
        assert (await stage.client.next(c.CallsAccepted)).count == 1
        assert (await stage.client.next(c.CallsAccepted)).count == 2
        stage.wire.send(m.CancelAll(), msg_id="cancel all")
        await stage.client.next(c.CallsDone, lambda done: done.calls[0].task == "e")
        assert await stage.held() == len(b"code")

    play(tmp_path, story)


def test_a_client_that_does_not_read_is_sent_no_values_until_it_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients_module, "UNREAD_LIMIT", 500)

    async def story(stage: Stage) -> None:
        await stage.start()
        value = b"v" * 600
        stage.submit("a")
        await stage.agent.next(t.RunCalls)
        stage.returned("a", payload=value)
        [end] = (await stage.client.next(c.CallsDone)).calls
        assert end.payload == value
        stage.submit("b")
        await stage.agent.next(t.RunCalls)
        stage.returned("b", payload=value, output=b"much was printed")
        [end] = (await stage.client.next(c.CallsDone)).calls
        assert (end.payload, end.outcome) == (None, Returned(600, home=False))
        assert b"16 bytes of output were dropped" in end.output
        stage.wire.send(c.FetchValue(TaskId("b")), msg_id="fetch")
        await stage.held()
        assert not any(isinstance(message, c.ValueBytes) for message in stage.client.came)
        stage.wire.send(m.Beat(700), msg_id="beat")
        assert (await stage.client.next(c.ValueBytes)).payload == value

    play(tmp_path, story)


def test_what_a_failed_attempt_printed_is_shown_also_when_the_call_runs_again(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a", retries=1)
        await stage.agent.next(t.RunCalls)
        stage.say(
            t.CallsReturned(
                (t.CallResult(TaskId("a"), 1, Threw("ValueError", "no"), 1.0, 2.0, None, b"of the first"),)
            )
        )
        again = await stage.agent.next(t.RunCalls)
        assert again.calls[0].attempt == 2
        shown = await stage.client.next(c.CallOutput)
        assert (shown.task, shown.attempt, shown.output) == ("a", 1, b"of the first")
        stage.returned("a", attempt=2, output=b"of the second")
        [end] = (await stage.client.next(c.CallsDone)).calls
        assert (end.attempt, end.output) == (2, b"of the second")
        assert not any(isinstance(message, c.CallOutput) for message in stage.client.came)

    play(tmp_path, story)


def test_an_answer_that_comes_too_late_is_not_believed_and_its_value_dropped(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.returned("never sent", payload=None)
        assert (await stage.agent.next(t.DropValues)).tasks == ("never sent",)
        stage.submit("a")
        await stage.agent.next(t.RunCalls)
        stage.wire.send(m.CancelTasks((TaskId("a"),)), msg_id="cancel")
        assert (await stage.agent.next(t.StopCalls)).calls == (t.CallRef(TaskId("a"), 1),)
        stage.say(t.CallsReturned((t.CallResult(TaskId("a"), 1, Withdrawn("interrupted")),)))
        [end] = (await stage.client.next(c.CallsDone)).calls
        assert isinstance(end.outcome, Withdrawn)
        stage.returned("a", payload=NOTHING)
        await stage.held()
        assert not any(isinstance(message, c.CallsDone) for message in stage.client.came)

    play(tmp_path, story)


def test_a_value_is_fetched_from_its_engine_and_an_engine_is_told_what_is_missing(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a")
        await stage.agent.next(t.RunCalls)
        stage.wire.send(c.FetchValue(TaskId("a")), msg_id="early")  # before it has ended
        stage.returned("a", payload=None)
        asked = await stage.agent.next(t.SendValue)
        assert asked.task == "a"
        stage.say(t.ValueSent(asked.request, b"pickle"))
        assert (await stage.client.next(c.ValueBytes)).payload == b"pickle"
        stage.say(t.SendMe(TaskId("unheard of")))
        assert "not kept any more" in (await stage.agent.next(t.TakeValue)).missing
        stage.say(t.SendMe(TaskId("a")))
        asked = await stage.agent.next(t.SendValue)
        stage.say(t.ValueSent(asked.request, missing="gone"))
        assert (await stage.agent.next(t.TakeValue)).missing == "gone"
        stage.wire.send(c.ReleaseValues((TaskId("a"),)), msg_id="release")
        assert (await stage.agent.next(t.DropValues)).tasks == ("a",)

    play(tmp_path, story)


def test_an_offer_takes_the_place_of_a_value_for_who_can_fetch_it(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a")
        await stage.agent.next(t.RunCalls)
        stage.returned("a", payload=None)
        offer = Offer(TaskId("a"), "tcp://10.0.0.1:5000", b"\x00ticket\xff", (10, 1 << 40), True)
        stage.wire.send(c.FetchValue(TaskId("a"), direct=True), msg_id="fetch")
        asked = await stage.agent.next(t.SendValue)
        assert asked.direct
        stage.say(t.ValueSent(asked.request, offer=offer))
        assert (await stage.client.next(c.ValueBytes)).offer == offer
        stage.say(t.SendMe(TaskId("a"), direct=True))
        asked = await stage.agent.next(t.SendValue)
        assert asked.direct
        stage.say(t.ValueSent(asked.request, offer=offer))
        assert (await stage.agent.next(t.TakeValue)).offer == offer
        stage.say(t.SendMe(TaskId("a")))
        assert not (await stage.agent.next(t.SendValue)).direct

    play(tmp_path, story)


def test_output_of_a_call_that_is_over_still_finds_its_client(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.say(t.Printed(TaskId("me-1"), 1, b"late"))
        assert (await stage.client.next(c.CallOutput)).output == b"late"
        stage.say(t.Printed(TaskId("nobody-1"), 1, b"lost"))
        stage.say(t.Printed(TaskId("me-2"), 1, b"last"))
        assert (await stage.client.next(c.CallOutput)).output == b"last"

    play(tmp_path, story)


def test_an_agent_of_another_version_is_ended_with_that_reason(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.say(t.AgentHello(stage.process.incarnation, 7, "3.11.0", protocol=0))
        async with asyncio.timeout(10):
            while not stage.process.stopping:
                await asyncio.sleep(0.005)
        assert "version 0 of the protocol" in stage.process.tail(5)
        assert not stage.process.greeted.is_set()

    play(tmp_path, story)


def test_who_waits_for_a_value_when_its_engine_dies_gets_that_which_is_made_again(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a", payload=b"arguments")
        await stage.agent.next(t.RunCalls)
        stage.returned("a", payload=None)
        await stage.client.next(c.CallsDone)
        before = await stage.held()
        stage.wire.send(c.FetchValue(TaskId("a")), msg_id="fetch")
        await stage.agent.next(t.SendValue)  # it dies before it answers
        stage.die()
        await stage.start()
        [again] = (await stage.agent.next(t.RunCalls)).calls
        assert (again.task, again.attempt, again.payload) == ("a", 2, b"arguments")
        stage.say(t.SendMe(TaskId("a")))
        assert (await stage.agent.next(t.TakeValue)).lost
        stage.wire.send(c.FetchValue(TaskId("a")), msg_id="fetch too")
        stage.returned("a", attempt=2, payload=None, output=b"printed again")
        for _ in range(2):
            asked = await stage.agent.next(t.SendValue)
            stage.say(t.ValueSent(asked.request, b"pickle"))
            assert (await stage.client.next(c.ValueBytes)).payload == b"pickle"
        assert await stage.held() == before
        assert not any(isinstance(message, c.CallsDone | c.CallOutput) for message in stage.client.came)
        stage.wire.send(c.ReleaseValues((TaskId("a"),)), msg_id="release")
        await stage.agent.next(t.DropValues)
        assert await stage.held() == len(b"code")

    play(tmp_path, story)


def test_a_value_that_is_lost_for_good_is_refused_with_the_reason(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("once", repeatable=False)
        stage.submit("twice")
        await stage.agent.next(t.RunCalls)
        stage.returned("once", "twice", payload=None)
        await stage.client.next(c.CallsDone, lambda done: done.calls[-1].task == "twice")
        stage.wire.send(c.FetchValue(TaskId("once")), msg_id="fetch")
        await stage.agent.next(t.SendValue)
        stage.die()
        refused = await stage.client.next(m.Refused)
        assert refused.error == "EngineLost"
        assert "repeatable=False forbids" in refused.message
        await stage.start()
        await stage.agent.next(t.RunCalls)
        stage.wire.send(c.FetchValue(TaskId("twice")), msg_id="wait")
        failed = t.CallResult(TaskId("twice"), 2, Threw("ValueError", "no"))
        stage.say(t.CallsReturned((failed,)))
        for _ in range(2):  # who waited for it, and who asks later
            refused = await stage.client.next(m.Refused)
            assert refused.error == "EngineLost"
            assert "when it was to be computed again, it raised ValueError: no" in refused.message
            stage.wire.send(c.FetchValue(TaskId("twice")), msg_id="late")
        stage.say(t.SendMe(TaskId("once")))
        assert (await stage.agent.next(t.TakeValue)).lost

    play(tmp_path, story)
