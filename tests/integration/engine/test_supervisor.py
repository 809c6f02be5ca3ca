"""A supervisor starts, signals, reaps and reports, and leaves nothing behind."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from nbcluster.protocol.supervision import Signal, Spawn, SpawnFailed
from nbcluster.testing.waiting import wait_until


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run(client: Any, code: str) -> dict[str, Any]:
    reply: dict[str, Any] = client.execute_interactive(
        code, timeout=20, allow_stdin=False, output_hook=lambda message: None
    )
    return reply["content"]


def test_an_exec_ed_process_is_reported_with_its_code_once(host: Any) -> None:
    host.spawn("a", sys.executable, "-c", "import sys; print('out'); sys.exit(7)")
    end = host.exited("a")
    assert (end.code, end.signum) == (7, None)
    script = "pwd; echo $X; echo ${HOME-unset}"
    host.spawn("a", "/bin/sh", "-c", script, env={"X": "1", "HOME": None}, cwd="/usr")
    assert host.exited("a").code == 0
    assert host.log("a") == "out\n/usr\n1\nunset\n"
    assert (host.directory / "a.log").stat().st_mode & 0o777 == 0o600
    assert (host.directory / "supervisor.log").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_started_is_reported(host: Any) -> None:
    for order in (
        Spawn("x", ("/no/such/program",), False, str(host.directory / "x.log")),
        Spawn("x", (sys.executable,), False, str(host.directory / "x.log"), cwd="/no/such/directory"),
        Spawn("x", ("-f", "k.json"), True, str(host.directory / "x.log"), cwd="/no/such/directory"),
        Spawn("x", ("-f", "k.json"), True, "/no/such/directory/x.log"),
    ):
        host.order(order)
        report = host.report()
        assert isinstance(report, SpawnFailed)
        assert "/no/such" in report.reason
    host.spawn("x", "/bin/cat", "/dev/null")
    assert host.exited("x").code == 0


def test_a_signal_reaches_the_group(host: Any) -> None:
    pid = host.spawn("s", "/bin/sh", "-c", "sleep 77 & echo $!; wait")
    child = int(wait_until(lambda: host.log("s").strip()))
    host.order(Signal("s", signal.SIGTERM, group=True))
    assert host.exited("s").signum == signal.SIGTERM
    wait_until(lambda: not is_running(child))
    assert not is_running(pid)


def test_what_a_dead_process_left_in_its_group_is_killed(host: Any) -> None:
    host.spawn("s", "/bin/sh", "-c", "sleep 78 & echo $!")
    assert host.exited("s").code == 0
    wait_until(lambda: not is_running(int(host.log("s"))))


def test_an_engine_answers_and_its_death_is_reported(host: Any, each_start_method: str) -> None:
    pid, file = host.engine(env={"COLOUR": "red"}, cwd="/usr", path=("/first", "/second"))
    client = host.client(file)
    code = "import os, sys; assert os.getcwd() == '/usr'; assert os.environ['COLOUR'] == 'red'; "
    code += "assert [entry for entry in sys.path if entry][:2] == ['/first', '/second'], sys.path; "
    code += f"assert os.getpid() == os.getpgrp() == {pid}; assert 'JPY_PARENT_PID' not in os.environ"
    assert run(client, code)["status"] == "ok"
    assert psutil.Process(pid).ppid() == host.process.pid
    psutil.Process(pid).kill()
    end = host.exited("e")
    assert (end.pid, end.code, end.signum) == (pid, None, signal.SIGKILL)


@pytest.fixture
def host(each_start_method: str, start_host: Callable[..., Any]) -> Any:
    return start_host()


def test_engines_differ_in_their_randomness(start_host: Callable[..., Any]) -> None:
    host = start_host()
    seen = set()
    for key in ("a", "b"):
        _, file = host.engine(key)
        reply = host.client(file).execute(
            "import random", user_expressions={"r": "random.random()"}, reply=True, timeout=20
        )
        seen.add(reply["content"]["user_expressions"]["r"]["data"]["text/plain"])
    assert len(seen) == 2


def test_an_engine_has_no_descriptor_of_its_supervisor(start_host: Callable[..., Any]) -> None:
    host = start_host()
    pid, file = host.engine()
    host.client(file)
    sockets = {fd.readlink().name for fd in Path(f"/proc/{host.process.pid}/fd").iterdir()}
    of_engine = {fd.readlink().name for fd in Path(f"/proc/{pid}/fd").iterdir()}
    shared = {name for name in sockets & of_engine if not name.startswith("null")}
    assert len(shared) == 1, "the lifeline"
    assert next(iter(shared)).startswith("pipe")


def test_the_supervisor_has_one_thread(start_host: Callable[..., Any]) -> None:
    host = start_host()
    _, file = host.engine()
    host.client(file)
    assert len(list(Path(f"/proc/{host.process.pid}/task").iterdir())) == 1
    maps = Path(f"/proc/{host.process.pid}/maps").read_text()
    assert "numpy" not in maps
    fds = [str(fd.readlink()) for fd in Path(f"/proc/{host.process.pid}/fd").iterdir()]
    assert not [name for name in fds if "eventpoll" in name or "eventfd" in name], "no loop, no zmq context"


def test_all_ends_with_the_controller(host: Any) -> None:
    engine, file = host.engine()
    host.client(file)
    stubborn = host.spawn("s", "/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 79; done")
    wait_until(lambda: host.log("s"))
    assert host.stop() == 0
    assert not is_running(engine)
    assert not is_running(stubborn)
    assert not host.directory.exists()


def test_sigterm_ends_a_cluster(host: Any) -> None:
    engine, file = host.engine()
    host.client(file)
    host.process.terminate()
    assert host.process.wait(20) == 128 + signal.SIGTERM
    assert not is_running(host.controller)
    assert not is_running(engine)


def test_engines_die_with_a_killed_controller(host: Any) -> None:
    engine, file = host.engine()
    host.client(file)
    psutil.Process(host.controller).kill()
    assert host.process.wait(20) == 128 + signal.SIGKILL
    assert not is_running(engine)


def test_engines_outlive_their_supervisor_but_not_also_the_controller(host: Any, world: Any) -> None:
    engine, file = host.engine()
    client = host.client(file)
    foreign = host.spawn("f", "/bin/sleep", "80")
    host.process.kill()
    host.process.wait()
    wait_until(lambda: not is_running(foreign), what="the foreign program to die with its parent")
    assert run(client, "1")["status"] == "ok"
    psutil.Process(host.controller).kill()
    wait_until(lambda: not is_running(engine), what="the engine to die")
    for path in sorted(world.runtime.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_controller_that_cannot_start_says_why(
    each_start_method: str, start_host: Callable[..., Any]
) -> None:
    host = start_host(meet=False, fail=True)
    assert b"this controller cannot start" in host.process.stdout.read()
    assert host.process.wait(20) == 1
    assert not host.directory.exists()
