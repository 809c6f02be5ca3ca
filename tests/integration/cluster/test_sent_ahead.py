"""Chains on real engines: sent ahead, failing in the middle, and losing the engine under them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbcluster import Cluster
from nbcluster.errors import DependencyFailed
from nbcluster.testing.waiting import wait_until

DEADLINE = 60.0


@pytest.fixture(scope="module")
def cluster(module_world: Any) -> Iterator[Cluster]:
    """Start a cluster of two engines."""
    with Cluster(2, name="ahead") as cluster:
        yield cluster


@pytest.fixture
def two(cluster: Cluster) -> Cluster:
    """Lend the cluster when both engines are up."""
    cluster.wait_for_engines(2, DEADLINE)
    return cluster


def increment(x: int) -> int:
    return x + 1


def grow(x: bytes) -> bytes:
    return x + b"x"


def test_a_chain_of_a_thousand_gives_its_value(two: Cluster) -> None:
    future = two.submit(increment, 0)
    for _ in range(999):
        future = two.submit(increment, future)
    assert future.result(DEADLINE) == 1000


def test_a_chain_of_large_values_gives_its_value(two: Cluster) -> None:
    future = two.submit(grow, b"x" * 200_000)
    for _ in range(30):
        future = two.submit(grow, future)
    assert len(future.result(DEADLINE)) == 200_031


def test_a_failure_in_the_middle_fails_the_rest_which_never_runs(two: Cluster, tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    def broken(x: int) -> int:
        raise ZeroDivisionError(f"at {x}")

    def touch(x: int) -> int:
        mark.touch()
        return x

    future = two.submit(increment, 0)
    for _ in range(50):
        future = two.submit(increment, future)
    after = [two.submit(touch, two.submit(broken, future))]
    for _ in range(50):
        after.append(two.submit(touch, after[-1]))
    for failed in after:
        error = failed.exception(DEADLINE)
        assert isinstance(error, DependencyFailed)
        assert "ZeroDivisionError: at 51" in str(error)
    assert not mark.exists()


def test_a_chain_goes_on_when_its_engine_is_killed_under_it(two: Cluster, tmp_path: Path) -> None:
    started, go_on = tmp_path / "pid", tmp_path / "go"

    def first() -> int:
        started.with_suffix(".new").write_text(str(os.getpid()))
        started.with_suffix(".new").replace(started)
        deadline = time.monotonic() + DEADLINE
        while not go_on.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return 0

    future = two.submit(first)
    for _ in range(20):
        future = two.submit(increment, future)
    wait_until(started.exists, DEADLINE)
    go_on.touch()
    os.kill(int(started.read_text()), signal.SIGKILL)
    assert future.result(DEADLINE) == 20
