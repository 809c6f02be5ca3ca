"""Graphs that are submitted whole: what is sent and when, what a planned Future refuses; against one in memory."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from nbcluster.client.graph import Graph
from nbcluster.client.references import Reference
from nbcluster.errors import ControllerLost, NoEngines, NotSerializable, TaskCancelled, UsageError
from nbcluster.protocol import calls as c
from nbcluster.testing.waiting import wait_until

DEADLINE = 5.0


def graph(memory: Any) -> Graph:
    return Graph(memory.peer.calls, memory.peer.fleet)


def sent(memory: Any) -> list[c.CallSpec]:
    return [
        call for message in memory.peer.sent if isinstance(message, c.SubmitCalls) for call in message.calls
    ]


def settle(memory: Any) -> None:
    """Have the loop do what it was asked to before."""
    memory.do(int)


def test_a_graph_is_sent_whole_at_the_end_of_its_block(memory: Any) -> None:
    with graph(memory) as g:
        a = g.submit(pow, 2, 5)
        b = g.submit(pow, a, 2)
        total = g.submit(sum, [a, b, g.submit(abs, -1)])
        settle(memory)
        assert sent(memory) == []
        assert (a.status, a.done()) == ("planned", False)
        assert "4 calls planned" in repr(g)
    assert total.result(DEADLINE) == 32 + 1024 + 1
    assert [b.result(DEADLINE), b.status] == [1024, "done"]
    [other] = [call.task for call in sent(memory) if not call.inputs and call.task != a.task]
    assert len([message for message in memory.peer.sent if isinstance(message, c.SubmitCalls)]) == 1
    assert [call.inputs for call in sent(memory)] == [
        (),
        (a.task,),
        (),
        (a.task, b.task, other),
    ]


def test_options_and_futures_from_before_and_after(memory: Any) -> None:
    before = memory.peer.submission().send(abs, (-4,), {})
    with graph(memory) as g:
        first = g.options(label="first", key="mine").submit(pow, before, 2)
        second = g.options(after=[first], priority=3).submit(int, "7")
    after = memory.peer.submission(after=[second]).send(pow, (first, 2), {})
    assert after.result(DEADLINE) == 256
    assert second.result(DEADLINE) == 7
    assert (first.key, first.what) == ("mine", "first")
    specs = {call.task: call for call in sent(memory)}
    assert specs[second.task].after == (first.task,)


def test_an_error_in_the_block_submits_nothing(memory: Any) -> None:
    with pytest.raises(ValueError, match="no luck"), graph(memory) as g:  # noqa: PT012  # the block is the subject
        a = g.submit(pow, 2, 5)
        raise ValueError("no luck")
    settle(memory)
    assert memory.peer.sent == []
    with pytest.raises(
        TaskCancelled, match="nothing of its graph was since its block raised ValueError"
    ) as caught:
        a.result(DEADLINE)
    assert isinstance(caught.value.__cause__, ValueError)
    assert (a.cancelled(), a.status) == (True, "cancelled")
    del a, g, caught
    gc.collect()
    settle(memory)
    assert memory.peer.sent == []


def test_what_cannot_be_sent_is_an_error_of_its_line_and_submits_nothing(memory: Any) -> None:
    g = graph(memory)
    with pytest.raises(NotSerializable, match="generator"), g:  # noqa: PT012  # the block is the subject
        g.submit(abs, -1)
        g.submit(sum, (number for number in range(3)))
    with pytest.raises(NoEngines), graph(memory) as other:
        other.options(resources={"gpu": 1}).submit(abs, -1)
    settle(memory)
    assert memory.peer.sent == []


def test_a_planned_future_cannot_be_waited_for_cancelled_or_used_elsewhere(memory: Any) -> None:
    async def wait_for(future: Any) -> Any:
        return await future

    with graph(memory) as g:
        a = g.submit(abs, -1)
        for wait in (a.result, a.exception, lambda: asyncio.run(wait_for(a))):
            with pytest.raises(UsageError, match="planned and runs from the end of the block"):
                wait()
        with pytest.raises(UsageError, match="leave the block with an exception"):
            a.cancel()
        assert "planned" in a.explain()
        with pytest.raises(UsageError, match="of the same graph"):
            memory.peer.submission().send(abs, (a,), {})
        with pytest.raises(UsageError, match="of the same graph"):
            memory.peer.submission(after=[a])
        with pytest.raises(UsageError, match="of the same graph"), graph(memory) as other:
            other.submit(abs, a)
    assert a.result(DEADLINE) == 1
    assert asyncio.run(wait_for(a)) == 1


def test_a_future_of_another_cluster_is_refused(memory: Any) -> None:
    foreign = Reference("elsewhere", "/elsewhere", "some-task")
    for needs in (lambda g: g.submit(abs, foreign), lambda g: g.options(after=[foreign]).submit(abs, -1)):
        with pytest.raises(UsageError, match="belongs to the cluster 'elsewhere'"), graph(memory) as g:
            needs(g)
    settle(memory)
    assert memory.peer.sent == []


def test_calls_are_added_inside_of_one_block(memory: Any) -> None:
    g = graph(memory)
    with pytest.raises(UsageError, match="inside of its block"):
        g.submit(abs, -1)
    with g, pytest.raises(UsageError, match="entered once"), g:
        pass
    with pytest.raises(UsageError, match="inside of its block"):
        g.submit(abs, -1)
    with pytest.raises(UsageError, match="entered once"), g:
        pass
    assert "not in its block" in repr(g)


def test_values_between_are_let_go_when_nobody_holds_them(memory: Any) -> None:
    with graph(memory) as g:
        a = g.submit(abs, -1)
        b = g.submit(abs, a)
        task, known = a.task, weakref.ref(a)
        del a
    assert b.result(DEADLINE) == 1
    gc.collect()
    assert known() is None
    wait_until(lambda: task in memory.peer.released, DEADLINE, "the value between to be released")


def test_a_lost_controller_fails_a_graph(memory: Any) -> None:
    with pytest.raises(ControllerLost), graph(memory) as g:  # noqa: PT012  # the block is the subject
        a = g.submit(abs, -1)
        memory.do(memory.peer.lose, ControllerLost("it is gone"))
        g.submit(abs, a)
    assert a.cancelled()
    memory.do(memory.peer.calls.attach, memory.peer, "memory", "/memory")
    with graph(memory) as g:
        a = g.submit(abs, -1)
        memory.do(memory.peer.lose, ControllerLost("it is gone"))
    with pytest.raises(ControllerLost):
        a.result(DEADLINE)


def test_a_graph_in_an_asynchronous_program(memory: Any) -> None:
    async def ask() -> Any:
        async with graph(memory) as g:
            b = g.submit(pow, g.submit(abs, -2), 3)
        return await b

    assert asyncio.run_coroutine_threadsafe(ask(), memory.loop).result(DEADLINE) == 8

    async def fail() -> Any:
        async with graph(memory) as g:
            b = g.submit(abs, -2)
            memory.peer.sent.clear()
            with pytest.raises(UsageError, match="planned"):
                await b
            raise KeyError(b)

    with pytest.raises(KeyError) as caught:
        asyncio.run_coroutine_threadsafe(fail(), memory.loop).result(DEADLINE)
    assert caught.value.args[0].cancelled()
