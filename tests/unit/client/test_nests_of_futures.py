"""Nests of Futures: lists, dicts with Futures as values or as keys, and whatever else can be iterated."""

from __future__ import annotations

import asyncio
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from nbcluster import as_completed, gather, wait
from nbcluster.client.calling import CallingCluster
from nbcluster.errors import UsageError
from nbcluster.protocol import messages as m

DEADLINE = 5.0


def three(memory: Any) -> dict[Any, int]:
    submission = memory.peer.submission()
    return {submission.send(abs, (-number,), {}): number for number in range(3)}


def cancel(memory: Any, futures: Any) -> None:
    cluster: Any = SimpleNamespace(calls=memory.peer.calls)  # all that cancelling looks at
    asyncio.run_coroutine_threadsafe(CallingCluster.cancel(cluster, futures), memory.loop).result(DEADLINE)


def test_a_dict_keyed_by_futures_is_taken_everywhere(memory: Any) -> None:
    futures = three(memory)
    assert gather(futures, timeout=DEADLINE) == [0, 1, 2]
    assert wait(futures, DEADLINE).done == set(futures)
    assert set(as_completed(futures, DEADLINE)) == set(futures)
    assert gather({"a": futures, "b": []}, timeout=DEADLINE) == {"a": [0, 1, 2], "b": []}
    assert gather(futures.keys(), timeout=DEADLINE) == [0, 1, 2]


def test_a_dict_with_futures_as_values_keeps_giving_a_dict(memory: Any) -> None:
    one, two, three_ = three(memory)
    assert gather({"a": one, "b": (two, [three_])}, timeout=DEADLINE) == {"a": 0, "b": (1, [2])}
    assert gather({one: two}, timeout=DEADLINE) == {one: 1}
    assert gather({}) == {}
    assert gather(one, timeout=DEADLINE) == [0]


@pytest.mark.parametrize("shape", [dict, list, iter, dict.keys, lambda futures: (f for f in futures)])
def test_cancel_takes_whatever_gives_futures(memory: Any, shape: Any) -> None:
    memory.peer.held = True
    futures = three(memory)
    deadline = time.monotonic() + DEADLINE
    while len(memory.peer._waiting) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    cancel(memory, shape(futures))
    assert wait(futures, DEADLINE).not_done == set()
    assert [future.cancelled() for future in futures] == [True] * 3
    stops = [message for message in memory.peer.sent if isinstance(message, m.CancelTasks)]
    assert [stop.tasks for stop in stops] == [tuple(future.task for future in futures)]


@pytest.mark.parametrize("wrong", [3, {"a": 3}, [3]])
def test_what_is_no_future_is_said(memory: Any, wrong: Any) -> None:
    for use in (gather, lambda nest: cancel(memory, nest)):
        with pytest.raises(UsageError, match=re.escape("int 3 is no Future")):
            use(wrong)
