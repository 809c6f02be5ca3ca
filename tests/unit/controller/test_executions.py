"""Which message belongs to which task, and when an answer is complete."""

from __future__ import annotations

import pytest
from msgspec import json

from nbcluster.controller.executions import REMEMBERED, Execution, Executions, read_reply
from nbcluster.ids import CellId, ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import Raised, Succeeded

OK = json.encode({"status": "ok", "execution_count": 4, "payload": []})
IDS = (EngineNumber(0), Incarnation(1))


def execution(task: str = "t", attempt: int = 1) -> Execution:
    return Execution(ClientId("c"), CellId("cell"), TaskId(task), *IDS, attempt)


@pytest.mark.parametrize("reply_first", [True, False])
def test_an_answer_is_complete_when_reply_and_idle_have_both_come(reply_first: bool) -> None:
    executions = Executions()
    executions.add("m", execution())
    steps = [lambda: executions.replied("m", OK, b"{}"), lambda: executions.idled("m")]
    if not reply_first:
        steps.reverse()
    assert executions.any_running()
    assert steps[0]() is None
    done = steps[1]()
    assert done is not None
    assert done.outcome == Succeeded(4)
    assert not executions.any_running()


@pytest.mark.parametrize("reply", [OK, json.encode({"status": "error", "ename": "E", "evalue": ""})])
def test_a_reply_is_enough_where_it_says_that_nothing_was_published(reply: bytes) -> None:
    executions = Executions()
    for name, quiet in (("loud", False), ("quiet", True)):
        executions.add(name, execution(name))
        done = executions.replied(name, reply, json.encode({"nbcluster": {"quiet": quiet}}))
        assert (done is not None) == quiet
    assert executions.idled("quiet") is None


def test_an_answer_is_told_once() -> None:
    executions = Executions()
    executions.add("m", execution())
    executions.replied("m", OK, b"{}")
    assert executions.idled("m") is not None
    assert executions.idled("m") is None
    assert executions.replied("m", OK, b"{}") is None


def test_what_nobody_sent_is_no_answer() -> None:
    executions = Executions()
    assert executions.replied("other", OK, b"{}") is None
    assert executions.idled("other") is None
    assert executions.find("other") is None


def test_an_interrupt_finds_the_attempt_that_runs_and_no_ended_one() -> None:
    executions = Executions()
    executions.add("first", execution(attempt=1))
    executions.add("second", execution(attempt=2))
    assert executions.message_of(TaskId("t"), 1) == "first"
    executions.replied("first", OK, b"{}")
    executions.idled("first")
    assert executions.message_of(TaskId("t"), 1) is None
    assert executions.message_of(TaskId("t"), 2) == "second"


def test_ended_ones_are_remembered_within_a_bound_and_running_ones_always() -> None:
    executions = Executions()
    executions.add("runs", execution("runs"))
    for number in range(REMEMBERED + 10):
        executions.add(f"m{number}", execution(f"t{number}"))
    assert executions.find("runs") is not None
    ended = Executions()
    for number in range(REMEMBERED + 10):
        ended.add(f"m{number}", execution(f"t{number}"))
        ended.replied(f"m{number}", OK, b"{}")
        ended.idled(f"m{number}")
    ended.add("last", execution("last"))
    assert ended.find("m0") is None
    assert ended.find(f"m{REMEMBERED + 9}") is not None


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ({"status": "ok"}, Succeeded()),
        (
            {"status": "error", "ename": "E", "evalue": "v", "traceback": ["a", "b"]},
            Raised("E", "v", ("a", "b")),
        ),
        ({"status": "abort"}, Raised("KeyboardInterrupt", "the kernel aborted the cell")),
        (
            {"status": "aborted", "execution_count": None},
            Raised("KeyboardInterrupt", "the kernel aborted the cell"),
        ),
    ],
)
def test_the_replies_of_all_kernels_are_read(reply: dict[str, object], outcome: object) -> None:
    assert read_reply(json.encode(reply)) == (outcome, False)


def test_values_come_with_the_metadata() -> None:
    metadata = json.encode({"nbcluster": {"values": {"x": "AAE="}, "unsent": {"y": "too large"}}})
    outcome, _ = read_reply(OK, metadata)
    assert isinstance(outcome, Succeeded)
    assert (outcome.values, outcome.unsent) == ({"x": b"\x00\x01"}, {"y": "too large"})


def test_a_later_answer_says_that_a_reply_is_lost() -> None:
    executions = Executions()
    executions.add("m", execution())
    assert executions.waiting() == "m"
    executions.asked_after("question", "m")
    assert executions.overtaken("question") is None, "what was published may still come"
    lost = executions.idled("question")
    assert lost is not None
    assert isinstance(lost.outcome, Raised)
    assert lost.outcome.ename == "ReplyLost"
    assert executions.waiting() is None
    assert executions.replied("m", OK, b"{}") is None


def test_a_later_answer_completes_a_reply_whose_idle_is_lost() -> None:
    executions = Executions()
    executions.add("m", execution())
    executions.asked_after("question", "m")
    executions.replied("m", OK, b"{}")
    assert executions.idled("question") is None, "nor was it answered"
    done = executions.overtaken("question")
    assert done is not None
    assert done.outcome == Succeeded(4)


def test_output_that_comes_after_the_replies_is_waited_for() -> None:
    executions = Executions()
    executions.add("m", execution())
    executions.asked_after("question", "m")
    assert executions.replied("m", OK, b"{}") is None
    assert executions.overtaken("question") is None
    assert executions.waiting() == "m", "its figures are on their way"
    assert executions.idled("m") is not None
    assert executions.idled("question") is None


def test_an_answer_in_its_order_changes_nothing() -> None:
    executions = Executions()
    executions.add("m", execution())
    executions.asked_after("question", "m")
    executions.replied("m", OK, b"{}")
    executions.idled("m")
    assert executions.overtaken("question") is None
    assert executions.overtaken("never asked") is None
