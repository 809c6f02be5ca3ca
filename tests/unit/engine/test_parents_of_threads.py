"""Threads and pool calls run under the parent of the code that started them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from nbcluster.engine.parents import ThreadParents

current: ContextVar[str | None] = ContextVar("current", default=None)


@contextmanager
def under(parent: str) -> Iterator[None]:
    token = current.set(parent)
    try:
        yield
    finally:
        current.reset(token)


@pytest.fixture(autouse=True)
def parents() -> Iterator[None]:
    before = threading.Thread.start, ThreadPoolExecutor.submit
    installed: ThreadParents[str] = ThreadParents(current.get, under)
    installed.install()
    yield
    installed.uninstall()
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == before


def run_thread(seen: list[str | None], depth: int = 1) -> threading.Thread:
    def work() -> None:
        seen.append(current.get())
        if depth > 1:
            run_thread(seen, depth - 1).join()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_threads_and_their_threads_inherit_the_parent() -> None:
    seen: list[str | None] = []
    with under("cell 1"):
        thread = run_thread(seen, depth=3)
    with under("cell 2"):
        thread.join()
    assert seen == ["cell 1"] * 3
    assert "run" not in vars(thread)


def test_outside_of_cells_threads_are_left_alone() -> None:
    seen: list[str | None] = []
    run_thread(seen).join()
    assert seen == [None]


def test_a_subclass_with_its_own_run_inherits_too() -> None:
    seen: list[str | None] = []

    class Own(threading.Thread):
        def run(self) -> None:
            seen.append(current.get())

    with under("cell"):
        own = Own()
        own.start()
        own.join()
    assert seen == ["cell"]


def test_a_pool_serves_each_submitter_under_its_own_parent() -> None:
    with ThreadPoolExecutor(1) as pool:
        with under("cell 1"):
            first = pool.submit(current.get)
        with under("cell 2"):
            second = pool.submit(lambda *, more: (current.get(), more), more=1)
            mapped = list(pool.map(lambda _: current.get(), range(2)))
        assert first.result() == "cell 1"
        assert second.result() == ("cell 2", 1)
        assert mapped == ["cell 2"] * 2
