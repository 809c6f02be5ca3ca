"""A Future of a call: a concurrent.futures.Future that keeps its promises, against a controller in memory."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import pickle
import threading
import time
import traceback
from typing import Any

import pytest
from msgspec import msgpack, structs

from nbcluster.client import calls, outbox
from nbcluster.client.callfutures import CallFuture
from nbcluster.client.futures import Future
from nbcluster.client.listening import listen_here, listener_here
from nbcluster.client.references import Reference
from nbcluster.errors import (
    ControllerLost,
    RemoteTraceback,
    TaskCancelled,
    UsageError,
    ValueReleased,
)
from nbcluster.protocol import calls as c

DEADLINE = 5.0


def submit(memory: Any, fn: Any, *args: Any, **kwargs: Any) -> CallFuture:
    return memory.peer.submission().send(fn, args, kwargs)


def hold(memory: Any) -> None:
    memory.peer.held = True


def run(memory: Any) -> None:
    memory.do(memory.peer.run)


def until(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


# -- results ----------------------------------------------------------------------------------


def test_a_result_is_unpickled_once_and_kept(memory: Any) -> None:
    future = submit(memory, list, (1, 2))
    first = future.result(DEADLINE)
    assert first == [1, 2]
    assert future.result() is first


def test_a_large_result_is_fetched_when_asked_for(memory: Any) -> None:
    memory.peer.home_limit = 100
    future = submit(memory, bytes, 1000)
    concurrent.futures.wait([future], DEADLINE)
    assert future.is_away
    assert future.result(DEADLINE) == bytes(1000)
    assert not future.is_away
    memory.peer.values.clear()
    assert future.result() == bytes(1000)  # it is kept


def test_a_value_that_is_gone_is_said_each_time(memory: Any) -> None:
    memory.peer.home_limit = 0
    future = submit(memory, int, 7)
    concurrent.futures.wait([future], DEADLINE)
    memory.peer.values.clear()
    for _ in range(2):
        with pytest.raises(ValueReleased, match="not kept"):
            future.result(DEADLINE)


def test_an_awaited_future_gives_its_value_on_any_loop(memory: Any) -> None:
    memory.peer.home_limit = 10

    async def ask(future: CallFuture) -> Any:
        return await future

    assert asyncio.run(ask(submit(memory, bytes, 100))) == bytes(100)
    future = submit(memory, bytes, 200)
    there = asyncio.run_coroutine_threadsafe(ask(future), memory.loop)
    assert there.result(DEADLINE) == bytes(200)


def test_cancelling_an_await_does_not_cancel_the_call(memory: Any) -> None:
    hold(memory)
    future = submit(memory, int, 3)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await future

    asyncio.run(give_up())
    run(memory)
    assert future.result(DEADLINE) == 3


# -- errors -----------------------------------------------------------------------------------


def fail() -> None:
    raise ValueError("no luck")


def test_the_own_exception_comes_with_the_remote_traceback_as_cause(memory: Any) -> None:
    future = submit(memory, fail)
    with pytest.raises(ValueError, match="no luck") as caught:
        future.result(DEADLINE)
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "in fail" in str(caught.value.__cause__)
    assert repr(future).startswith("<Future of fail: failed on engine 0 after 10 µs: ValueError: no luck")


def test_raising_twice_does_not_grow_the_traceback(memory: Any) -> None:
    future = submit(memory, fail)
    depths = []
    for _ in range(3):
        with pytest.raises(ValueError, match="no luck") as caught:
            future.result(DEADLINE)
        depths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert depths[0] == depths[1] == depths[2]


def test_a_lost_controller_fails_all_that_is_open_and_what_comes_after(memory: Any) -> None:
    hold(memory)
    open_ones = [submit(memory, int, number) for number in range(3)]
    memory.do(memory.peer.lose, ControllerLost("it is gone"))
    for future in open_ones:
        with pytest.raises(ControllerLost, match="it is gone"):
            future.result(DEADLINE)
    with pytest.raises(ControllerLost, match="it is gone"):
        submit(memory, int)


def test_the_timeout_of_a_wait_is_no_end_of_the_call(memory: Any) -> None:
    hold(memory)
    future = submit(memory, int, 5)
    with pytest.raises(TimeoutError, match=r"gave up after waiting 0.05 s for int, which goes on \(queued\)"):
        future.result(0.05)
    run(memory)
    assert future.result(DEADLINE) == 5


def test_waiting_on_the_thread_that_would_bring_the_result_is_refused(memory: Any) -> None:
    hold(memory)
    future = submit(memory, int, 5)
    with pytest.raises(UsageError, match="await the Future there"):
        memory.do(future.result)
    run(memory)
    assert future.result(DEADLINE) == 5
    assert memory.do(future.result) == 5  # what is done need not be waited for


# -- what concurrent.futures and asyncio do with it -------------------------------------------


def test_as_completed_and_wait_of_the_standard_library(memory: Any) -> None:
    hold(memory)
    futures = [submit(memory, int, number) for number in range(4)]
    seen: list[int] = []
    thread = threading.Thread(
        target=lambda: seen.extend(f.result() for f in concurrent.futures.as_completed(futures, DEADLINE))
    )
    thread.start()
    until(lambda: memory.peer.waiting == 4)
    run(memory)
    thread.join(DEADLINE)
    assert sorted(seen) == [0, 1, 2, 3]
    failing = submit(memory, fail)
    waiting = submit(memory, int)
    until(lambda: memory.peer.waiting == 2)
    memory.do(memory.peer.run, 1)
    done, not_done = concurrent.futures.wait(
        [failing, waiting], DEADLINE, return_when=concurrent.futures.FIRST_EXCEPTION
    )
    assert (done, not_done) == ({failing}, {waiting})


def test_asyncio_wraps_it(memory: Any) -> None:
    async def ask() -> Any:
        return await asyncio.wrap_future(submit(memory, int, 9))

    assert asyncio.run(ask()) == 9


def test_callbacks_come_once_on_their_own_thread_and_may_wait(memory: Any) -> None:
    hold(memory)
    future = submit(memory, int, 1)
    called: list[tuple[str, int]] = []
    ended = threading.Event()

    def callback(done: Future) -> None:
        other = submit(memory, int, 2).result(DEADLINE)  # on the I/O thread this would wait for ever
        called.append((threading.current_thread().name, done.result() + other))
        ended.set()

    future.add_done_callback(callback)
    memory.peer.held = False
    run(memory)
    assert ended.wait(DEADLINE)
    assert called == [("nbcluster callbacks", 3)]
    future.add_done_callback(callback)
    until(lambda: len(called) == 2)


def test_a_future_that_somebody_is_to_be_told_of_is_not_collected(memory: Any) -> None:
    hold(memory)
    told = threading.Event()
    submit(memory, int).add_done_callback(lambda _: told.set())
    gc.collect()
    run(memory)
    assert told.wait(DEADLINE)
    until(lambda: len(memory.peer.released) == 1)  # and afterwards it is let go


def test_no_wake_up_is_lost_between_a_waiter_and_the_end() -> None:
    """The lock is made by the first waiter: the end must see it, or the waiter the end."""
    for _ in range(2000):
        future = Future()
        began = threading.Barrier(2)

        def finish(future: Future = future, began: threading.Barrier = began) -> None:
            began.wait()
            future.set_result(1)

        thread = threading.Thread(target=finish)
        thread.start()
        began.wait()
        assert future.result(DEADLINE) == 1
        thread.join()


def test_a_future_ends_once() -> None:
    future = Future()
    future.set_result(1)
    with pytest.raises(concurrent.futures.InvalidStateError):
        future.set_exception(ValueError())
    assert future.result() == 1


# -- cancelling -------------------------------------------------------------------------------


def test_cancel_waits_for_the_word_of_the_cluster(memory: Any) -> None:
    hold(memory)
    future = submit(memory, int)
    assert future.cancel(DEADLINE) is True
    assert (future.cancelled(), future.status) == (True, "cancelled")
    with pytest.raises(TaskCancelled, match="int was cancelled: cancelled by its owner"):
        future.result()
    assert future.cancel() is True
    ended = submit(memory, int)
    run(memory)
    assert ended.result(DEADLINE) == 0
    assert ended.cancel() is False
    assert ended.result() == 0


def test_what_was_not_sent_is_withdrawn_here(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WINDOW_CALLS", 3)
    memory.peer.accepting = False
    hold(memory)
    first = [submit(memory, int) for _ in range(3)]
    late = submit(memory, int)
    until(lambda: memory.peer.waiting == 3)
    assert late.cancel(DEADLINE) is True
    assert memory.peer.waiting == len(first)
    assert not [message for message in memory.peer.sent if type(message).__name__ == "CancelTasks"]


# -- dropping ---------------------------------------------------------------------------------


def test_a_dropped_future_lets_its_value_go_and_not_its_call(memory: Any) -> None:
    hold(memory)
    tasks = [submit(memory, int).task for _ in range(3)]
    kept = submit(memory, int, 4)
    until(lambda: len(memory.peer.released) == 3)
    assert sorted(memory.peer.released) == sorted(tasks)
    assert memory.peer.waiting == 4
    run(memory)
    assert kept.result(DEADLINE) == 4
    releases = [message for message in memory.peer.sent if type(message).__name__ == "ReleaseValues"]
    assert len(releases) == 1  # many in one message


def test_a_release_goes_behind_the_call_that_it_is_of(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WINDOW_CALLS", 3)
    memory.peer.accepting = False
    hold(memory)
    first = [submit(memory, int) for _ in range(3)]
    dropped = submit(memory, int).task  # waits here, since the window is full
    until(lambda: memory.peer.waiting == 3)
    until(lambda: memory.peer.calls._outbox._releases)  # it was swept up, and waits
    assert memory.peer.released == []
    memory.peer.accepting = True
    memory.do(memory.peer.accept)
    until(lambda: memory.peer.released == [dropped])
    assert len(first) + 1 == memory.peer.waiting


def test_making_and_dropping_futures_keeps_nothing(memory: Any) -> None:
    for _ in range(3):
        futures = [submit(memory, int) for _ in range(2000)]
        assert futures[-1].result(DEADLINE) == 0
        until(lambda futures=futures: all(future.done() for future in futures))
        del futures
    until(lambda: not memory.peer.values)
    assert memory.peer.calls.unfinished == []
    assert not memory.peer.calls._open
    assert not memory.peer.calls._held


# -- pickling ---------------------------------------------------------------------------------


def test_a_pickled_future_owns_nothing_and_finds_its_value(memory: Any) -> None:
    future = submit(memory, bytes, 10)
    assert future.result(DEADLINE) == bytes(10)
    copy = pickle.loads(pickle.dumps(future))
    assert copy.result(DEADLINE) == bytes(10)
    assert copy.key == future.key
    del copy
    gc.collect()
    third = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(future))))
    del future
    until(lambda: len(memory.peer.released) == 1)
    with pytest.raises(ValueReleased):
        third.result(DEADLINE)
    assert len(memory.peer.released) == 1


def test_a_future_as_an_argument_is_its_value(memory: Any) -> None:
    first = submit(memory, int, 20)
    assert first.result(DEADLINE) == 20
    total = submit(memory, lambda a, more: a + more["deep"][0] + 2, first, {"deep": [first]})
    assert total.result(DEADLINE) == 42


def test_a_future_of_another_cluster_is_no_argument(memory: Any) -> None:
    future = submit(memory, int)
    there = memory.peer.calls
    there.cluster = "elsewhere"
    stranger = pickle.loads(pickle.dumps(future))
    there.cluster = "memory"
    with pytest.raises(
        UsageError, match=r"belongs to the cluster 'elsewhere' and cannot be an argument .* 'memory'"
    ):
        submit(memory, int, stranger)


# -- what it says -----------------------------------------------------------------------------


class Heard:
    """A cell that shows what its calls print."""

    def __init__(self) -> None:
        self.came: list[tuple[str, int]] = []

    def take(self, task: str, engine: int, output: bytes) -> None:
        self.came.append((task, engine))


def test_what_a_thread_prints_after_its_call_is_on_the_future_and_in_the_cell(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "KEPT_ENDED", 2)
    cell = Heard()
    before = listener_here()
    listen_here(cell)
    try:
        ended = submit(memory, int, 1)
    finally:
        listen_here(before)
    assert ended.result(DEADLINE) == 1
    other = submit(memory, int, 2)
    assert other.result(DEADLINE) == 2
    memory.do(memory.peer.print, ended, "late\n")
    memory.do(memory.peer.print, ended, "later\n")
    assert ended.output == "late\nlater\n"
    assert other.output == ""
    assert cell.came == [(ended.task, 0)] * 2
    # It is known for as long as it is among the latest that ended, so that a million calls need no more memory.
    assert submit(memory, int, 3).result(DEADLINE) == 3
    memory.do(memory.peer.print, ended, "too late\n")
    assert ended.output == "late\nlater\n"


def test_what_came_with_the_end_is_before_what_came_after_it(memory: Any) -> None:
    future = submit(memory, int, 1)
    future.result(DEADLINE)
    pieces = msgpack.encode((c.OutputPiece("stdout", "in the call\n"),))
    future._end = structs.replace(future.end, output=pieces)
    memory.do(memory.peer.print, future, "after it\n")
    assert future.output == "in the call\nafter it\n"


def test_it_says_where_it_is(memory: Any) -> None:
    hold(memory)
    future = submit(memory, int, 5)
    assert (future.status, future.engine, future.running()) == ("queued", None, False)
    assert repr(future) == "<Future of int: queued>"
    memory.do(memory.peer.begin, future)
    assert (future.status, future.engine, future.running()) == ("running", 0, True)
    memory.do(memory.peer.print, future, "half way\n")
    assert future.output == "half way\n"
    assert future.explain() == f"{future.task} is in a test"
    run(memory)
    assert future.result(DEADLINE) == 5
    assert repr(future) == "<Future of int: done on engine 0 after 10 µs>"
    record = future.record
    assert (record.state, record.engine, record.seconds, record.label) == ("done", 0, 1e-5, "int")
    assert record.ended == record.started + 1e-5


def test_its_record_tells_when_it_was_submitted(memory: Any) -> None:
    before = time.time()
    future = submit(memory, abs, -1)
    queued = future.record.submitted
    assert queued is not None
    assert before <= queued <= time.time()
    future.result(DEADLINE)
    assert future.record.submitted == queued
    told = c.TaskRecord(future.task, key="k", state="done", submitted=7.0)
    assert Reference.of_record(memory.peer.calls, told).record.submitted == 7.0


def test_a_wait_says_after_a_while_what_it_waits_for(
    memory: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nbcluster.client.futures.SAY_AFTER", 0.01)
    hold(memory)
    future = submit(memory, int)
    with pytest.raises(TimeoutError):
        future.result(0.1)
    assert capsys.readouterr().err == f"nbcluster: waiting for int: {future.task} is in a test\n"
