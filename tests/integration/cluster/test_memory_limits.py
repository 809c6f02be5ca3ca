"""Engines keep within their memory: results go to disk and come back, and nothing is left of them whatever dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from nbcluster import Cluster
from nbcluster.cli.leftovers import clean_all
from nbcluster.errors import OutOfMemory, UsageError
from nbcluster.testing.waiting import wait_until
from nbcluster.transport.segments import ABOUT
from tests.conftest import World

ITEMS = 30_000_000 // 8
LIMIT = 200_000_000


def make(number: int) -> np.ndarray:
    import numpy

    return numpy.full(30_000_000 // 8, float(number))


def total(array: np.ndarray) -> float:
    return float(array.sum())


def files_of(world: World) -> list[Path]:
    """Return the values on disk."""
    return [path for path in world.spill.rglob("*") if path.is_file() and path.name != ABOUT]


def own_memory(pid: int) -> int:
    found = psutil.Process(pid).memory_info()
    return int(found.rss - found.shared)


def test_twenty_results_of_30_mb_are_kept_within_200_mb(world: World) -> None:
    with Cluster(1, memory_limit="200MB") as cluster:
        pid = cluster.engines[0].pid
        assert pid is not None
        most = 0
        futures = [cluster.submit(make, number) for number in range(20)]
        for made in futures:
            assert made.exception(60) is None
            shared = sum(path.stat().st_blocks * 512 for path in world.shared.rglob("e*"))
            most = max(most, own_memory(pid) + shared)
        assert most < LIMIT + 60_000_000, "what a call works with comes on top of what is kept"
        assert len(files_of(world)) >= 15
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in files_of(world))

        memory = cluster.status(usage=True).engines[0].memory
        shared = sum(path.stat().st_blocks * 512 for path in world.shared.rglob("e*"))
        assert memory is not None
        assert shared > 20_000_000
        assert abs(memory - own_memory(pid) - shared) < 20_000_000, "warm mappings do not count a second time"

        sums = [cluster.submit(total, future) for future in futures]
        assert [future.result(60) for future in sums] == [number * ITEMS for number in range(20)], (
            "as arguments"
        )
        assert cluster.submit(lambda many: [part[0] for part in many], futures).result(60) == list(range(20))
        assert all((each.result(60) == number).all() for number, each in enumerate(futures)), "and here"
        assert own_memory(pid) < LIMIT + 60_000_000
        said = "".join(str(future.output) for future in futures)
        assert said.count("nbcluster: engine 0 uses") == 1, said
        assert "lie on disk" in said
        wait_until(
            lambda: "engine 0 has" in str(cluster.describe()), 10, "describe() to say what lies on disk"
        )

        del futures, made
        wait_until(lambda: not files_of(world), 10, "the files to go with their values")
    assert not list(world.spill.iterdir())


def test_results_on_disk_come_where_no_memory_is_shared(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBCLUSTER_SHARED", "off")
    with Cluster(2, memory_limit="200MB") as cluster:
        first = cluster.options(on=0)
        futures = [first.submit(make, number) for number in range(6)]
        other = [cluster.options(on=1).submit(total, future) for future in futures]
        assert [future.result(60) for future in other] == [number * ITEMS for number in range(6)]
        assert files_of(world)
        assert all((future.result(60) == number).all() for number, future in enumerate(futures))


@pytest.mark.parametrize("limit", ["2 chairs", "-5GB", 12, "1e400GB", float("nan"), True, "3MB"])
def test_a_limit_that_cannot_be_meant_is_refused(limit: object) -> None:
    with pytest.raises(UsageError, match=r"memory_limit=.* cannot be: .*'2GB'"):
        Cluster(1, memory_limit=limit)  # type: ignore[arg-type]  # that is the point


def test_a_killed_engine_leaves_no_file(world: World) -> None:
    with Cluster(1, memory_limit="200MB") as cluster:
        futures = [cluster.options(repeatable=False).submit(make, number) for number in range(6)]
        assert all(future.exception(60) is None for future in futures)
        assert files_of(world)
        pid = cluster.engines[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not files_of(world), 20, "what it left to be swept")


def test_killed_heads_leave_what_clean_removes(world: World) -> None:
    cluster = Cluster(1, name="doomed", memory_limit="200MB")
    futures = [cluster.submit(make, number) for number in range(6)]
    assert all(future.exception(60) is None for future in futures)
    assert files_of(world)
    status = cluster.status()
    for pid in status.pids[:2]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(psutil.pid_exists, status.pids[1:])), 20, "the engines to end")
    cluster.close()
    clean_all()
    assert not list(world.spill.iterdir())


@pytest.fixture
def tiny_disk(world: World) -> Iterator[Path]:
    """A file system that is full after one result."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a file system can be mounted by root alone")
    place = world.spill / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=50m,mode=700", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
    place.rmdir()


def test_results_that_outgrow_memory_and_disk_fail_and_the_rest_is_kept(
    tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBCLUSTER_SPILL", str(tiny_disk))
    with Cluster(1, memory_limit="200MB") as cluster:
        futures = [cluster.submit(make, number) for number in range(8)]
        errors = [future.exception(60) for future in futures]
        kept = [number for number, error in enumerate(errors) if error is None]
        assert 2 <= len(kept) < 8
        failed = next(error for error in errors if error is not None)
        assert isinstance(failed, OutOfMemory)
        assert isinstance(failed, MemoryError)
        assert "the result has 28.61 MiB, and engine 0 can keep it neither in memory" in str(failed)
        assert "No space left on device" in str(failed)
        assert "memory_limit=" in str(failed)
        assert all((futures[number].result(60) == number).all() for number in kept), "nothing is lost"
        assert cluster.submit(sum, [1, 2]).result(60) == 3, "the engine goes on"

        del futures, errors, failed
        wait_until(lambda: not list(tiny_disk.rglob("e*")), 10, "the disk to be free")
        time_limit = time.monotonic() + 10
        while (again := cluster.submit(make, 5)).exception(60) is not None:
            assert time.monotonic() < time_limit, again.exception()
        assert (again.result() == 5).all(), "and has room again"


def test_an_engine_that_is_full_of_variables_begins_no_calls_and_says_why(world: World) -> None:
    with Cluster(1, memory_limit="200MB") as cluster:
        cluster[0].execute("big = bytearray(b'1') * 300_000_000", check=True)
        cluster.submit(pow, 2, 3).exception(60)  # by its end at the latest it is looked at
        wait_until(lambda: cluster.engines[0].memory_note, 10, "the engine to say so")
        status = cluster.engines[0]
        assert status.memory_limit == LIMIT
        assert "engine 0 uses" in status.memory_note
        assert "it begins no further calls until some is free" in repr(status)

        future = cluster.submit(pow, 2, 4)
        wait_until(lambda: "it begins no further calls" in future.explain(), 4, "the reason")
        error = future.exception(30)
        assert isinstance(error, OutOfMemory)
        assert "it was not begun within 5 s: engine 0 uses" in str(error)

        stalled = cluster.submit(pow, 2, 5)
        del cluster[0]["big"]  # behind it
        late = stalled.exception(30)  # it runs if the memory is free again within its time
        assert late is None or isinstance(late, OutOfMemory)
        wait_until(lambda: cluster.submit(pow, 2, 5).exception(30) is None, 10, "calls to go on")
        wait_until(lambda: not cluster.engines[0].memory_note, 10, "nothing to be said")


def test_a_memory_error_of_a_call_is_its_own() -> None:
    with Cluster(1, memory_limit="200MB") as cluster:
        error = cluster.submit(bytearray, 1 << 60).exception(60)
        assert type(error) is MemoryError
        assert cluster.submit(sum, [1, 2]).result(60) == 3
