"""Large values between engines that share no memory: straight, encrypted off-host, and lost with their source."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from nbcluster import Cluster
from nbcluster.errors import NBClusterError
from nbcluster.protocol.offers import SHIPPED_FROM
from nbcluster.testing.hosts import OTHER_HOSTS, WHERE
from nbcluster.testing.leftovers import find_processes
from nbcluster.testing.waiting import wait_until

np = pytest.importorskip("numpy")

DEADLINE = 60.0
LARGE = 8 << 20

can_have_namespaces = os.geteuid() == 0 and (
    subprocess.run(["unshare", "-n", "ip", "link"], capture_output=True, check=False).returncode == 0
    if Path("/usr/bin/unshare").exists() and Path("/usr/sbin/ip").exists()
    else False
)


def make(items: int) -> Any:
    import numpy

    return numpy.arange(items, dtype="u1")


def spoil(array: Any) -> tuple[int, int]:
    """Tell what came, and write to it."""
    told = len(array), int(array.sum())
    array[:] = 1
    return told


Hosts = Callable[..., Cluster]


@pytest.fixture
def hosts(world: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Start a cluster with an engine at each place, over tcp and without shared memory."""
    monkeypatch.setenv("NBCLUSTER_TRANSPORT", "tcp")
    monkeypatch.setenv("NBCLUSTER_SHARED", "off")
    with ExitStack() as stack:

        def start(*places: str) -> Cluster:
            first, *others = places
            cluster = stack.enter_context(
                Cluster(1, name="hosts", launcher=OTHER_HOSTS, env={WHERE: first}, timeout=DEADLINE)
            )
            for place in others:
                cluster.add(1, launcher=OTHER_HOSTS, env={WHERE: place})
            cluster.wait_for_engines(len(places), DEADLINE)
            return cluster

        yield start


def doors_at(address: str, world: Any) -> set[int]:
    """The ports at which processes of this test listen at an address."""
    ours = {process.pid for process in find_processes(world.test_id)}
    return {
        at.laddr.port
        for at in psutil.net_connections("tcp4")
        if at.status == psutil.CONN_LISTEN and at.laddr.ip == address and at.pid in ours
    }


@pytest.mark.parametrize("encryption", ["", "always"])
def test_values_of_many_sizes_are_used_elsewhere_and_brought_here(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, encryption: str
) -> None:
    monkeypatch.setenv("NBCLUSTER_ENCRYPTION", encryption)
    cluster = hosts("127.0.0.2", "127.0.0.3")
    for items in (1000, SHIPPED_FROM - 200, SHIPPED_FROM + 1, LARGE, 3 * LARGE + 7):
        made = cluster.options(on=0).submit(make, items)
        expected = make(items)
        told = items, int(expected.sum())
        # Two calls that take the same value do not see what the other writes.
        uses = [cluster.options(on=1).submit(spoil, made) for _ in range(3)]
        assert [use.result(DEADLINE) for use in uses] == [told] * 3
        brought = made.result(DEADLINE)
        assert np.array_equal(brought, expected)
        brought[:1] = 7
        assert cluster.options(on=1).submit(spoil, made).result(DEADLINE) == told


def test_many_small_buffers_and_text_go_the_same_way(hosts: Hosts) -> None:
    cluster = hosts("127.0.0.2", "127.0.0.3")
    made = cluster.options(on=0).submit(lambda: ["x" * (3 << 20), *[make(70_000) for _ in range(100)]])
    total = cluster.options(on=1).submit(lambda parts: sum(map(len, parts)), made)
    assert total.result(DEADLINE) == (3 << 20) + 100 * 70_000
    assert sum(map(len, made.result(DEADLINE))) == (3 << 20) + 100 * 70_000
    assert isinstance(made.result(DEADLINE)[0], str)


def test_a_value_does_not_pass_through_the_controller(hosts: Hosts) -> None:
    cluster = hosts("127.0.0.2", "127.0.0.3")
    made = cluster.options(on=0).submit(make, 64 << 20)
    made.exception(DEADLINE)
    with nothing_large_passes_through_the_controller(cluster):
        assert cluster.options(on=1).submit(len, made).result(DEADLINE) == 64 << 20
        assert len(made.result(DEADLINE)) == 64 << 20


def memory_of(pid: int, field: str) -> int:
    """Bytes of a process: VmRSS are those that it has, VmHWM the most that it ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{field}:"))) << 10


@contextmanager
def nothing_large_passes_through_the_controller(cluster: Cluster) -> Iterator[None]:
    pid = cluster.status().pid
    before = memory_of(pid, "VmHWM")
    yield
    assert memory_of(pid, "VmHWM") - before < 16 << 20


def test_a_door_is_opened_when_it_is_needed_and_closed_with_its_engine(hosts: Hosts, world: Any) -> None:
    cluster = hosts("127.0.0.2", "127.0.0.3")
    before = doors_at("127.0.0.2", world)
    made = cluster.options(on=0).submit(make, LARGE)
    made.exception(DEADLINE)
    assert doors_at("127.0.0.2", world) == before
    assert cluster.options(on=1).submit(len, made).result(DEADLINE) == LARGE
    (door,) = doors_at("127.0.0.2", world) - before
    cluster.restart(0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", door))
    cluster.stop(force=True)
    assert doors_at("127.0.0.2", world) == doors_at("127.0.0.3", world) == set()


def test_a_source_that_is_killed_in_the_midst_ends_the_wait(hosts: Hosts) -> None:
    cluster = hosts("127.0.0.2", "127.0.0.3")
    items = 1 << 29
    made = cluster.options(on=0).submit(make, items)
    assert made.exception(DEADLINE) is None
    source, taker = (engine.pid or 0 for engine in cluster.engines)
    before = memory_of(taker, "VmRSS")
    use = cluster.options(on=1).submit(len, made)
    wait_until(lambda: memory_of(taker, "VmRSS") - before > 32 << 20, DEADLINE, "the transfer to begin")
    os.kill(source, signal.SIGKILL)
    begun = time.monotonic()
    assert memory_of(taker, "VmRSS") - before < items  # it was not over
    error = use.exception(DEADLINE)
    if error is None:  # it was computed again
        assert use.result() == items
    else:
        assert isinstance(error, NBClusterError)
        assert "lost" in str(error)
    assert time.monotonic() - begun < 30
    assert cluster.options(on=1).submit(len, b"goes on").result(DEADLINE) == 7


def test_one_host_without_shared_memory_uses_a_local_socket(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBCLUSTER_SHARED", "off")
    with Cluster(2, name="unshared") as cluster:
        made = cluster.options(on=0).submit(make, 64 << 20)
        made.exception(DEADLINE)
        with nothing_large_passes_through_the_controller(cluster):
            assert cluster.options(on=1).submit(spoil, made).result(DEADLINE)[0] == 64 << 20
            assert np.array_equal(made.result(DEADLINE), make(64 << 20))
    assert world.leftovers() == ""


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str, str]]:
    """Make two network namespaces on a bridge of this machine; return two places, and the address of this end."""
    mark = f"nb{os.getpid() % 100_000}"
    net = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
    names = f"{mark}l", f"{mark}r"

    def ip(*words: str, check: bool = True) -> None:
        subprocess.run(["ip", *words], check=check, capture_output=True)

    try:
        ip("link", "add", mark, "type", "bridge")
        ip("addr", "add", f"{net}.1/24", "dev", mark)
        ip("link", "set", mark, "up")
        for number, name in enumerate(names, 2):
            ip("netns", "add", name)
            ip("link", "add", f"v{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"v{name}", "master", mark, "up")
            ip("-n", name, "addr", "add", f"{net}.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield f"{names[0]} {net}.2", f"{names[1]} {net}.3", f"{net}.1"
    finally:
        for name in names:
            ip("netns", "del", name, check=False)
        ip("link", "del", mark, check=False)


@pytest.mark.skipif(not can_have_namespaces, reason="network namespaces need root")
def test_engines_in_two_network_namespaces_send_to_each_other(
    namespaces: tuple[str, str, str], hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right, here = namespaces
    monkeypatch.setenv("NBCLUSTER_ADDRESS", here)
    cluster = hosts(left, right)
    made = cluster.options(on=0).submit(make, 64 << 20)
    made.exception(DEADLINE)
    with nothing_large_passes_through_the_controller(cluster):
        assert cluster.options(on=1).submit(spoil, made).result(DEADLINE) == spoil(make(64 << 20))
        assert np.array_equal(made.result(DEADLINE), make(64 << 20))
    assert cluster[:].execute("1 + 1", check=True)[1].value == 2


@pytest.mark.skipif(not can_have_namespaces, reason="network namespaces need root")
def test_a_road_that_is_blocked_leads_through_the_controller(
    namespaces: tuple[str, str, str], hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right, here = namespaces
    monkeypatch.setenv("NBCLUSTER_ADDRESS", here)
    cluster = hosts(left, right)
    name = left.partition(" ")[0]
    # Between the two nothing passes any more; both still reach the controller.
    subprocess.run(
        ["ip", "-n", name, "route", "add", "blackhole", f"{right.partition(' ')[2]}/32"], check=True
    )
    made = cluster.options(on=0).submit(make, LARGE)
    assert cluster.options(on=1).submit(spoil, made).result(DEADLINE) == spoil(make(LARGE))
    assert "is asked of the controller" in cluster.logs(1)
