"""Stories of what dies, hangs or will not let go: everything that waits ends, with the reason, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from nbcluster import Cluster
from nbcluster.client import connection
from nbcluster.core.restarts import LIMIT
from nbcluster.errors import (
    ControllerLost,
    EngineErrors,
    EngineLost,
    LauncherError,
    RemoteError,
    TaskCancelled,
)
from nbcluster.protocol import messages as m
from nbcluster.testing.waiting import wait_until
from nbcluster.transport import rendezvous

DEADLINE = 20.0
FOREVER = "print('began', flush=True)\nimport time\nwhile True: time.sleep(.01)"
KILL_ITSELF = "import os; os.kill(os.getpid(), 9)"


def running(cluster: Cluster, targets: Any, code: str = FOREVER) -> Any:
    """Start a cell and wait until each engine is in it."""
    future = cluster[targets].execute(code, wait=False)
    wait_until(
        lambda: all("began" in r.stdout for r in future.results.values()), DEADLINE, "the cell to begin"
    )
    return future


def stuck(cluster: Cluster, number: int) -> Any:
    """Start a cell that stays in C code, which holds the GIL, and wait until it is there."""
    word = uuid.uuid4().hex
    code = f"import ctypes; ctypes.PyDLL(None).system(b'echo {word}; sleep 30')"
    future = cluster[number].execute(code, wait=False)
    wait_until(lambda: word in cluster.logs(number), DEADLINE, "the cell to be in C")
    return future


# -- engines ----------------------------------------------------------------------------------


def test_a_killed_engine_loses_its_cell_and_comes_back_under_its_number(shared: Cluster) -> None:
    shared[:].execute("kept = 1", check=True)
    pids = {engine.number: engine.pid for engine in shared.engines}
    undisturbed = shared[1].execute("import time; time.sleep(1); 'undisturbed'", wait=False)
    future = running(shared, 0)
    began = time.monotonic()
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(EngineLost, match=r"engine 0 was killed by SIGKILL while it ran"):
        future.result(DEADLINE)
    assert time.monotonic() - began < 10
    assert shared[0].execute("'kept' in globals()", check=True).value is False
    assert time.monotonic() - began < 15
    assert undisturbed.result(DEADLINE) == "undisturbed"
    assert shared[1]["kept"] == 1
    engines = {engine.number: engine for engine in shared.engines}
    assert engines[0].pid != pids[0]
    assert engines[1].pid == pids[1]


def test_the_next_cell_says_that_the_engine_was_restarted(shared: Cluster) -> None:
    def notices() -> list[str]:
        run = shared.send_cell("1", "0")
        events = [item[0] for item in run.events() if item is not None]
        return [event.notice for event in events if isinstance(event, m.TaskStarted)]

    shared[0].execute(KILL_ITSELF)
    assert notices() == ["engine 0 was restarted after it was killed by SIGKILL; its names are lost"]
    assert notices() == [""]
    shared.restart(0)
    notice = shared[0].execute("1").notice
    assert notice.startswith("engine 0 was restarted at ")
    assert "its names are lost" in notice
    assert shared[0].execute("1").notice == ""


def test_what_waits_for_a_killed_engine_runs_on_the_next_life(shared: Cluster) -> None:
    future = running(shared, 0)
    waiting = shared[0].execute("'after'", wait=False)
    os.kill(shared.engines[0].pid, signal.SIGKILL)
    assert isinstance(future.exception(DEADLINE), EngineLost)
    assert waiting.result(DEADLINE) == "after"


def test_exit_in_a_cell_ends_the_engine_and_says_so(shared: Cluster) -> None:
    result = shared[0].execute("import os; os._exit(7)")
    assert isinstance(result.error, EngineLost)
    assert "exited with code 7" in str(result.error)
    assert shared[0].execute("1", check=True).ok


def test_an_engine_that_keeps_dying_is_left_alone_until_it_is_restarted() -> None:
    with Cluster(2, name="dies") as cluster:
        for _ in range(LIMIT + 1):
            cluster[0].execute(KILL_ITSELF)
        with pytest.raises(
            EngineLost, match=r"engine 0 has failed.*died 6 times within 60 s and is left alone"
        ):
            cluster[0].execute("1")
        state = cluster.engines[0]
        assert state.state == "failed"
        assert "`%cluster restart 0` starts it again" in state.note
        assert list(cluster[:].execute("1")) == [1]
        assert cluster.restart(0) == [0]
        assert cluster[0].execute("'again'").value == "again"
        for _ in range(LIMIT + 1):
            cluster[0].execute(KILL_ITSELF)
        wait_until(lambda: cluster.engines[0].state == "failed", DEADLINE, "the failure")
        assert cluster.remove(0) == [0]
        assert [engine.number for engine in cluster.engines] == [1]


def write_kernel(world: Any, name: str, argv: list[str]) -> None:
    directory = world.jupyter_data / "kernels" / name
    directory.mkdir(parents=True)
    spec = {"argv": argv, "display_name": name, "language": "python"}
    (directory / "kernel.json").write_text(json.dumps(spec))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('my last words')"], "my last words"),
        (["/nowhere/kernel", "{connection_file}"], "/nowhere/kernel"),
        ([sys.executable, "-c", "import os; os.abort()"], "SIGABRT"),
    ],
)
def test_an_engine_that_dies_at_start_shows_its_stderr(world: Any, argv: list[str], said: str) -> None:
    write_kernel(world, "dies", argv)
    with Cluster(1, name="starts") as cluster:
        with pytest.raises(LauncherError, match=rf"engine 1 did not start.*(?s:.*){said}"):
            cluster.add(1, kernel="dies")
        assert cluster.engines[1].state == "failed"
        assert list(cluster[:].execute("1")) == [0]
        cluster.remove(1)
        assert len(cluster.engines) == 1


def test_a_cluster_whose_first_engine_dies_at_start_is_not_left_behind(world: Any) -> None:
    write_kernel(world, "dies", [sys.executable, "-c", "import sys; sys.exit('my last words')"])
    with pytest.raises(LauncherError, match="my last words"):
        Cluster(1, name="never", kernel="dies")
    assert world.leftovers() == ""


def test_a_kernel_that_never_answers_is_given_up(world: Any) -> None:
    write_kernel(
        world, "mute", [sys.executable, "-c", "print('says this', flush=True); import time; time.sleep(90)"]
    )
    with pytest.raises(LauncherError, match=r"did not answer within 1 s(?s:.*)says this"):
        Cluster(1, name="never", kernel="mute", timeout=1)
    assert world.leftovers() == ""


# -- interrupts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "import asyncio; await asyncio.sleep(60)",
        "import subprocess; subprocess.run(['sleep', '60'])",
    ],
)
def test_a_cancel_interrupts_keeps_the_state_and_hits_nothing_else(shared: Cluster, code: str) -> None:
    shared[0]["state"] = "kept"
    others = running(shared, 1)
    took = []
    for _ in range(5):
        future = running(shared, 0, f"print('began', flush=True)\n{code}")
        began = time.monotonic()
        assert future.cancel()
        took.append(time.monotonic() - began)
    assert max(took) < 10, took  # far from the minute that it would take; how fast it is, the benchmarks say
    assert shared[0]["state"] == "kept"
    assert others.running()
    others.cancel()


def test_interrupt_means_whatever_runs_there(shared: Cluster) -> None:
    future = running(shared, [0, 1])
    assert shared.interrupt(0) == [0]
    wait_until(lambda: future.results[0].error is not None, DEADLINE, "engine 0 to be interrupted")
    assert future.results[0].error.ename == "KeyboardInterrupt"
    assert future.running()
    assert shared.interrupt([1]) == [1]
    assert isinstance(future.exception(DEADLINE), EngineErrors)


def test_a_cell_stuck_in_c_is_given_up_by_force(shared: Cluster) -> None:
    shared[1]["state"] = "kept"
    future = stuck(shared, 0)
    assert future.cancel(timeout=0.3) is False
    assert shared[1].execute("'not held up'", timeout=5, check=True).value == "not held up"
    began = time.monotonic()
    assert future.cancel(timeout=10, force=True) is True
    assert time.monotonic() - began < 20  # the cell sleeps longer
    assert shared[0].execute("'new life'", check=True).value == "new life"
    assert shared[1]["state"] == "kept"


def test_a_call_stuck_in_c_is_given_up_by_force(shared: Cluster) -> None:
    def stay(word: str) -> None:
        import ctypes

        ctypes.PyDLL(None).system(f"echo {word}; sleep 30".encode())

    word = uuid.uuid4().hex
    future = shared.options(on=0).submit(stay, word)
    wait_until(lambda: word in shared.logs(0), DEADLINE, "the call to be in C")
    assert future.cancel(timeout=0.3) is False
    assert shared.options(on=1).submit(pow, 2, 3).result(DEADLINE) == 8
    began = time.monotonic()
    assert future.cancel(timeout=10, force=True) is True
    assert time.monotonic() - began < 20  # the call sleeps longer
    assert future.cancelled()
    assert shared.options(on=0).submit(pow, 2, 4).result(DEADLINE) == 16


def test_a_cell_stuck_in_c_is_ended_by_a_restart_of_its_engine_alone(shared: Cluster) -> None:
    pid = shared.engines[1].pid
    future = stuck(shared, 0)
    began = time.monotonic()
    assert shared.restart(0) == [0]
    assert time.monotonic() - began < 15
    with pytest.raises(EngineLost, match="engine 0 was restarted at"):
        future.result(DEADLINE)
    assert shared.engines[1].pid == pid


def test_a_cell_that_will_not_end_is_given_up_with_the_way_out(shared: Cluster) -> None:
    future = stuck(shared, 0)
    future.cancel(timeout=0.1)
    with pytest.raises(TaskCancelled, match=r"engine 0 is still stuck in it: `%cluster restart 0`"):
        future.result(DEADLINE)
    shared.restart(0)
    assert shared[0].execute("1", check=True).ok


# -- controller and supervisor ----------------------------------------------------------------


def waiting_calls(cluster: Cluster) -> tuple[list[threading.Thread], list[BaseException]]:
    """Wait for a lost cluster in every way that there is, each in a thread."""
    errors: list[BaseException] = []

    def record(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    future = cluster[0].execute(FOREVER, wait=False)
    calls = [
        lambda: cluster[0].execute("1", check=True),
        lambda: future.result(),
        lambda: cluster[0]["x"],
        lambda: cluster.wait_for_engines(9),
        lambda: cluster.add(1, kernel="mute"),
        lambda: (list(cluster.send_cell("1", "0").events()), cluster.status()),
    ]
    threads = [threading.Thread(target=record, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    wait_until(lambda: cluster.status().queued >= 3, DEADLINE, "the calls to wait")
    return threads, errors


@pytest.mark.parametrize("who", ["controller", "supervisor"])
def test_when_controller_or_supervisor_is_killed_every_wait_ends_and_nothing_is_left(
    world: Any, who: str
) -> None:
    write_kernel(world, "mute", [sys.executable, "-c", "import time; time.sleep(90)"])
    cluster = Cluster(2, name="killed")
    cluster[1].execute("import subprocess; child = subprocess.Popen(['sleep', '90'])", check=True)
    threads, errors = waiting_calls(cluster)
    pid = cluster.status().pid
    victim = pid if who == "controller" else psutil.Process(pid).ppid()
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    assert time.monotonic() - began < 15
    assert len(errors) == len(threads)
    assert [type(error) for error in errors] == [ControllerLost] * len(errors)
    wait_until(lambda: world.leftovers() == "", 30, "everything to end")
    with pytest.raises(ControllerLost):
        cluster.status()


@pytest.mark.parametrize("slowly", [False, True], ids=["at once", "slowly"])
def test_a_cell_stuck_in_c_does_not_outlive_a_killed_controller(
    world: Any, slowly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(1, name="stuck")
    future = stuck(cluster, 0)
    if slowly:  # a busy host takes its time between the end of the connection and that of the process
        seen_until = time.monotonic() + 4 * rendezvous.DYING
        is_alive = rendezvous.is_alive
        monkeypatch.setattr(
            rendezvous, "is_alive", lambda pid: is_alive(pid) or time.monotonic() < seen_until
        )
    os.kill(cluster.status().pid, signal.SIGKILL)
    with pytest.raises(
        ControllerLost, match=r"'stuck' .* ended; its engines end with it. Start the cluster again"
    ):
        future.result(DEADLINE)
    wait_until(lambda: world.leftovers() == "", 30, "everything to end")


def test_a_controller_that_hangs_is_noticed_by_its_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 3 * connection.BEAT_INTERVAL <= 12
    monkeypatch.setattr(connection, "BEAT_INTERVAL", 0.4)
    cluster = Cluster(1, name="hangs")
    pid = cluster.status().pid
    future = running(cluster, 0)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            future.result(0.1)
        with pytest.raises(ControllerLost, match=r"has not answered for 0.8 s"):
            future.result(DEADLINE)
        with pytest.raises(
            ControllerLost, match=r"'hangs' .* did not answer within 0.5 s.*nbcluster stop hangs"
        ):
            Cluster.connect("hangs", timeout=0.5)
    finally:
        os.kill(pid, signal.SIGCONT)
    again = Cluster.connect("hangs")  # it had not ended
    again.stop(force=True)


LOSE_THE_REPLY = """
session = get_ipython().kernel.session
send = session.send
def lose_one_reply(stream, kind, *args, **kwargs):
    if kind != "execute_reply":
        return send(stream, kind, *args, **kwargs)
    session.send = send
    return {"content": {"status": "ok"}}
session.send = lose_one_reply
print("it ran")
"""


def test_a_reply_that_is_lost_ends_its_cell_all_the_same(shared: Cluster) -> None:
    result = shared[0].execute(LOSE_THE_REPLY)
    assert isinstance(result.error, RemoteError)
    assert result.error.ename == "ReplyLost"
    assert result.stdout == "it ran\n"
    assert shared[0].execute("'the next'").value == "the next"
