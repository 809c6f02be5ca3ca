"""A cluster as an Executor of the standard library: what is sent, withdrawn and refused; against one in memory."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from memory_peer import engine  # type: ignore[import-not-found]  # loaded by conftest

from nbcluster.client.executor import Executor
from nbcluster.client.futures import Future
from nbcluster.errors import ExecutorShutDown, NBClusterError, NotSerializable, UsageError
from nbcluster.protocol import messages as m
from nbcluster.testing.waiting import wait_until

DEADLINE = 5.0


def executor(memory: Any, **options: Any) -> Executor:
    return Executor(memory.peer.submission(**options))


def withdrawn(memory: Any) -> int:
    return sum(len(sent.tasks) for sent in memory.peer.sent if isinstance(sent, m.CancelTasks))


def wait_for_calls(memory: Any, count: int) -> None:
    wait_until(lambda: memory.peer.waiting == count, DEADLINE, f"{count} calls at the controller")


def test_it_is_an_executor_whose_futures_are_the_clusters(memory: Any) -> None:
    with executor(memory) as made:
        assert isinstance(made, concurrent.futures.Executor)
        first = made.submit(pow, 2, 10)
        assert isinstance(first, Future)
        second = made.submit(divmod, first, 1000)
        assert second.result(DEADLINE) == (1, 24)
        assert concurrent.futures.wait([first, second], DEADLINE).not_done == set()


def test_a_loop_runs_functions_in_it(memory: Any) -> None:
    async def ask() -> Any:
        return await asyncio.get_running_loop().run_in_executor(executor(memory), pow, 2, 10)

    assert asyncio.run(ask()) == 1024


def test_map_gives_results_in_order_whatever_the_chunks(memory: Any) -> None:
    made = executor(memory)
    for chunksize, buffersize in itertools.product((1, 3, 100), (None, 1, 2)):
        results = made.map(pow, range(10), itertools.count(1), chunksize=chunksize, buffersize=buffersize)
        assert list(results) == [number ** (number + 1) for number in range(10)]
    assert list(made.map(pow, [], [])) == []
    made.shutdown()


def test_map_draws_all_input_at_once_or_as_much_as_the_buffer_holds(memory: Any) -> None:
    drawn: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(10):
            drawn.append(number)
            yield number

    made = executor(memory)
    made.map(abs, numbers())
    assert drawn == list(range(10))
    drawn.clear()
    results = made.map(abs, numbers(), buffersize=3)
    assert drawn == [0, 1, 2]
    assert next(results) == 0
    assert drawn == [0, 1, 2]
    assert next(results) == 1
    assert drawn == [0, 1, 2, 3]
    assert list(results) == list(range(2, 10))
    made.shutdown()


def test_what_an_item_raises_ends_the_map_and_withdraws_what_has_not_begun(memory: Any) -> None:
    memory.do(setattr, memory.peer, "held", True)
    made = executor(memory)
    results = made.map(divmod, [1] * 10, [1, 0] + [1] * 8)
    wait_for_calls(memory, 10)
    memory.do(memory.peer.run, 2)
    assert next(results) == (1, 0)
    with pytest.raises(ZeroDivisionError):
        next(results)
    wait_until(lambda: withdrawn(memory) == 7, DEADLINE, "the rest but the one that an engine may be at")
    assert list(results) == []
    memory.do(memory.peer.run)
    made.shutdown()


def test_a_result_that_is_late_is_a_timeout(memory: Any) -> None:
    memory.do(setattr, memory.peer, "held", True)
    results = executor(memory).map(abs, [1, 2], timeout=0.01)
    with pytest.raises(TimeoutError):
        next(results)


def test_after_shutdown_nothing_is_taken(memory: Any) -> None:
    made = executor(memory)
    made.shutdown()
    made.shutdown(wait=False, cancel_futures=True)
    for refused in (lambda: made.submit(pow, 2, 5), lambda: made.map(abs, [1])):
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown") as caught:
            refused()
        assert isinstance(caught.value, ExecutorShutDown)
    assert "shut down" in repr(made)
    assert memory.peer.sent == []


def test_shutdown_waits_for_calls_whose_futures_nobody_holds(memory: Any) -> None:
    memory.do(setattr, memory.peer, "held", True)
    made = executor(memory)
    made.submit(abs, 1)
    wait_for_calls(memory, 1)
    ended = threading.Thread(target=made.shutdown)
    ended.start()
    ended.join(0.1)
    assert ended.is_alive()
    memory.do(memory.peer.run)
    ended.join(DEADLINE)
    assert not ended.is_alive()


def test_shutdown_can_withdraw_what_has_not_begun(memory: Any) -> None:
    memory.do(setattr, memory.peer, "held", True)
    memory.peer.fleet.replace([engine(0), engine(1)])
    made = executor(memory)
    futures = [made.submit(abs, -number) for number in range(10)]
    wait_for_calls(memory, 10)
    memory.do(memory.peer.begin, futures[7])
    made.shutdown(wait=False, cancel_futures=True)
    wait_for_calls(memory, 3)
    memory.do(memory.peer.run)
    made.shutdown()
    assert [number for number, future in enumerate(futures) if not future.cancelled()] == [0, 1, 7]
    assert futures[7].result() == 7


def test_options_hold_for_its_calls(memory: Any) -> None:
    made = memory.peer.submission(priority=5, label="fit")
    assert Executor(made).submit(abs, -1).result(DEADLINE) == 1
    [sent] = [sent for sent in memory.peer.sent if hasattr(sent, "options")]
    assert sent.options[0].priority == 5
    assert sent.options[0].label == "fit"


def test_what_cannot_be_is_refused(memory: Any) -> None:
    made = executor(memory)
    for wrong in ({"chunksize": 0}, {"chunksize": -1}, {"buffersize": 0}, {"buffersize": 1.5}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            made.map(abs, [1], **wrong)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(UsageError, match="cannot be called"):
        made.map(5, [1])  # type: ignore[arg-type]  # that is the point
    with pytest.raises(UsageError, match="key"):
        executor(memory, key="mine")
    with pytest.raises(NotSerializable, match="lock"):
        made.submit(len, threading.Lock())
    with pytest.raises(NBClusterError):
        made.submit(5)  # type: ignore[arg-type]  # that is the point
    made.shutdown()
    assert memory.peer.sent == []


def test_a_future_does_not_end_while_somebody_looks_at_it_under_its_condition() -> None:
    # That is how concurrent.futures.wait counts what it waits for: an end in between would be counted twice.
    future = Future()
    ending = threading.Thread(target=future.set_result, args=(1,))
    with future._condition:
        ending.start()
        ending.join(0.05)
        assert not future.done()
    ending.join(DEADLINE)
    assert future.result(0) == 1
