"""Stories of a cluster's life: started, found, scaled, left, stopped, and what of it ends by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from nbcluster import AsyncCluster, Cluster
from nbcluster.client.discovery import find_cluster
from nbcluster.errors import ClusterInUse, ControllerLost, NoEngines, UnknownCluster, UsageError
from nbcluster.testing.leftovers import find_processes
from nbcluster.testing.waiting import wait_until

DEADLINE = 20.0


def numbers(cluster: Cluster) -> list[int]:
    return [engine.number for engine in cluster.engines]


def test_with_starts_a_cluster_and_ends_what_it_started(world) -> None:
    with Cluster(2, name="mine") as cluster:
        assert cluster.started_here
        assert numbers(cluster) == [0, 1]
        assert {engine.state for engine in cluster.engines} == {"idle"}
        assert cluster[:].execute("6 * 7", check=True)[1].value == 42
        assert len(find_processes(world.test_id)) == 4  # supervisor, controller, two engines
    assert world.leftovers() == ""  # at once: stop() returns when all is gone
    with pytest.raises(ControllerLost, match="'mine' ended: stopped by"):
        cluster.status()


def test_with_leaves_a_cluster_that_it_found(world) -> None:
    first = Cluster(1, name="kept")
    with Cluster(1, name="kept") as second:
        assert not second.started_here
        second[0].execute("x = 7", check=True)
    assert first[0]["x"] == 7
    first.close()
    assert Path(find_cluster("kept")).exists()
    again = Cluster.connect("kept")
    assert again[0]["x"] == 7  # a client that comes back finds the engines with their state
    with pytest.raises(UsageError, match="'kept' is not connected; start it, or connect"):
        first.status()
    again.stop()
    assert world.leftovers() == ""


def test_starting_again_adds_engines_and_never_removes_one() -> None:
    with Cluster(1, name="grows") as cluster:
        pids = {engine.number: engine.pid for engine in cluster.engines}
        assert numbers(Cluster(3, name="grows")) == [0, 1, 2]
        assert numbers(Cluster(1, name="grows")) == [0, 1, 2]
        assert cluster.engines[0].pid == pids[0]


def test_numbers_are_kept_and_the_lowest_free_one_is_used_again() -> None:
    with Cluster(3, name="numbers") as cluster:
        cluster[:].execute("mark = 1", check=True)
        assert cluster.remove(1) == [1]
        assert numbers(cluster) == [0, 2]
        assert cluster.add(2, tags=["new"]) == [1, 3]
        assert cluster["new"].execute("'mark' in globals()")[1].value is False
        assert cluster[2]["mark"] == 1
        assert cluster.scale(2) == [2, 3]  # the highest go first
        assert numbers(cluster) == [0, 1]
        assert cluster.scale(0) == [0, 1]
        assert numbers(cluster) == []
        with pytest.raises(NoEngines, match="%cluster add 1"):
            cluster[:].execute("1")
        assert cluster.scale(1) == [0]
        assert cluster[0].execute("1").ok


def test_an_idle_engine_is_removed_before_a_busy_one() -> None:
    with Cluster(2, name="idle-first") as cluster:
        future = cluster[1].execute("import time\nwhile True: time.sleep(.01)", wait=False)
        wait_until(future.running, DEADLINE, "the cell to run")
        assert cluster.scale(1) == [0]
        assert numbers(cluster) == [1]
        assert future.cancel()


def test_connect_by_name_by_file_to_the_only_one_or_not_at_all() -> None:
    with pytest.raises(UnknownCluster, match="no cluster runs; start one"):
        Cluster.connect()
    with Cluster(0, name="one"):
        assert Cluster.connect().name == "one"
        file = find_cluster("one")
        assert Cluster.connect(file).name == "one"
        assert Cluster.connect(str(file)).name == "one"
        with pytest.raises(UnknownCluster, match="did you mean 'one'"):
            Cluster.connect("oen")
        with Cluster(0, name="two"):
            assert Cluster.connect("two").name == "two"
            with pytest.raises(UnknownCluster, match="several clusters run: one, two; name"):
                find_cluster()


def test_stop_names_the_other_client_and_can_be_forced(script) -> None:
    cluster = Cluster(1, name="contested")
    other = script(
        """
        from nbcluster import Cluster
        from nbcluster.errors import ControllerLost
        cluster = Cluster.connect("contested")
        print("here", flush=True)
        try:
            cluster[0].execute("import time; time.sleep(60)", timeout=90, check=True)
        except ControllerLost as error:
            print(error)
        """
    )
    assert other.stdout.readline() == "here\n"
    with pytest.raises(ClusterInUse, match=rf"'contested' is also used by .*process {other.pid}.*force=True"):
        cluster.stop()
    wait_until(lambda: cluster.engines[0].state == "busy", DEADLINE, "the other's cell to run")
    cluster.stop(force=True)
    assert "ended: stopped by" in other.stdout.read()


def test_a_client_that_is_killed_is_no_longer_in_the_way(script) -> None:
    cluster = Cluster(1, name="survivor")
    other = script(
        """
        from nbcluster import Cluster
        cluster = Cluster.connect("survivor")
        cluster[0].execute("left = 'behind'", check=True)
        print("here", flush=True)
        input()
        """
    )
    assert other.stdout.readline() == "here\n"
    assert len(cluster.status().clients) == 2
    other.send_signal(signal.SIGKILL)
    wait_until(lambda: len(cluster.status().clients) == 1, DEADLINE, "the dead client to be forgotten")
    assert cluster[0]["left"] == "behind"
    cluster.stop()


SCRIPT = """
import os, sys
from nbcluster import Cluster
cluster = Cluster(1)
print(cluster.name, cluster.engines[0].pid, flush=True)
if sys.argv[1] == "wait":
    future = cluster[0].execute("import time; time.sleep(60)", wait=False)
    input()
if sys.argv[1] == "raise":
    raise SystemExit(3)
"""


@pytest.mark.parametrize("how", ["return", "raise"])
def test_a_scripts_own_cluster_ends_with_the_script(world, script, how) -> None:
    process = script(SCRIPT, how)
    name, _ = process.stdout.readline().split()
    assert name.startswith("script-")
    assert process.wait(DEADLINE) == (3 if how == "raise" else 0)
    assert world.leftovers() == ""


def test_a_killed_scripts_own_cluster_ends_within_seconds(world, script) -> None:
    process = script(SCRIPT, "wait")
    _, pid = process.stdout.readline().split()
    assert psutil.pid_exists(int(pid))
    began = time.monotonic()
    process.kill()
    process.wait()
    wait_until(lambda: world.leftovers() == "", 30, "the script's cluster to end, though a cell runs")
    assert time.monotonic() - began > 1  # it could have come back


def test_idle_timeout_ends_a_cluster_that_nobody_uses(world) -> None:
    cluster = Cluster(1, name="idler", idle_timeout=0.5)
    assert cluster.idle_timeout == 0.5
    began = time.monotonic()
    future = cluster[0].execute("import time; time.sleep(1.5)", wait=False)
    wait_until(future.running, DEADLINE, "the cell to run")
    cluster.close()
    assert find_cluster("idler")
    wait_until(lambda: world.leftovers() == "", 30, "the cluster to end")
    assert time.monotonic() - began > 1.9  # the cell was let end first


def test_idle_timeout_does_not_end_a_cluster_with_a_client() -> None:
    with Cluster(0, name="used", idle_timeout=0.2) as cluster:
        with Cluster.connect("used"):
            pass
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 0.6 and cluster.status(), 30, "three idle timeouts")
        cluster.set_options(idle_timeout=-1)
        assert cluster.status().idle_timeout is None


def test_the_async_cluster_is_the_same(world) -> None:
    async def story() -> None:
        async with AsyncCluster(2, name="async") as cluster:
            result = await cluster[0].execute("x = 6; x * 7")
            assert result.value == 42
            assert await cluster[0].pull("x") == 6
            future = await cluster[:].execute("'value'", wait=False)
            assert await future == {0: "value", 1: "value"}
            await cluster[1].push({"y": [1]})
            assert await cluster[1].pull(["y", "y"]) == [[1], [1]]
            assert await cluster.add(1) == [2]
            assert await cluster.remove(2) == [2]
            async with await AsyncCluster.connect("async") as second:
                assert await second[0].pull("x") == 6
            assert [engine.number for engine in (await cluster.status()).engines] == [0, 1]
        assert world.leftovers() == ""

    asyncio.run(story())


def test_two_starts_at_once_make_one_cluster(world) -> None:
    async def story() -> None:
        first, second = AsyncCluster(1, name="race"), AsyncCluster(1, name="race")
        await asyncio.gather(first.start(), second.start())
        assert (await first.status()).pid == (await second.status()).pid
        assert len((await first.status()).engines) == 1
        await second.close()
        await first.stop()

    asyncio.run(story())


def test_wait_for_engines_says_what_is_missing() -> None:
    with Cluster(1, name="waits") as cluster:
        assert [engine.number for engine in cluster.wait_for_engines(1)] == [0]
        with pytest.raises(TimeoutError, match=r"1 of 2 engines were ready after 0.2 s \(0 idle\)"):
            cluster.wait_for_engines(2, timeout=0.2)


def test_wait_for_engines_does_not_count_one_that_just_died() -> None:
    with Cluster(1, name="counts") as cluster:
        before = cluster.engines[0].pid
        for _ in range(3):
            cluster[0].execute(f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})")
            found = cluster.wait_for_engines(1)
            assert found[0].pid != before
            before = found[0].pid


def test_the_state_of_engines_outlives_the_client_process(script) -> None:
    first = script(
        """
        from nbcluster import Cluster
        cluster = Cluster(1, name="stays")
        cluster[0]["kept"] = [1, 2]
        """
    )
    assert first.wait(DEADLINE) == 0
    cluster = Cluster.connect("stays")
    assert cluster[0]["kept"] == [1, 2]
    cluster.stop()


def test_a_cluster_whose_controller_ended_says_so_and_can_be_started_again() -> None:
    cluster = Cluster(1, name="again")
    os.kill(cluster.status().pid, signal.SIGTERM)
    with pytest.raises(ControllerLost, match="ended: received SIGTERM"):
        wait_until(lambda: cluster[0].execute("1") and False, DEADLINE, "the loss")
    with Cluster(1, name="again") as fresh:
        assert fresh.started_here
        assert fresh[0].execute("1").ok
