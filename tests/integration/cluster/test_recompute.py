"""Engines are killed with the values that they made: those are computed again, or it is said why not."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbcluster import Cluster, Future
from nbcluster.errors import DependencyFailed, EngineLost, UsageError
from nbcluster.testing.waiting import wait_until

DEADLINE = 30.0
LARGE = 80_000
"""Bytes that stay on the engine; three times as many still travel as bytes."""

SHARED = 1 << 19
"""Items of eight bytes that lie in shared memory."""


@pytest.fixture
def two(shared_cluster: Cluster) -> Cluster:
    """Lend the module's cluster with two new engines: those that died often are left alone."""
    shared_cluster.scale(0)
    shared_cluster.scale(2)
    shared_cluster.wait_for_engines(2, DEADLINE)
    return shared_cluster


def kill(cluster: Cluster, *numbers: int) -> None:
    """Kill engines, and wait until they are up again."""
    starts = {engine.number: engine.starts for engine in cluster.engines}
    for engine in cluster.engines:
        if engine.number in numbers:
            os.kill(engine.pid, signal.SIGKILL)
    wait_until(
        lambda: all(
            engine.starts > starts[engine.number] and engine.state in ("idle", "busy")
            for engine in cluster.engines
            if engine.number in numbers
        ),
        DEADLINE,
    )


def kill_where(cluster: Cluster, future: Future) -> None:
    assert future.engine is not None
    kill(cluster, future.engine)


def counted(path: Path, name: str) -> Callable[[bytes], bytes]:
    """A function that notes each run in a file, and makes a large value of what it is given."""

    def step(value: bytes) -> bytes:
        with path.open("a") as file:
            file.write(name)
        return value + name.encode() * LARGE

    return step


def gate(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def chain(cluster: Cluster, path: Path) -> Future:
    """Three large values, each made of the one before; the last alone is held."""
    future = cluster.submit(counted(path, "a"), b"")
    future = cluster.submit(counted(path, "b"), future)
    future = cluster.submit(counted(path, "c"), future)
    assert future.exception(DEADLINE) is None
    return future


def test_a_lost_value_is_computed_again_with_what_it_grew_from(two: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "runs"
    future = chain(two, path)
    kill_where(two, future)
    assert future.result(DEADLINE) == b"a" * LARGE + b"b" * LARGE + b"c" * LARGE
    assert path.read_text() == "abcabc"
    assert two.submit(len, future).result(DEADLINE) == 3 * LARGE
    assert [task.state for task in two.history() if task.task == future.task] == ["done"]


def test_arguments_in_shared_memory_outlive_their_call_for_this(two: Cluster, tmp_path: Path) -> None:
    array = np.arange(SHARED, dtype=float)
    future = two.submit(lambda values: values * 2, array)
    assert future.exception(DEADLINE) is None
    for value in range(4):  # fills the files anew that were let go
        two[:]["x"] = np.full(SHARED, float(value))
        assert two.submit(np.sum, np.full(SHARED, 7.0)).result(DEADLINE) == 7.0 * SHARED
    kill_where(two, future)
    assert np.array_equal(future.result(DEADLINE), array * 2)


def test_what_was_put_survives_its_engine_and_takes_no_memory_for_it(two: Cluster) -> None:
    array = np.arange(SHARED, dtype=float)
    large, small = two.put(array), two.put({"rows": list(range(20_000))})
    assert large.exception(DEADLINE) is small.exception(DEADLINE) is None
    for value in range(4):
        two[:]["x"] = np.full(SHARED, float(value))
    kill(two, 0, 1)
    assert np.array_equal(large.result(DEADLINE), array)
    assert small.result(DEADLINE)["rows"][-1] == 19_999


def test_who_waits_for_the_value_when_its_engine_dies_gets_it_all_the_same(
    two: Cluster, tmp_path: Path
) -> None:
    future = chain(two, tmp_path / "runs")
    assert future.engine is not None
    pid = two.engines[future.engine].pid
    os.kill(pid, signal.SIGSTOP)  # it answers nothing more
    other = two.submit(len, future)
    with ThreadPoolExecutor() as threads:
        value = threads.submit(future.result, DEADLINE)
        threading.Event().wait(0.2)
        os.kill(pid, signal.SIGKILL)
        assert value.result(DEADLINE) == b"a" * LARGE + b"b" * LARGE + b"c" * LARGE
    assert other.result(DEADLINE) == 3 * LARGE


def test_a_call_that_asks_a_dead_engine_for_its_input_runs_when_that_is_made_again(
    two: Cluster, tmp_path: Path
) -> None:
    value = two.options(on=[0, 1]).submit(counted(tmp_path / "runs", "a"), b"")
    assert value.exception(DEADLINE) is None
    assert value.engine is not None
    here, there = value.engine, 1 - value.engine
    pid = two.engines[here].pid
    os.kill(pid, signal.SIGSTOP)
    user = two.options(on=there).submit(len, value)  # it is sent, and waits for the value
    wait_until(lambda: f"was sent to engine {there}" in user.explain(), DEADLINE)
    os.kill(pid, signal.SIGKILL)
    assert user.result(DEADLINE) == LARGE
    assert (tmp_path / "runs").read_text() == "aa"


def test_explain_says_that_a_value_is_computed_again(two: Cluster, tmp_path: Path) -> None:
    again, go_on = tmp_path / "again", tmp_path / "go"

    def slow_the_second_time() -> bytes:
        if again.exists():
            gate(go_on)
        again.touch()
        return bytes(LARGE)

    future = two.submit(slow_the_second_time)
    assert future.exception(DEADLINE) is None
    assert f"its value lies on engine {future.engine}, and can be computed again" in future.explain()
    number = future.engine
    kill_where(two, future)
    said = f"was lost with engine {number}: engine {number} was killed by SIGKILL; it is computed again"
    assert said in future.explain()
    user = two.submit(len, future)
    assert "waits for 'slow_the_second_time'" in user.explain() or "sent ahead" in user.explain()
    go_on.touch()
    assert user.result(DEADLINE) == LARGE
    assert "computed again: " not in future.explain()


def test_what_may_not_run_twice_is_lost_and_says_so(two: Cluster) -> None:
    once = two.options(repeatable=False).submit(bytes, LARGE)
    pinned = two.options(on=0).submit(bytes, LARGE)
    named = two.options(namespace="exp1").submit(bytes, LARGE)
    assert once.exception(DEADLINE) is pinned.exception(DEADLINE) is named.exception(DEADLINE) is None
    kill(two, 0, 1)
    for future, why in (
        (once, "repeatable=False forbids"),
        (pinned, "bound to one engine never run again unasked"),
        (named, r"in a named namespace \(exp1\) never run again unasked"),
    ):
        with pytest.raises(EngineLost, match=f"was killed by SIGKILL, and is not computed again: .*{why}"):
            future.result(DEADLINE)
        with pytest.raises(EngineLost, match=why):
            two.submit(len, future).result(DEADLINE)


def test_a_failure_when_it_is_computed_again_is_told_with_the_story(two: Cluster, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(LARGE))
    future = two.submit(source.read_bytes)
    assert future.exception(DEADLINE) is None
    source.unlink()
    kill_where(two, future)
    with pytest.raises(EngineLost, match="when it was to be computed again, it raised FileNotFoundError"):
        future.result(DEADLINE)
    with pytest.raises(DependencyFailed, match="raised FileNotFoundError"):
        two.submit(len, future).result(DEADLINE)


def test_recipes_are_cut_beyond_their_bound_and_it_is_said(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBCLUSTER_RECIPE_LIMIT", "10000")
    with Cluster(1, name="bounded") as cluster:
        futures = [cluster.submit(bytes, LARGE + number) for number in range(6)]
        assert [future.exception(DEADLINE) for future in futures] == [None] * 6
        cut = "its recipe had been let go, because recipes take at most 0.01 MB in all"
        assert (
            futures[0]
            .explain()
            .endswith(f"and is lost with it: {cut}; a larger NBCLUSTER_RECIPE_LIMIT keeps more")
        )
        assert futures[-1].explain().endswith("and can be computed again")
        kill(cluster, 0)
        with pytest.raises(EngineLost, match=cut):
            futures[0].result(DEADLINE)
        assert futures[-1].result(DEADLINE) == bytes(LARGE + 5)


def test_a_bound_that_is_no_number_is_refused(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBCLUSTER_RECIPE_LIMIT", "much")
    with pytest.raises(UsageError, match="NBCLUSTER_RECIPE_LIMIT is 'much'"):
        Cluster(1, name="refused")


def test_intermediates_are_let_go_while_their_graph_still_runs(two: Cluster) -> None:
    def grow(value: bytes) -> bytes:
        return value + bytes(LARGE)

    def what_is_kept(value: bytes) -> tuple[int, int]:
        """Bytes that this engine keeps, once it has been told all that was let go."""
        from nbcluster.engine.store import Store

        [store] = [each for each in gc.get_objects() if isinstance(each, Store)]
        deadline = time.monotonic() + 10
        while store.nbytes > 1.5 * len(value) and time.monotonic() < deadline:
            time.sleep(0.01)
        return len(value), store.nbytes

    with two.graph() as g:
        future = g.submit(bytes, LARGE)
        for _ in range(9):
            future = g.submit(grow, future)
        last = g.submit(what_is_kept, future)
    del future
    size, kept = last.result(DEADLINE)
    assert size == 10 * LARGE
    assert size <= kept < 1.1 * size
