"""Dask graphs on their way through a cluster: what is sent, let go, cancelled; against one in memory."""

from __future__ import annotations

import asyncio
import gc
import operator
import threading
from typing import Any

import pytest

from nbcluster.errors import NotSerializable, UnknownKey, UsageError
from nbcluster.integrations.dask import get, get_async
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m
from nbcluster.testing.waiting import wait_until

DEADLINE = 5.0


def compute(memory: Any, graph: Any, keys: Any, **options: Any) -> Any:
    return get(memory.peer.submission(), graph, keys, options)


def sent(memory: Any) -> list[tuple[c.CallSpec, c.CallOptions]]:
    return [
        (call, message.options[call.options])
        for message in memory.peer.sent
        if isinstance(message, c.SubmitCalls)
        for call in message.calls
    ]


def inc(number: int) -> int:
    return number + 1


def fail(number: int) -> int:
    raise ArithmeticError(f"no luck with {number}")


FORK = {
    "a": (inc, 1),
    ("b", 0): (inc, "a"),
    ("b", 1): (operator.neg, "a"),
    "c": (operator.sub, ("b", 0), ("b", 1)),
}


def test_a_graph_is_computed_and_answers_in_the_nest_of_its_keys(memory: Any) -> None:
    assert compute(memory, FORK, "c") == 5
    assert compute(memory, FORK, ["c", [("b", 1), "a"], []]) == (5, (-2, 2), ())
    assert compute(memory, {"x": 1, "y": "x"}, ["y", "x", "x"]) == (1, 1, 1)
    assert compute(memory, FORK, []) == ()


def test_tasks_are_named_by_the_kind_of_their_key_and_have_the_options(memory: Any) -> None:
    compute(memory, FORK, "c", retries=2, priority=4, num_workers=9, bogus=True)
    assert [options.label for _, options in sent(memory)] == ["a", "b", "b", "c"]
    assert {(options.retries, options.priority) for _, options in sent(memory)} == {(2, 4)}
    with pytest.raises(UsageError, match="retries=-1"):
        compute(memory, FORK, "c", retries=-1)


def test_values_between_are_let_go(memory: Any) -> None:
    assert compute(memory, FORK, [("b", 1), "c"]) == (-2, 5)
    gc.collect()
    tasks = {call.task for call, _ in sent(memory)}
    wait_until(lambda: set(memory.peer.released) == tasks, DEADLINE, "every value to be released")


def test_a_value_that_many_need_is_sent_once(memory: Any) -> None:
    large = list(range(10_000))
    graph: dict[Any, Any] = {"x": large, "small": 3}
    graph |= {("y", number): (operator.getitem, "x", number) for number in range(5)}
    graph |= {("z", number): (operator.mul, ("y", number), "small") for number in range(5)}
    assert compute(memory, graph, [("z", number) for number in range(5)]) == (0, 3, 6, 9, 12)
    sizes = sorted(len(call.payload) for call, _ in sent(memory))
    assert sizes[-1] > 10_000
    assert sizes[-2] < 2_000
    memory.peer.sent.clear()
    assert compute(memory, {"x": large, "y": (len, "x")}, "y") == 10_000
    assert len(sent(memory)) == 1


def test_what_the_first_task_raised_is_raised_and_the_rest_is_cancelled(memory: Any) -> None:
    memory.do(setattr, memory.peer, "held", True)
    graph = {
        "bad": (fail, 3),
        "good": (inc, 1),
        "other": (inc, "good"),
        "sum": (operator.add, "bad", "other"),
    }
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            compute(memory, graph, ["bad", "sum"])
        except ArithmeticError as error:
            caught.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: memory.peer.waiting == 3, DEADLINE, "all tasks at the controller")
    memory.do(memory.peer.run, [options.label for _, options in sent(memory)].index("bad") + 1)
    asking.join(DEADLINE)
    [error] = caught
    assert str(error) == "no luck with 3"
    wait_until(lambda: memory.peer.waiting == 0, DEADLINE, "the rest to be withdrawn")
    assert any(isinstance(sent, m.CancelTasks) for sent in memory.peer.sent)


def test_what_cannot_be_computed_sends_nothing(memory: Any) -> None:
    with pytest.raises(UnknownKey):
        compute(memory, FORK, ["a", "nope"])
    with pytest.raises(NotSerializable, match="lock"):
        compute(memory, {"x": (len, [threading.Lock()])}, "x")
    assert sent(memory) == []


def test_an_asynchronous_program_awaits_it(memory: Any) -> None:
    async def ask() -> Any:
        with pytest.raises(ArithmeticError, match="no luck with 1"):
            await get_async(memory.peer.submission(), {"x": (fail, 1)}, "x", {})
        return await get_async(memory.peer.submission(), FORK, ["c"], {})

    assert asyncio.run_coroutine_threadsafe(ask(), memory.loop).result(DEADLINE) == (5,)
