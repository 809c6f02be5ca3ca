"""Every kind of bad input of a program, the error that it raises, and the phrase that says what to do next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nbcluster import Cluster
from nbcluster.client.discovery import find_cluster
from nbcluster.client.startup import start_cluster
from nbcluster.errors import (
    ClusterExists,
    ControllerLost,
    EngineLost,
    LauncherError,
    NBClusterError,
    NoEngines,
    NotSupported,
    UnknownCluster,
    UnknownTarget,
    UsageError,
)
from nbcluster.testing.leftovers import find_processes
from nbcluster.testing.waiting import wait_until
from nbcluster.transport.rendezvous import connection_path, read_connection_file, write_connection_file

DEADLINE = 20.0


@dataclass(frozen=True)
class Bad:
    """Something that cannot be done to a cluster of two engines, 0 and 1."""

    what: str
    do: Callable[[Cluster], Any]
    error: type[NBClusterError]
    said: str


TABLE = [
    Bad("number", lambda c: c[9].execute("1"), UnknownTarget, r"no engine 9; there are engines 0, 1"),
    Bad("negative number", lambda c: c[-3].execute("1"), UnknownTarget, r"there are engines 0, 1"),
    Bad("tag", lambda c: c["gpu"].execute("1"), UnknownTarget, r"no engine is called 'gpu'; there are"),
    Bad("near tag", lambda c: c["pyton"].execute("1"), UnknownTarget, r"did you mean 'python'"),
    Bad("empty slice", lambda c: c[7:9].execute("1"), NoEngines, r"the engines are 0 \(python, idle\)"),
    Bad("empty list", lambda c: c[[]], UsageError, r"use cluster\[:\] for every engine"),
    Bad("range", lambda c: c["0-1"], UsageError, r"write 0:2"),
    Bad("no comma", lambda c: c["0 1"], UsageError, r"need commas: 0, 1"),
    Bad("step 0", lambda c: c[::0], UsageError, r"step 0"),
    Bad("float", lambda c: c[1.5], UsageError, r"only integers, slices .* not float 1.5"),
    Bad("bool", lambda c: c[True], UsageError, r"True"),
    Bad("any and others", lambda c: c["any,0"], UsageError, r"stands alone"),
    Bad("timeout 0", lambda c: c[0].execute("1", timeout=0), UsageError, r"number of seconds above 0"),
    Bad("timeout < 0", lambda c: c[0].execute("1", timeout=-1), UsageError, r"seconds above 0"),
    Bad("timeout nan", lambda c: c[0].execute("1", timeout=float("nan")), UsageError, r"seconds above 0"),
    Bad("startup any", lambda c: c.send_cell("1", "any", startup=True), UsageError, r"give it a tag"),
    Bad("add -1", lambda c: c.add(-1), UsageError, r"use remove\(\) or scale\(\)"),
    Bad("scale -1", lambda c: c.scale(-1), UsageError, r"0 or more"),
    Bad(
        "kernel",
        lambda c: c.add(1, kernel="nope"),
        UsageError,
        r"no kernel 'nope'.*installed: .*kernelspec list",
    ),
    Bad("near kernel", lambda c: c.add(1, kernel="pyton3"), UsageError, r"did you mean 'python3'\?"),
    Bad(
        "launcher",
        lambda c: c.add(1, launcher="slurm"),
        LauncherError,
        r"no launcher 'slurm'; installed: local",
    ),
    Bad("tag any", lambda c: c.add(1, tags=["any"]), UsageError, r"'any' cannot be a tag"),
    Bad("tag number", lambda c: c.add(1, tags=["7"]), UsageError, r"'7' cannot be a tag"),
    Bad("cwd", lambda c: c.add(1, cwd="/nowhere"), LauncherError, r"'/nowhere' does not exist"),
    Bad("log", lambda c: c.logs(9), UnknownTarget, r"no engine 9"),
    Bad("restart", lambda c: c.restart(9), UnknownTarget, r"no engine 9"),
    Bad("remove", lambda c: c.remove("gpu"), UnknownTarget, r"'gpu'"),
    Bad("signal", lambda c: c[0].signal(999), UsageError, r"999 is no signal"),
    Bad("signal -1", lambda c: c[0].signal(-1), UsageError, r"-1 is no signal"),
    Bad("file", lambda c: c[0].run("/nowhere.py"), UsageError, r"/nowhere.py cannot be read"),
    Bad("cluster", lambda c: Cluster.connect("nope"), UnknownCluster, r"no cluster 'nope'.*%cluster start"),
    Bad("file of none", lambda c: Cluster.connect("/nowhere/x.json"), UnknownCluster, r"/nowhere/x.json"),
    Bad("name", lambda c: Cluster(1, name="a/b"), UsageError, r"use up to 64 letters"),
    Bad("empty name", lambda c: Cluster(1, name=""), UsageError, r"use up to 64 letters"),
    Bad("n < 0", lambda c: Cluster(-1), UsageError, r"0 starts an empty one"),
    Bad("tag of new", lambda c: Cluster(1, tags=["all"]), UsageError, r"'all' cannot be a tag"),
]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.what)
def test_bad_input_is_refused_at_once(shared: Cluster, world: Any, bad: Bad) -> None:
    before = [(engine.number, engine.pid) for engine in shared.engines]
    with pytest.raises(bad.error, match=f"(?s){bad.said}") as caught:
        bad.do(shared)
    assert type(caught.value) is bad.error
    for engine in shared.engines:
        if engine.state == "failed":
            shared.remove(engine.number)
    assert [(engine.number, engine.pid) for engine in shared.engines] == before
    assert shared[0].execute("'goes on'", check=True).value == "goes on"


def test_zero_engines_is_an_empty_cluster() -> None:
    with Cluster(0, name="empty") as cluster:
        assert cluster.engines == []
        with pytest.raises(NoEngines, match="the cluster has none; `%cluster add 1` starts one"):
            cluster[:].execute("1")


def test_an_engine_that_just_died_is_waited_for_not_refused(shared: Cluster) -> None:
    os.kill(shared.engines[0].pid or 0, signal.SIGKILL)
    result = shared[0].execute("1")  # sent to the dying process or held for the next one
    assert result.ok or isinstance(result.error, EngineLost)
    assert shared[0].execute("1", check=True).ok


def test_a_second_cluster_of_the_same_name_is_refused_and_harms_nothing(world: Any) -> None:
    with Cluster(1, name="taken") as cluster:
        with pytest.raises(ClusterExists, match=r"'taken' runs already; connect to it with Cluster.connect"):
            start_cluster("taken", idle_timeout=None)
        wait_until(lambda: len(list(world.runtime.iterdir())) == 1, DEADLINE, "the refused one to be gone")
        assert Cluster.connect("taken")[0].execute("'here'").value == "here"
        with pytest.raises(ClusterExists):
            start_cluster("taken", idle_timeout=None)
        assert cluster[0].execute("1").ok


def test_a_stale_connection_file_is_said_and_is_no_hindrance(world: Any) -> None:
    with Cluster(0, name="gone") as cluster:
        file = read_connection_file(connection_path("gone"))
    assert not cluster.is_connected
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = connection_path("gone")
    write_connection_file(path, msgspec.structs.replace(file, pid=ended.pid))
    with pytest.raises(
        UnknownCluster, match=r"'gone' ended without removing .*Start it again with `%cluster start`"
    ):
        Cluster.connect("gone")
    write_connection_file(path, msgspec.structs.replace(file, pid=ended.pid))
    with Cluster(0, name="gone") as fresh:
        assert fresh.started_here


def test_a_file_that_is_no_connection_file_is_said(world: Any, tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    file.write_text(json.dumps({"shell_port": 1}))
    with pytest.raises(UnknownCluster, match=r"some.json is no readable connection file of a cluster"):
        Cluster.connect(file)
    connection_path("broken").write_text("{")
    with pytest.raises(UnknownCluster, match=r"broken.json is no readable connection file"):
        Cluster.connect("broken")
    with pytest.raises(UnknownCluster, match="no cluster runs"):
        find_cluster()
    connection_path("broken").unlink()


def test_a_controller_that_does_not_answer_is_said(world: Any) -> None:
    with Cluster(0, name="mute") as cluster:
        pid = cluster.status().pid
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(ControllerLost, match=r"did not answer within 0.3 s; .*nbcluster stop mute"):
                Cluster.connect("mute", timeout=0.3)
        finally:
            os.kill(pid, signal.SIGCONT)


# -- places -----------------------------------------------------------------------------------


def test_a_path_too_long_for_sockets(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBCLUSTER_DIR", str(world.top / ("d" * 90)))
    with pytest.raises(
        LauncherError, match=r"too long a path for ipc sockets.*set NBCLUSTER_DIR to a shorter"
    ):
        Cluster(0, name="long")


def test_a_directory_that_cannot_be_used(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = world.top / "a file"
    file.touch()
    monkeypatch.setenv("NBCLUSTER_DIR", str(file))
    with pytest.raises(LauncherError, match=r"a file cannot be used: File exists; set NBCLUSTER_DIR"):
        Cluster(0, name="nodir")
    monkeypatch.setenv("NBCLUSTER_DIR", "/proc/nbcluster")
    with pytest.raises(LauncherError, match=r"/proc/nbcluster cannot be used: .*; set NBCLUSTER_DIR"):
        Cluster(0, name="nodir")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "/proc/nbcluster")
    with pytest.raises(LauncherError, match=r"cannot be used: .*; set JUPYTER_RUNTIME_DIR"):
        Cluster(0, name="nodir")


@pytest.fixture
def full_directory(world: Any) -> Iterator[Path]:
    """Mount a file system that is full."""
    place = world.top / "full"
    place.mkdir()
    options = "size=4k,mode=0700"
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True)
    if mount.returncode:
        pytest.skip(f"needs the right to mount: {mount.stderr.decode().strip()}")
    try:
        (place / "filler").write_bytes(b"x" * 4096)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)  # also when a failed test still uses it


@pytest.mark.parametrize("variable", ["NBCLUSTER_DIR", "JUPYTER_RUNTIME_DIR"])
def test_a_full_directory(
    world: Any, monkeypatch: pytest.MonkeyPatch, full_directory: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(full_directory))
    with pytest.raises(LauncherError, match=r"No space left on device"):
        Cluster(1, name="full", timeout=10)
    wait_until(lambda: not find_processes(world.test_id), DEADLINE, "the processes to end")
    left = [path.name for path in full_directory.rglob("*") if path.is_file()]
    assert left == ["filler"]


# -- kernels ----------------------------------------------------------------------------------


def test_no_kernelspec_at_all(world: Any, shared: Cluster) -> None:
    with pytest.raises(
        UsageError, match=r"no kernel 'rust' on this machine.*installed: .*`jupyter kernelspec list`"
    ):
        shared.start_up_to(1, kernel="rust")


def test_values_to_a_kernel_that_does_not_load_nbcluster(bash_kernel: str) -> None:
    with Cluster(0, name="no-values") as cluster:
        cluster.add(1, kernel=bash_kernel)
        said = r"engine 0 runs the kernel 'bash' \(bash\), which does not load nbcluster.*use a cell in its language"
        for attempt in (
            lambda: cluster[0].push({"x": 1}),
            lambda: cluster[0]["x"],
            lambda: cluster["bash"].pull("x"),
        ):
            with pytest.raises(NotSupported, match=said):
                attempt()
        assert cluster[0].execute("echo goes on").stdout == "goes on\n"
