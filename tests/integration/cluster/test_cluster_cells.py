"""Stories of cells as a program sends them: shapes, futures, values, limits, startup cells, targets."""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
import signal
import socket
import threading
import time
from typing import Any

import pytest

from nbcluster import Cluster
from nbcluster.client.portal import portal
from nbcluster.errors import (
    EngineErrors,
    EngineLost,
    NotSerializable,
    RemoteError,
    TaskCancelled,
    TaskTimeout,
    UnknownTarget,
    UsageError,
)
from nbcluster.protocol import messages as m
from nbcluster.testing.waiting import wait_until

DEADLINE = 20.0
FOREVER = "import time\nwhile True: time.sleep(.01)"


# -- outputs and shapes -----------------------------------------------------------------------


def test_outputs_are_kept_by_engine(shared: Cluster) -> None:
    shared[:].execute("import os, sys; n = int(os.environ['N']) if 'N' in os.environ else 0")
    shared[0]["n"] = 10
    shared[1]["n"] = 11
    results = shared[:].execute("print('out', n); print('err', n, file=sys.stderr); display({'n': n}); n * 2")
    assert list(results) == [0, 1]
    for number, result in results.items():
        assert result.ok
        assert result.engine == number
        assert result.stdout == f"out {10 + number}\n"
        assert result.stderr == f"err {10 + number}\n"
        assert [output["data"]["text/plain"] for output in result.outputs] == [
            f"{{'n': {10 + number}}}",
            str(2 * (10 + number)),
        ]
        assert result.value == 2 * (10 + number)
        assert result.error is None


def test_a_result_shows_its_value_and_what_was_printed(shared: Cluster) -> None:
    assert repr(shared[0].execute("print('hi'); display(1)\n6 * 7")) == (
        "<CellResult engine 0, ok, value 42, stdout 'hi\\n', 1 rich output>"
    )
    assert repr(shared[0].execute("1 / 0")).startswith("<CellResult engine 0, failed: ZeroDivisionError: ")
    assert repr(shared[1].execute("pass")) == "<CellResult engine 1, ok>"


def test_who_waits_for_a_view_is_told_what_runs_where(
    shared: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nbcluster.client.portal.SAY_AFTER", 0.1)
    shared[1].execute("import time; time.sleep(0.5)", check=True)
    assert re.search(r"^nbcluster: waiting for .*engine 1", capsys.readouterr().err)


def test_who_gives_up_a_view_s_code_ends_it(shared: Cluster) -> None:
    given_up = asyncio.run_coroutine_threadsafe(shared._twin[0].execute(FOREVER), portal().loop)
    wait_until(lambda: shared.engines[0].state == "busy", DEADLINE, "the code to run")
    given_up.cancel()
    assert shared.last is not None
    assert isinstance(shared.last.exception(DEADLINE), TaskCancelled)


def test_an_engine_that_is_removed_says_nothing_of_its_end(shared: Cluster) -> None:
    (number,) = shared.add(1)
    told = shared[number].execute("print('mine')", wait=False)
    told.result(DEADLINE)
    shared.remove([number])
    assert told.output == "mine\n"


def test_an_int_or_any_is_bare_and_everything_else_a_dict(shared: Cluster) -> None:
    assert shared[0].execute("'v'").value == "v"
    assert shared["any"].execute("'v'").value == "v"
    assert shared[-1].execute("1").engine == 1
    for key in ([0], slice(0, 1), "0,"):
        assert list(shared[key].execute("1")) == [0]
    for key in (slice(None), "all", "python", socket.gethostname(), [0, 1], "1,0"):
        assert sorted(shared[key].execute("1")) == [0, 1]
    assert sorted(shared[::2].execute("1")) == [0]


def test_top_level_await_shell_and_magics(shared: Cluster) -> None:
    code = "import asyncio\nawait asyncio.sleep(0.01)\n!echo from the shell\n%time pass\n'end'"
    result = shared[0].execute(code)
    assert result.ok, result.error
    assert "from the shell" in result.stdout
    assert "Wall time" in result.stdout
    assert result.value == "end"


def test_a_failing_cell_is_a_result_or_raises(shared: Cluster) -> None:
    result = shared[0].execute("x = 1\n1 / 0")
    assert not result.ok
    assert isinstance(result.error, RemoteError)
    assert (result.error.ename, result.error.evalue, result.error.engine) == (
        "ZeroDivisionError",
        "division by zero",
        0,
    )
    assert "----> 2 1 / 0" in re.sub(r"\x1b\[[0-9;]*m", "", "".join(result.error.traceback))
    with pytest.raises(RemoteError, match=r"ZeroDivisionError: division by zero \(on engine 0\)"):
        shared[0].execute("1 / 0", check=True)
    with pytest.raises(RemoteError):
        _ = result.value
    with pytest.raises(EngineErrors) as caught:
        shared[:].execute("1 / 0", check=True)
    assert sorted(caught.value.errors) == [0, 1]
    shared[0]["bad"] = True
    with pytest.raises(EngineErrors, match="failed on 1 of 2 engines") as caught:
        shared[:].execute("if 'bad' in globals(): raise ValueError('one of two')", check=True)
    assert str(caught.value.errors[0]) == "ValueError: one of two (on engine 0)"


def test_a_file_is_run_and_its_name_is_said(shared: Cluster, tmp_path: Any) -> None:
    file = tmp_path / "job.py"
    file.write_text("made = 'by the file'\nprint(made)\n")
    assert shared[0].run(file).stdout == "by the file\n"
    assert shared[0]["made"] == "by the file"
    file.write_text("raise KeyError('in the file')")
    with pytest.raises(RemoteError, match="KeyError: 'in the file'"):
        shared[0].run(file)
    with pytest.raises(UsageError, match=r"nowhere\.py cannot be read: No such file"):
        shared[0].run(tmp_path / "nowhere.py")


def test_a_signal_reaches_the_engine(shared: Cluster) -> None:
    shared[0].execute(
        "import signal; got = []\nsignal.signal(signal.SIGUSR1, lambda n, f: got.append(n))", check=True
    )
    assert shared[0].signal(signal.SIGUSR1) == [0]
    wait_until(lambda: shared[0]["got"] == [signal.SIGUSR1], DEADLINE, "the signal")


# -- futures ----------------------------------------------------------------------------------


def test_a_future_is_one_of_concurrent_futures_and_can_be_awaited(shared: Cluster) -> None:
    future = shared[0].execute("print('said'); 5", wait=False)
    assert isinstance(future, concurrent.futures.Future)
    assert concurrent.futures.wait([future], DEADLINE).done == {future}
    assert (future.result(0), future.status, future.engine) == (5, "done", 0)
    assert future.output == "said\n5\n"
    assert future.exception(0) is None
    assert not future.cancelled()
    assert future.cancel() is False

    async def awaited() -> Any:
        return await shared[:].execute("6", wait=False)

    assert asyncio.run(awaited()) == {0: 6, 1: 6}


def test_a_result_that_is_not_there_yet_is_a_timeout_and_the_cell_goes_on(shared: Cluster) -> None:
    future = shared[0].execute("import time; time.sleep(0.8); 'late'", wait=False)
    with pytest.raises(TimeoutError):
        future.result(0.05)
    assert not future.done()
    assert future.result(DEADLINE) == "late"


def test_cancelling_an_await_leaves_the_cell_running(shared: Cluster) -> None:
    future = shared[0].execute("import time; time.sleep(0.6); 'not cancelled'", wait=False)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await future

    asyncio.run(give_up())
    assert future.result(DEADLINE) == "not cancelled"


def test_done_callbacks_are_called_once_and_may_use_the_cluster(shared: Cluster) -> None:
    came: list[Any] = []
    done = threading.Event()

    def called(future: Any) -> None:
        came.append((future.result(0), shared[1].execute("'from a callback'").value))
        done.set()

    shared[0].execute("1", wait=False).add_done_callback(called)
    assert done.wait(DEADLINE)
    assert came == [(1, "from a callback")]


def test_cancel_is_true_only_when_the_cell_does_not_complete(shared: Cluster) -> None:
    running = shared[0].execute("began = True\nprint('began')\n" + FOREVER, wait=False)
    queued = shared[0].execute("never = True", wait=False)
    wait_until(lambda: running.output and running.running(), DEADLINE, "the cell to run")
    assert queued.status == "queued"
    assert queued.cancel() is True
    assert (queued.status, queued.cancelled()) == ("cancelled", True)
    assert running.cancel() is True
    assert running.cancelled()
    with pytest.raises(TaskCancelled, match="cancelled by its owner"):
        running.result(0)
    assert shared[0]["began"] is True
    with pytest.raises(KeyError, match="never"):
        shared[0]["never"]


def test_cancel_is_false_for_a_cell_that_completes_all_the_same(shared: Cluster) -> None:
    stubborn = shared[0].execute(
        "import time\ntry:\n    print('sleeps')\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    pass\n"
        "completed = True\n'done'",
        wait=False,
    )
    wait_until(lambda: stubborn.output, DEADLINE, "the cell to sleep")
    assert stubborn.cancel() is False
    assert stubborn.result(DEADLINE) == "done"
    assert shared[0]["completed"] is True


def test_cancel_all_cancels_what_this_client_sent(shared: Cluster) -> None:
    futures = [shared[:].execute(FOREVER, wait=False), shared[1].execute("1", wait=False)]
    wait_until(futures[0].running, DEADLINE, "the cell to run")
    shared.cancel()
    for future in futures:
        with pytest.raises((TaskCancelled, EngineErrors)):
            future.result(DEADLINE)
    assert shared[:].execute("1", check=True)[0].ok


# -- values -----------------------------------------------------------------------------------


def test_names_are_bound_read_and_unbound(shared: Cluster) -> None:
    view = shared[:]
    view["x"] = {"a": [1, 2]}
    assert view["x"] == {0: {"a": [1, 2]}, 1: {"a": [1, 2]}}
    assert shared[1]["x"] == {"a": [1, 2]}
    assert shared[0].pull(["x", "x"]) == [{"a": [1, 2]}] * 2
    del view["x"]
    for read in (lambda: view["x"], lambda: shared[0]["x"]):
        with pytest.raises(KeyError, match="x"):
            read()
    with pytest.raises(KeyError, match="x"):
        del shared[0]["x"]


def test_functions_and_classes_travel(shared: Cluster) -> None:
    factor = 3
    shared[0]["f"] = lambda x: x * factor
    assert shared[0].execute("f(14)").value == 42
    shared[0].execute("def g(x): return x + 1")
    assert shared[0]["g"](1) == 2


def test_a_value_that_cannot_be_pickled_is_named_here(shared: Cluster) -> None:
    with pytest.raises(NotSerializable, match=r"the variable 'lock': cannot pickle .* nothing was sent"):
        shared[0]["lock"] = threading.Lock()


def test_a_value_that_cannot_be_pickled_is_named_there(shared: Cluster) -> None:
    shared[0].execute("import threading; lock = threading.Lock()", check=True)
    with pytest.raises(
        NotSerializable, match=r"'lock' stays on engine 0: cannot pickle '_thread\.lock' object"
    ):
        shared[0]["lock"]
    result = shared[0].execute("lock")
    assert result.ok  # the cell ran; only its value stays behind
    assert "unlocked" in result.outputs[0]["data"]["text/plain"]
    future = shared[0].execute("lock", wait=False)
    assert "not sent" in repr(future.result(DEADLINE))


@pytest.mark.parametrize("name", ["no name", "1x", "", "a.b"])
def test_only_identifiers_are_names(shared: Cluster, name: str) -> None:
    with pytest.raises(UsageError, match="is no identifier"):
        shared[0][name] = 1
    with pytest.raises(UsageError, match="is no identifier"):
        shared[0][name]
    with pytest.raises(UsageError, match="is no identifier"):
        del shared[0][name]


def test_a_keyword_is_no_name(shared: Cluster) -> None:
    with pytest.raises(UsageError, match="'class'"):
        shared[0]["class"] = 1
    with pytest.raises(UsageError, match="'class'"):
        del shared[0]["class"]


# -- limits -----------------------------------------------------------------------------------


def test_a_cell_out_of_time_is_interrupted_and_its_engine_usable(shared: Cluster) -> None:
    shared[0]["state"] = "kept"
    began = time.monotonic()
    with pytest.raises(TaskTimeout, match=r"longer than its limit of 0\.3 s on engine 0 and was interrupted"):
        shared[0].execute(FOREVER, timeout=0.3, check=True)
    assert time.monotonic() - began < 15
    assert shared[0]["state"] == "kept"
    future = shared[0].execute(FOREVER, timeout=0.3, wait=False)
    error = future.exception(DEADLINE)
    assert isinstance(error, TaskTimeout)
    assert not isinstance(error, TimeoutError)


def test_the_limit_counts_running_time_not_waiting(shared: Cluster) -> None:
    shared[0].execute("import time; time.sleep(2.5)", wait=False)
    assert shared[0].execute("'in time'", timeout=2, check=True).value == "in time"


def test_fail_fast_interrupts_the_others(shared: Cluster) -> None:
    shared[1]["bad"] = True
    code = "if 'bad' in globals(): raise ValueError('first')\n" + FOREVER
    run = shared.send_cell(code, "0,1", fail_fast=True)
    error = run.future.exception(DEADLINE)
    assert isinstance(error, EngineErrors)
    assert isinstance(error.errors[1], RemoteError)
    assert isinstance(error.errors[0], TaskCancelled)
    assert shared[0].execute("1").ok


def test_a_client_without_listener_may_not_be_asked_for_input(shared: Cluster) -> None:
    result = shared[0].execute("input('name? ')")
    assert isinstance(result.error, RemoteError)
    assert result.error.ename == "StdinNotImplementedError"


def test_input_is_asked_and_answered(shared: Cluster) -> None:
    run = shared.send_cell("answer = input('name? ')\nanswer.upper()", "0", allow_stdin=True, want_value=True)
    for item in run.events():
        if item is not None and isinstance(item[0], m.InputWanted):
            assert (item[0].prompt, item[0].password, item[0].engine) == ("name? ", False, 0)
            run.send_input(item[0].task, "ada")
    assert run.future.result(DEADLINE) == "ADA"


# -- startup cells ----------------------------------------------------------------------------


def test_a_startup_cell_runs_now_and_where_engines_join_or_restart() -> None:
    with Cluster(1, name="startup") as cluster:
        cluster.send_cell("ready = True", "", startup=True).future.result(DEADLINE)
        assert cluster[0]["ready"] is True
        cluster.add(1)
        assert cluster[1]["ready"] is True
        cluster.restart(0)
        assert cluster[0]["ready"] is True
        cluster[1].execute("import os; os.kill(os.getpid(), 9)")
        assert cluster[1]["ready"] is True


# -- targets ----------------------------------------------------------------------------------


def test_any_takes_an_engine_that_is_free(shared: Cluster) -> None:
    busy = shared[0].execute(FOREVER, wait=False)
    wait_until(busy.running, DEADLINE, "engine 0 to be busy")
    assert [shared["any"].execute("1").engine for _ in range(3)] == [1, 1, 1]
    future = shared["any"].execute("1", wait=False)
    assert future.result(DEADLINE) == 1
    assert future.engine == 1
    busy.cancel()


def test_tags_name_engines() -> None:
    with Cluster(1, name="tags", tags=["cpu"]) as cluster:
        cluster.add(1, tags=["gpu", "big"])
        assert list(cluster["gpu"].execute("1")) == [1]
        assert list(cluster["cpu,big"].execute("1")) == [0, 1]
        assert cluster.engines[1].tags == ("gpu", "big")
        with pytest.raises(UnknownTarget, match="did you mean 'gpu'"):
            cluster["gpus"].execute("1")


def test_engines_see_what_the_starter_sees(
    world: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    settings: dict[str, Any] = {"env": {"MINE": "7"}, "cwd": str(tmp_path), "threads_per_engine": 3}
    with Cluster(2, name="sees", gpus_per_engine=1, restart="never", **settings) as cluster:
        code = "import os; (os.environ['MINE'], os.getcwd(), os.environ['OMP_NUM_THREADS'])"
        assert cluster[0].execute(code).value == ("7", str(tmp_path), "3")
        assert "JPY_PARENT_PID" not in cluster[0].execute("import os; dict(os.environ)").value
        seen = cluster[:].execute("import os; os.environ['CUDA_VISIBLE_DEVICES']")
        assert {number: result.value for number, result in seen.items()} == {0: "4", 1: "5"}
        assert cluster.engines[0].resources == {"gpu": 1.0}
        with pytest.raises(UsageError, match="need 1 GPUs, and 0 of 2 are free"):
            cluster.add(1, gpus_per_engine=1)
        with pytest.raises(EngineLost):
            cluster[1].execute("import os; os.kill(os.getpid(), 9)", check=True)
        wait_until(
            lambda: cluster.status().engines[1].state == "failed", DEADLINE, "the engine to be left alone"
        )
        assert "restart='never'" in cluster.status().engines[1].note


def test_logs_and_status_tell_of_an_engine(shared: Cluster) -> None:
    shared[0].execute("import os; os.write(2, b'raw words\\n')", check=True)
    assert "raw words" in shared.logs(0)
    shared[0].execute("import os; pid = os.getpid()", check=True)
    future = shared[0].execute("# a comment\nimport time; time.sleep(60)", wait=False)
    wait_until(future.running, DEADLINE, "the cell to run")
    status = shared.status(usage=True)
    engine = status.engines[0]
    assert engine.state == "busy"
    assert engine.running == "# a comment"
    assert engine.running_since is not None
    assert abs(time.time() - engine.running_since) < 30
    assert engine.memory is not None
    assert engine.memory > 1 << 20
    assert engine.pid in status.pids
    future.cancel()
