"""The magics in an IPython shell, over a cluster that lives in memory."""

from __future__ import annotations

import getpass
import os
import re
import signal
import threading
from concurrent.futures import Future

import pytest
from notebook_peers import (
    MemoryCluster,
    MemoryClusters,
    MemoryRun,
    asks,
    done,
    finished_run,
    printed,
    raised,
    result,
    started,
    task,
)

from nbcluster.errors import (
    EngineErrors,
    NBClusterError,
    RemoteError,
    TaskCancelled,
    UnknownCluster,
    UsageError,
)
from nbcluster.ids import EngineNumber, Incarnation
from nbcluster.notebook import extension
from nbcluster.notebook.errors import CellInterrupted
from nbcluster.notebook.publishers import TerminalPublisher
from nbcluster.protocol.messages import Cancelled, EngineStatus
from nbcluster.protocol.origin import Origin
from nbcluster.testing.frames import frames_of_ours


@pytest.fixture
def cluster():
    return MemoryCluster()


@pytest.fixture
def notebook(shell, cluster):
    """A shell with the extension loaded, over the cluster in memory."""
    extension.load_ipython_extension(shell)
    magics = extension.loaded_in(shell).magics
    magics.use_clusters(MemoryClusters(cluster))
    yield shell
    extension.unload_ipython_extension(shell)


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def magics_of(shell):
    return extension.loaded_in(shell).magics


def test_a_cell_is_sent_and_its_output_drawn(notebook, cluster, capsys):
    cluster.next_run = lambda order: finished_run(
        (0, 1), printed(0, "a\n"), printed(1, "b\n"), result(1, "5")
    )
    notebook.run_cell("x = 1", store_history=True)
    ran = notebook.run_cell("%%distributed 0:2 --timeout 3 --fail-fast\nx = '{y}'\nx", store_history=True)
    assert ran.success
    assert ran.result is None
    assert cluster.orders == [
        {
            "code": "x = '{y}'\nx\n",
            "targets": "0:2",
            "allow_stdin": True,
            "timeout": 3.0,
            "fail_fast": True,
            "startup": False,
            "want_value": False,
            "label": "cell [2]",
            "origin": Origin("Cell", "In[2]", line=2),
            "namespace": "",
            "live": False,
            "priority": 0,
            "retries": 0,
            "resources": {},
            "needs": None,
        }
    ]
    text = capsys.readouterr().out
    assert [line[-1] for line in text.splitlines()] == ["a", "b", "5"]


def test_a_line_is_sent_untouched_and_the_options_are_filled_in(notebook, cluster):
    notebook.user_ns["where"] = [0, 1]
    assert notebook.run_cell("%distributed --on {where} print(f'{x}', {1: '$HOME'})").success
    assert (cluster.orders[0]["targets"], cluster.orders[0]["code"]) == ("0,1", "print(f'{x}', {1: '$HOME'})")


def test_the_alias_does_the_same(notebook, cluster):
    assert notebook.run_cell("%%nbcluster any\n1").success
    assert cluster.orders[0]["targets"] == "any"


def test_an_async_cell_returns_its_future_and_does_not_block(notebook, cluster):
    run = MemoryRun((0,), single=True)
    cluster.next_run = lambda order: run
    ran = notebook.run_cell("%%distributed 0 --async --as fit\n1")
    assert ran.success
    assert ran.result is run.future
    assert notebook.user_ns["fit"] is run.future
    assert cluster.orders[0]["want_value"] is True
    assert cluster.orders[0]["allow_stdin"] is False
    assert not run.future.done()


def test_output_of_an_async_cell_waits_for_the_next_cell_in_a_terminal(notebook, cluster, capsys):
    run = MemoryRun((0,), single=True)
    cluster.next_run = lambda order: run
    notebook.run_cell("%%distributed 0 --as fit\n1")
    capsys.readouterr()
    run.feed(started(0), printed(0, "hello\n"), done(0))
    assert capsys.readouterr().out == ""
    notebook.run_cell("pass")
    assert capsys.readouterr().out == "hello\n"
    notebook.run_cell("pass")
    assert capsys.readouterr().out == ""


def test_output_after_a_blocking_cell_is_drawn_once(notebook, cluster, capsys):
    run = finished_run((0,), printed(0, "in time\n"), single=True)
    cluster.next_run = lambda order: run
    notebook.run_cell("%%distributed 0\n1")
    assert capsys.readouterr().out == "in time\n"
    run.feed(printed(0, "late 1\n", late=True))
    notebook.run_cell("pass")
    run.feed(printed(0, "late 2\n", late=True))
    notebook.run_cell("pass")
    assert capsys.readouterr().out == "late 1\nlate 2\n"


def test_output_of_a_cell_that_was_given_up_is_still_drawn(notebook, cluster, capsys):
    run = MemoryRun((0,), single=True)
    cluster.next_run = lambda order: run
    run.on_cancel = interrupt_when(run, 1)
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    notebook.run_cell("%%distributed 0\nstuck()")
    capsys.readouterr()
    run.feed(printed(0, "free\n"), done(0))
    notebook.run_cell("pass")
    assert capsys.readouterr().out == "free\n"


def test_wait_blocks_and_binds_the_name(notebook, cluster):
    assert notebook.run_cell("%%distributed --as fit --wait\n1").result is None
    assert notebook.user_ns["fit"].done()


def test_an_error_of_the_code_fails_the_cell_and_names_the_engine(notebook, cluster, capsys):
    cluster.next_run = lambda order: finished_run((2,), raised(2), single=True)
    ran = notebook.run_cell("%%distributed 2\n1/0")
    assert not ran.success
    assert isinstance(ran.error_in_exec, RemoteError)
    shown = capsys.readouterr().out
    assert "On engine 2:" in shown
    assert "ZeroDivisionError: division by zero" in shown
    assert not frames_of_ours(shown)


def test_the_same_error_of_many_engines_is_shown_once(notebook, cluster, capsys):
    events = (raised(0), raised(1, "KeyError", "'k'"), raised(2), raised(3))
    cluster.next_run = lambda order: finished_run((0, 1, 2, 3), *events)
    ran = notebook.run_cell("%%distributed\n1/0")
    assert isinstance(ran.error_in_exec, EngineErrors)
    shown = capsys.readouterr().out
    assert shown.count("ZeroDivisionError: division by zero") == 1
    assert "On engines 0,2,3:" in shown
    assert "On engine 1:" in shown


def test_an_error_of_ours_is_one_line(notebook, capsys):
    ran = notebook.run_cell("%%distributed --asynk\n1")
    assert isinstance(ran.error_in_exec, UsageError)
    captured = capsys.readouterr()
    assert "did you mean --async?" in captured.out
    assert len(captured.out.strip().splitlines()) == 1


def test_errors_of_the_notebook_are_left_alone(notebook, capsys):
    assert isinstance(notebook.run_cell("1/0").error_in_exec, ZeroDivisionError)
    assert "Traceback" in capsys.readouterr().out


def test_a_handler_that_was_there_keeps_its_errors(shell, cluster):
    seen = []
    shell.set_custom_exc((KeyError,), lambda self, kind, value, tb, tb_offset=None: seen.append(kind))
    before = shell.CustomTB
    extension.load_ipython_extension(shell)
    shell.run_cell("{}['k']")
    assert seen == [KeyError]
    extension.unload_ipython_extension(shell)
    assert shell.CustomTB is before
    assert shell.custom_exceptions == (KeyError,)


def test_an_unknown_cluster_is_said(notebook):
    assert isinstance(notebook.run_cell("%%distributed --cluster nope\n1").error_in_exec, UnknownCluster)


def interrupt_when(run, count):
    """Interrupt this process when the run has been told to cancel so often."""

    def send():
        if len(run.cancelled) == count:
            os.kill(os.getpid(), signal.SIGINT)

    return send


def test_an_interrupt_cancels_and_the_cell_is_drained(notebook, cluster, capsys):
    run = MemoryRun((0, 1))
    cluster.next_run = lambda order: run
    run.on_cancel = lambda: run.feed(
        printed(0, "last words\n"), done(0, Cancelled("asked")), done(1, Cancelled("asked"))
    )
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    ran = notebook.run_cell("%%distributed\nwhile True: pass")
    assert isinstance(ran.error_in_exec, CellInterrupted)
    assert len(run.cancelled) == 1
    assert not run.abandoned
    shown = capsys.readouterr().out
    assert "last words" in shown
    assert "interrupted on engines 0,1; engines keep their state" in shown
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_gives_the_cell_up(notebook, cluster, capsys):
    run = MemoryRun((0,), single=True)
    cluster.next_run = lambda order: run
    run.on_cancel = interrupt_when(run, 1)
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    ran = notebook.run_cell("%%distributed 0\nstuck()")
    assert isinstance(ran.error_in_exec, CellInterrupted)
    assert run.abandoned
    assert "cluster.last" in capsys.readouterr().out


def test_a_cell_cancelled_by_another_fails_in_one_line(notebook, cluster, capsys):
    cluster.next_run = lambda order: finished_run(
        (0,), done(0, Cancelled("cancelled elsewhere")), single=True
    )
    ran = notebook.run_cell("%%distributed 0\n1")
    assert isinstance(ran.error_in_exec, TaskCancelled)
    assert plain(capsys.readouterr().out) == "TaskCancelled: cancelled elsewhere\n"


def test_a_question_is_asked_here_and_says_who_asks(notebook, cluster, monkeypatch):
    run = MemoryRun((0, 1))
    cluster.next_run = lambda order: run
    prompts = []

    def answer(prompt):
        prompts.append(prompt)
        run.feed(done(len(prompts) - 1))
        return f"answer {len(prompts)}"

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr(getpass, "getpass", answer)
    run.feed(asks(0, "name? "), asks(1, "secret? ", password=True))
    assert notebook.run_cell("%%distributed\ninput()").success
    assert prompts == ["[engine 0] name? ", "[engine 1] secret? "]
    assert run.sent_input == [(task(0), "answer 1"), (task(1), "answer 2")]
    assert run.cancelled == []


def test_a_question_of_a_single_engine_says_who_asks_too(notebook, cluster, monkeypatch):
    run = MemoryRun((1,), single=True)
    cluster.next_run = lambda order: run
    prompts = []

    def answer(prompt):
        prompts.append(prompt)
        run.feed(done(1))
        return "answer"

    monkeypatch.setattr("builtins.input", answer)
    run.feed(asks(1, "name? "))
    assert notebook.run_cell("%%distributed 1\ninput()").success
    assert prompts == ["[engine 1] name? "]


@pytest.mark.parametrize("refusal", [EOFError, KeyboardInterrupt])
def test_a_question_that_is_not_answered_cancels_the_cell(notebook, cluster, monkeypatch, refusal):
    run = MemoryRun((0,), single=True)
    cluster.next_run = lambda order: run

    def refuse(prompt):
        raise refusal

    monkeypatch.setattr("builtins.input", refuse)
    run.on_cancel = lambda: run.feed(done(0, Cancelled("not answered")))
    run.feed(asks(0, "name? "))
    assert not notebook.run_cell("%%distributed 0\ninput()").success
    assert run.cancelled == ["its question was not answered"]


def test_local_runs_the_cell_here_too(notebook, cluster):
    assert notebook.run_cell("%%distributed --local\nmine = 42").success
    assert notebook.user_ns["mine"] == 42


def test_a_local_failure_fails_the_cell(notebook, cluster, capsys):
    ran = notebook.run_cell("%%distributed --local\n1/0")
    assert isinstance(ran.error_in_exec, NBClusterError)
    assert capsys.readouterr().out.count("division by zero") == 1


def test_start_binds_the_cluster_and_says_how_long_it_lives(notebook, capsys):
    assert notebook.run_cell("%cluster start -n 3 --name study --tags a -o idle_timeout=never").success
    clusters = magics_of(notebook).clusters
    assert clusters.started == [(3, {"name": "study", "tags": ("a",), "idle_timeout": -1.0})]
    assert notebook.user_ns["cluster"] is clusters.known["study"]
    assert clusters.current() is clusters.known["study"]
    assert capsys.readouterr().out == (
        "cluster 'study' is ready with 3 engines: 0-2; it ends after 12 h without a client and without work\n"
    )


@pytest.mark.parametrize(
    ("line", "asked", "said"),
    [
        ("add 1 --kernel bash", ("add", (1,)), "started engine 1"),
        ("scale 2", ("scale", (2,)), "has 2 engines: 0,1"),
        ("restart 1", ("restart", ("1",)), "restarted engine 1"),
        ("interrupt", ("interrupt", ("all",)), "interrupted engine 1"),
        ("cancel", ("cancel", {}), "cancelled all"),
        ("set idle_timeout=never", ("set_options", {"idle_timeout": -1.0}), "until %cluster stop"),
        ("stop --force", ("stop", {"force": True}), "is stopped"),
    ],
)
def test_a_command_is_carried_out_and_told(notebook, cluster, capsys, line, asked, said):
    assert notebook.run_cell(f"%cluster {line}").success
    assert cluster.asked == [asked]
    assert said in capsys.readouterr().out


def test_status_and_list_are_small_tables(notebook, capsys, cluster):
    busy = EngineStatus(
        EngineNumber(1), Incarnation(2), "busy", kernel="python3", running="f()", running_since=1.0
    )
    cluster.engines[1] = busy
    notebook.run_cell("%cluster")
    head, columns, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("cluster 'default': 2 engines: 0,1; 0 running, 0 queued; 1 client; up ")
    assert columns.split() == ["engine", "state", "kernel", "runs", "since"]
    assert [row.split()[:4] for row in rows] == [["0", "idle", "python3"], ["1", "busy", "python3", "f()"]]
    notebook.run_cell("%cluster list")
    assert capsys.readouterr().out.splitlines()[1].split() == ["default", "7", "here"]


def test_cancel_by_name(notebook, capsys):
    future: Future[None] = Future()
    notebook.user_ns["fit"] = future
    notebook.run_cell("%cluster cancel fit")
    assert future.cancelled()
    assert capsys.readouterr().out == "cancelled fit\n"
    notebook.run_cell("%cluster cancel fitt")
    assert "did you mean fit?" in capsys.readouterr().out


def test_a_name_that_another_package_took_is_left_and_told(shell, capsys):
    theirs = lambda line, cell: "theirs"  # noqa: E731  # a bare function whose module can be set
    theirs.__module__ = "otherpackage.magics"
    shell.register_magic_function(theirs, magic_kind="cell", magic_name="distributed")
    extension.load_ipython_extension(shell)
    told = capsys.readouterr().out
    assert "'otherpackage'" in told
    assert "%%nbcluster" in told
    assert shell.run_cell("%%distributed\n1").result == "theirs"
    extension.unload_ipython_extension(shell)
    assert shell.find_cell_magic("nbcluster") is None
    assert shell.find_cell_magic("distributed") is theirs


def test_unloading_takes_everything_out(shell, capsys):
    before = (list(shell.Completer.custom_matchers), shell.custom_exceptions)
    extension.load_ipython_extension(shell)
    extension.load_ipython_extension(shell)
    extension.unload_ipython_extension(shell)
    assert (list(shell.Completer.custom_matchers), shell.custom_exceptions) == before
    assert [shell.find_line_magic(name) for name in ("distributed", "nbcluster", "cluster")] == [None] * 3
    assert capsys.readouterr().out == ""


def test_tab_in_a_distributed_cell_asks_an_engine(notebook, cluster):
    from IPython.core.completer import provisionalcompleter

    cell = "%%distributed 1\nimport os\ny = remote_na"
    body = cell.index("\n") + 1
    cluster.reply = {"matches": ["remote_name"], "cursor_start": len(cell) - body - 9, "metadata": {}}
    with provisionalcompleter():
        found = list(notebook.Completer.completions(cell, len(cell)))
    assert [(match.text, match.start, match.end) for match in found] == [
        ("remote_name", len(cell) - 9, len(cell))
    ]
    assert cluster.asked == [("complete", (cell[body:], len(cell) - body, "1", 0.3))]


def test_tab_on_what_the_engine_does_not_know_offers_no_name_of_the_notebook(notebook, cluster):
    from IPython.core.completer import provisionalcompleter

    notebook.user_ns["remote_nothing"] = 1
    cell = "%%distributed 1\nremote_no"
    with provisionalcompleter():
        found = list(notebook.Completer.completions(cell, len(cell)))
    assert [match.text for match in found] == ["remote_no"]


def test_tab_elsewhere_asks_nobody(notebook, cluster):
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        options = [match.text for match in notebook.Completer.completions("%%distributed --fa", 18)]
        list(notebook.Completer.completions("local_na", 8))
    assert "--fail-fast" in options
    assert cluster.asked == []


def test_a_terminal_keeps_a_moving_line_at_the_bottom(capsys):
    from nbcluster.notebook.operations import Move, Write

    terminal = TerminalPublisher(watched=True)
    for operation in (Move("k", "10%"), Write("stdout", "line\n"), Move("k", "100%", settled=True)):
        terminal.publish(operation)
    assert capsys.readouterr().out == "10%\r\x1b[Kline\n10%\r\x1b[K100%\n"
