"""A map: its order, its errors, its appetite, its cancel; against a controller in memory."""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nbcluster.client import mapping
from nbcluster.client.chunks import GROWTH, ChunkSizer
from nbcluster.client.mapping import AsyncMap, Map
from nbcluster.errors import TaskCancelled, UsageError
from nbcluster.protocol import calls as c

DEADLINE = 5.0


def mapped(memory: Any, fn: Any, *iterables: Any, kind: type = Map, **options: Any) -> Any:
    known: dict[str, Any] = {
        "chunksize": None,
        "ordered": True,
        "max_outstanding": None,
        "return_exceptions": False,
    }
    return kind(memory.peer.submission().map_maker(fn, iterables, **(known | options)))


def square(x: int) -> int:
    return x * x


def fail_at_seven(x: int) -> int:
    if x == 7:
        raise ValueError("seven")
    return x


def test_it_gives_what_the_builtin_gives(memory: Any) -> None:
    assert list(mapped(memory, square, range(1000))) == list(map(square, range(1000)))
    assert list(mapped(memory, pow, [2, 3, 4], itertools.count())) == [1, 3, 16]
    assert list(mapped(memory, square, [])) == []
    assert list(mapped(memory, square, iter([3]), chunksize=10)) == [9]


def test_without_order_it_gives_the_same_items(memory: Any) -> None:
    assert sorted(mapped(memory, square, range(300), ordered=False)) == sorted(map(square, range(300)))


def test_next_takes_one_and_the_rest_can_be_iterated(memory: Any) -> None:
    results = mapped(memory, square, range(10))
    assert next(results) == 0
    assert list(results) == [x * x for x in range(1, 10)]
    with pytest.raises(StopIteration):
        next(results)


def test_it_starts_at_once(memory: Any) -> None:
    memory.peer.held = True
    mapped(memory, square, range(1000), chunksize=10)
    deadline = time.monotonic() + DEADLINE
    while not memory.peer.waiting:
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("chunksize", [1, 4, None])
def test_an_error_names_its_item_and_ends_the_map(memory: Any, chunksize: int | None) -> None:
    results = mapped(memory, fail_at_seven, range(100), chunksize=chunksize)
    taken = []
    with pytest.raises(ValueError, match="seven") as caught:
        taken.extend(results)
    assert caught.value.__notes__ == ["map: item 7, 7"]
    assert taken == [0, 1, 2, 3, 4, 5, 6]  # also those of the chunk that failed
    assert "_nbcluster" not in repr(vars(caught.value))
    with pytest.raises(StopIteration):
        next(results)
    assert not results._run.flights


def fail_at_five(x: int, y: int) -> int:
    if x == 5:
        raise KeyError("five")
    return x * y


async def fail_later(x: int) -> int:
    return fail_at_seven(x)


@pytest.mark.parametrize("ordered", [True, False])
def test_results_before_an_error_in_its_chunk_are_yielded_first(memory: Any, ordered: bool) -> None:
    for fn, inputs, before in (
        (fail_at_five, (range(20), range(20)), [0, 1, 4, 9, 16]),
        (fail_later, (range(20),), list(range(7))),
    ):
        taken = []
        with pytest.raises(LookupError if fn is fail_at_five else ValueError):
            taken.extend(mapped(memory, fn, *inputs, chunksize=20, ordered=ordered))
        assert taken == before


def test_results_before_an_error_that_cannot_come_are_told(memory: Any) -> None:
    def lock_then_fail(x: int) -> Any:
        if x == 3:
            raise ValueError("three")
        return threading.Lock()

    def much_then_fail(x: int) -> Any:
        if x == 3:
            raise ValueError("three")
        return bytes(6 << 20)

    with pytest.raises(ValueError, match="three") as caught:
        list(mapped(memory, lock_then_fail, range(8), chunksize=8))
    [named, said] = caught.value.__notes__
    assert named == "map: item 3, 3"
    assert said.startswith("map: the 3 results before it could not be sent: ")
    with pytest.raises(ValueError, match="three") as caught:
        list(mapped(memory, much_then_fail, range(8), chunksize=8))
    assert caught.value.__notes__[1] == (
        "map: the 3 results before it in its chunk are gone: they have 18 MiB, and 16 come along with an error; "
        "a smaller chunksize= or return_exceptions=True keeps them"
    )


def test_exceptions_can_stand_in_the_place_of_results(memory: Any) -> None:
    results = list(mapped(memory, fail_at_seven, range(10), return_exceptions=True, chunksize=4))
    assert results[:7] + results[8:] == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert isinstance(results[7], ValueError)
    assert results[7].__notes__ == ["map: item 7, 7"]


def test_a_chunk_that_fails_as_a_whole_names_its_items(memory: Any) -> None:
    with pytest.raises(TypeError) as caught:  # its results cannot be pickled
        list(mapped(memory, lambda x: threading.Lock(), range(8), chunksize=4))
    assert caught.value.__notes__ == ["map: items 0 to 3"]


def test_an_error_of_the_input_comes_when_what_was_drawn_before_is_yielded(memory: Any) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise RuntimeError("the input broke")

    results = mapped(memory, square, items())
    assert list(itertools.islice(results, 5)) == [0, 1, 4, 9, 16]
    with pytest.raises(RuntimeError, match="the input broke"):
        next(results)


def test_an_infinite_input_is_drawn_as_needed(memory: Any) -> None:
    drawn = itertools.count()
    results = mapped(memory, square, drawn, max_outstanding=50, chunksize=7)
    for number, result in enumerate(itertools.islice(results, 500)):
        assert result == number**2
        assert int(repr(drawn)[6:-1]) <= number + 50
    results.cancel()


def test_an_infinite_input_takes_bounded_memory_by_itself(memory: Any) -> None:
    memory.peer.held = True  # nothing ends
    results = mapped(memory, len, (bytes(1000) for _ in itertools.count()))
    time.sleep(0.05)
    assert results._run._drawn <= 1000
    results.cancel(0.1)
    large = mapped(memory, len, (bytes(1 << 20) for _ in itertools.count()), chunksize=100)
    assert large._run._bytes <= 200 << 20
    large.cancel(0.1)


def test_a_slow_input_is_sent_as_it_comes(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "DRAW_FOR", -1.0)  # every input is too slow
    assert list(mapped(memory, square, range(30), chunksize=10)) == [square(n) for n in range(30)]
    messages = [message for message in memory.peer.sent if isinstance(message, c.SubmitCalls)]
    assert sum(len(message.calls) for message in messages) == 30


def test_the_input_is_drawn_in_the_thread_that_iterates(memory: Any) -> None:
    threads = set()

    def items() -> Iterator[int]:
        for number in range(200):
            threads.add(threading.current_thread())
            yield number

    assert len(list(mapped(memory, square, items()))) == 200
    assert threads == {threading.current_thread()}


def test_a_cancelled_map_says_so_and_leaves_nothing(memory: Any) -> None:
    memory.peer.held = True
    results = mapped(memory, square, range(100), chunksize=1, max_outstanding=10)
    results.cancel(DEADLINE)
    with pytest.raises(TaskCancelled, match="the map of square was cancelled after 0 results"):
        next(results)
    assert memory.peer.waiting == 0
    assert repr(results) == "<map of square: cancelled, 0 of 100 results taken, 0 on their way>"


def test_ctrl_c_while_it_waits_cancels_it(memory: Any) -> None:
    memory.peer.held = True
    results = mapped(memory, square, range(100), chunksize=1, max_outstanding=10)
    threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert memory.peer.waiting == 0


def test_a_loop_that_is_left_is_told_and_can_be_taken_up_again(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[Map] = []
    monkeypatch.setattr(mapping, "loop_left", [left.append])
    results = mapped(memory, square, range(10))
    for result in results:
        if result == 4:
            break
    assert left == [results]
    assert list(results) == [9, 16, 25, 36, 49, 64, 81]

    def interrupted() -> None:
        for _ in enumerate(mapped(memory, square, range(10))):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(left) == 2
    assert "1 of 10 results taken" in repr(left[1])
    assert list(mapped(memory, square, range(10))) == [x * x for x in range(10)]
    assert len(left) == 2


def test_asynchronously_it_is_the_same(memory: Any) -> None:
    async def collect() -> list[Any]:
        return [each async for each in mapped(memory, square, range(500), kind=AsyncMap)]

    taken = []

    async def fails() -> None:
        async for each in mapped(memory, fail_at_seven, range(50), kind=AsyncMap, chunksize=25):
            taken.append(each)

    there = asyncio.run_coroutine_threadsafe(collect(), memory.loop)
    assert there.result(DEADLINE) == [x * x for x in range(500)]
    assert asyncio.run(collect()) == [x * x for x in range(500)]
    with pytest.raises(ValueError, match="seven"):
        asyncio.run(fails())
    assert taken == list(range(7))


def test_large_results_are_brought(memory: Any) -> None:
    memory.peer.home_limit = 100
    assert list(mapped(memory, bytes, [1000, 2000], chunksize=1)) == [bytes(1000), bytes(2000)]

    async def collect() -> list[Any]:
        return [each async for each in mapped(memory, bytes, [1000, 2000], kind=AsyncMap)]

    assert asyncio.run(collect()) == [bytes(1000), bytes(2000)]


def test_what_cannot_be_a_map_is_refused(memory: Any) -> None:
    for broken, said in [
        ({"chunksize": 0}, "chunksize=0 cannot be"),
        ({"max_outstanding": -1}, "max_outstanding=-1 cannot be"),
    ]:
        with pytest.raises(UsageError, match=said):
            mapped(memory, square, range(3), **broken)
    with pytest.raises(UsageError, match="3 cannot be called"):
        mapped(memory, 3, range(3))
    with pytest.raises(UsageError, match="at least one iterable"):
        mapped(memory, square)
    keyed = memory.peer.submission(key="one")
    with pytest.raises(UsageError, match="a key names one call"):
        Map(
            keyed.map_maker(
                square, ([1],), chunksize=1, ordered=True, max_outstanding=None, return_exceptions=False
            )
        )


def test_the_function_is_packed_once_for_a_map(memory: Any) -> None:
    list(mapped(memory, lambda x: x, range(100), chunksize=1))
    messages = [message for message in memory.peer.sent if isinstance(message, c.SubmitCalls)]
    assert sum(len(message.functions) for message in messages) == 1


# -- sizes of chunks --------------------------------------------------------------------------


def test_chunks_grow_from_one_by_what_was_measured() -> None:
    sizer = ChunkSizer()
    assert sizer.next(2) == 1
    sizes = [1]
    for _ in range(10):
        sizer.measured(sizes[-1], sizes[-1] * 1e-5)
        sizes.append(sizer.next(2))
    assert all(later <= GROWTH * before for before, later in itertools.pairwise(sizes))
    assert sizes[-1] == pytest.approx(3000, abs=1)  # 30 ms of 10 µs


def test_slow_items_go_one_by_one() -> None:
    sizer = ChunkSizer()
    sizer.measured(1, 0.5)
    assert sizer.next(2) == 1


def test_a_chunk_has_no_more_bytes_than_it_should() -> None:
    sizer = ChunkSizer()
    sizer.measured(1000, 1e-3)
    sizer.drawn(1, 100_000)
    assert sizer.next(2) == 10


def test_towards_the_end_chunks_get_smaller() -> None:
    sizer = ChunkSizer(total=1000)
    sizer.measured(1000, 0.1)
    assert sizer.next(2) == 250
    sizer.drawn(800, 800)
    assert sizer.next(2) == 50
    sizer.drawn(160, 160)
    assert sizer.next(2) == 30  # 3 ms: smaller ones would cost more than they balance


def test_a_chosen_size_stays() -> None:
    sizer = ChunkSizer(17, 1000)
    sizer.measured(17, 100)
    assert sizer.next(2) == 17
