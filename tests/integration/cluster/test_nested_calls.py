"""Calls that submit calls and wait for them, on no more engines than there are."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nbcluster import Cluster, as_completed, current_cluster, gather, wait
from nbcluster.client import current
from nbcluster.errors import TaskCancelled, TaskTimeout, UsageError

DEADLINE = 30.0


@pytest.fixture(scope="module")
def one_engine(module_world: Any) -> Iterator[Cluster]:
    """Start a cluster of a single engine."""
    with Cluster(1, name="single") as cluster:
        yield cluster


@pytest.fixture
def one(one_engine: Cluster) -> Cluster:
    """Lend the cluster of a single engine."""
    one_engine.wait_for_engines(1, DEADLINE)
    return one_engine


def nested(n: int) -> int:
    cluster = current_cluster()
    return sum(gather([cluster.submit(abs, -i) for i in range(n)]))


def fib(n: int) -> int:
    if n < 2:
        return n
    cluster = current_cluster()
    first, second = cluster.submit(fib, n - 1), cluster.submit(fib, n - 2)
    return int(first.result()) + int(second.result())


def count_down(n: int) -> int:
    return 0 if not n else 1 + int(current_cluster().submit(count_down, n - 1).result())


def test_a_call_waits_for_its_own_on_the_only_engine(one: Cluster) -> None:
    assert one.submit(nested, 3).result(DEADLINE) == 3


def test_a_function_that_names_its_cluster_has_it_on_the_engine(one: Cluster) -> None:
    current.use(one)
    assert one.submit(lambda: one.submit(pow, 2, 3).result()).result(DEADLINE) == 8
    assert one.submit(current_cluster).result(DEADLINE) is one


@pytest.mark.parametrize("how", ["result", "exception", "wait", "as_completed", "map"])
def test_every_way_to_wait_lends_the_engine(one: Cluster, how: str) -> None:
    def outer() -> Any:
        cluster = current_cluster()
        if how == "map":
            return sum(cluster.map(abs, [-1, -2]))
        futures = [cluster.submit(abs, -1), cluster.submit(abs, -2)]
        if how == "wait":
            assert not wait(futures).not_done
        elif how == "as_completed":
            return sum(future.result() for future in as_completed(futures))
        elif how == "exception":
            assert [future.exception() for future in futures] == [None, None]
        return sum(future.result() for future in futures)

    assert one.submit(outer).result(DEADLINE) == 3


def leaves(depth: int) -> int:
    if not depth:
        return 1
    cluster = current_cluster()
    return sum(gather([cluster.submit(leaves, depth - 1) for _ in range(3)]))


def test_recursion_on_two_engines(shared: Cluster) -> None:
    assert shared.submit(fib, 18).result(8 * DEADLINE) == 2584  # by 8,361 calls


def test_trees_deeper_than_the_engines(shared: Cluster) -> None:
    trees = [shared.submit(leaves, depth) for depth in (5, 4, 3)]
    assert gather(trees, timeout=4 * DEADLINE) == [243, 81, 27]


def test_recursion_without_end_on_two_engines_is_an_error(shared: Cluster) -> None:
    with pytest.raises(UsageError, match="wait on top of each other"):
        shared.submit(count_down, 1000).result(2 * DEADLINE)
    assert shared.submit(fib, 5).result(DEADLINE) == 5


def test_recursion_deeper_than_the_engines(one: Cluster) -> None:
    assert one.submit(count_down, 12).result(DEADLINE) == 12


def test_many_waiting_calls_do_not_pile_up(one: Cluster) -> None:
    futures = [one.submit(nested, 3) for _ in range(60)]
    assert gather(futures, timeout=DEADLINE) == [3] * 60


def test_recursion_without_end_is_an_error(one: Cluster) -> None:
    with pytest.raises(UsageError, match="wait on top of each other"):
        one.submit(count_down, 1000).result(DEADLINE)
    assert one.submit(nested, 3).result(DEADLINE) == 3


def test_an_error_of_an_inner_call_arrives_as_itself(one: Cluster) -> None:
    def outer() -> str:
        try:
            current_cluster().submit(int, "x").result()
        except ValueError as error:
            return str(error)
        return "nothing"

    assert "invalid literal" in one.submit(outer).result(DEADLINE)
    with pytest.raises(ZeroDivisionError):
        one.submit(lambda: current_cluster().submit(lambda: 1 / 0).result()).result(DEADLINE)


def test_output_of_inner_and_outer_stay_apart(one: Cluster) -> None:
    def inner() -> str:
        from nbcluster.engine.context import current_task

        print("of the inner")
        task = current_task()
        return task.label if task else ""

    def outer() -> tuple[str, str, str]:
        from nbcluster.engine.context import current_task

        print("before")
        future = current_cluster().submit(inner)
        value = future.result()
        print("after")
        task = current_task()
        return value, future.output, task.label if task else ""

    future = one.submit(outer)
    assert future.result(DEADLINE) == ("inner", "of the inner\n", "outer")
    assert future.output == "before\nafter\n"


def test_a_coroutine_function_runs_on_top_of_a_waiting_call(one: Cluster) -> None:
    async def inner(x: int) -> int:
        import asyncio

        await asyncio.sleep(0)
        return 2 * x

    assert one.submit(lambda: current_cluster().submit(inner, 4).result()).result(DEADLINE) == 8


def test_cancelling_the_outer_leaves_the_inner_alone(one: Cluster) -> None:
    def slow_inner() -> str:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            time.sleep(0.01)
        return "whole"

    def outer() -> Any:
        return current_cluster().submit(slow_inner).result()

    future = one.submit(outer)
    until = time.monotonic() + DEADLINE
    while not [task for task in one.tasks() if task.label == "slow_inner" and task.state == "running"]:
        assert time.monotonic() < until
        threading.Event().wait(0.02)
    assert future.cancel(DEADLINE)
    with pytest.raises(TaskCancelled):
        future.result(0)
    ended = [task for task in one.history() if task.label == "slow_inner"]
    assert [task.state for task in ended] == ["done"]


def test_time_limits_of_waiting_calls_and_of_inner_ones(one: Cluster) -> None:
    def outer() -> int:
        return int(current_cluster().options(timeout=20).submit(abs, -5).result())

    assert one.options(timeout=20).submit(outer).result(DEADLINE) == 5

    def forever() -> None:
        threading.Event().wait()

    with pytest.raises(TaskTimeout):
        one.submit(lambda: current_cluster().options(timeout=0.3).submit(forever).result()).result(DEADLINE)


def test_calls_that_belong_to_engines_wait_for_each_other(shared: Cluster) -> None:
    def outer(other: int) -> int:
        return int(current_cluster().options(on=other).submit(abs, -other - 1).result())

    futures = [shared.options(on=me).submit(outer, 1 - me) for me in (0, 1) for _ in range(5)]
    assert gather(futures, timeout=DEADLINE) == [2] * 5 + [1] * 5


def test_a_cell_lends_its_engine(one: Cluster) -> None:
    one[0].execute(
        "from nbcluster import current_cluster, gather\n"
        "found = gather([current_cluster().submit(pow, 2, n) for n in range(4)])",
        check=True,
    )
    assert one[0].pull("found") == [1, 2, 4, 8]
    assert one.submit(nested, 3).result(DEADLINE) == 3
