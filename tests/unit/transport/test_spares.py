"""Spares are made when they are wanted and dropped when nobody uses them, by a thread that ends in between."""

from __future__ import annotations

import queue
import threading

from nbcluster.testing.waiting import wait_until
from nbcluster.transport.spares import Spares


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "nbcluster spare memory"]


def test_what_is_made_is_dropped_and_the_thread_ends_and_begins_again() -> None:
    dropped: queue.SimpleQueue[str] = queue.SimpleQueue()
    spares = Spares(lambda size: None if size == 2 else f"spare of {size}", dropped.put, 0.001)
    for _ in range(2):
        for size in (1, 2, 3):
            spares.want(size)
        assert [dropped.get(timeout=10), dropped.get(timeout=10)] == ["spare of 1", "spare of 3"]
        wait_until(lambda: not _threads(), 10.0, "the thread to end")
    assert dropped.empty()
