"""Stories of clusters that are started, looked at and ended from the command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import nbcluster
from nbcluster.cli.ending import end_cluster
from nbcluster.errors import VersionMismatch
from nbcluster.protocol import messages
from nbcluster.testing.leftovers import find_processes
from nbcluster.testing.waiting import wait_until
from nbcluster.transport.rendezvous import connection_path, is_alive


def test_a_cluster_lives_between_commands(cli) -> None:
    assert cli("list").stdout == "no cluster runs; `nbcluster start -n 4` starts one\n"
    started = cli("start", "-n", 2, "--tags", "big,red").stdout
    assert "cluster 'default' is ready with 2 engines: 0,1" in started
    assert "%cluster connect default" in started
    assert "Cluster.connect()" in started

    with nbcluster.Cluster.connect() as cluster:
        assert cluster.idle_timeout is None
        cluster[:].execute("x = 3", check=True)
        status = cli("status").stdout
        assert f"process {os.getpid()}" in status, "the other client is named"
        assert "it runs until `nbcluster stop default`" in status
        cluster.close()

    assert "2 engines: 0,1" in cli("list").stdout
    (listed,) = json.loads(cli("list", "--json").stdout)
    assert (listed["name"], listed["engines"], listed["clients"]) == ("default", 2, [])
    found = json.loads(cli("engines", "--json").stdout)
    assert [(engine["number"], engine["tags"], engine["state"]) for engine in found] == [
        (0, ["big", "red"], "idle"),
        (1, ["big", "red"], "idle"),
    ]
    assert all(engine["memory"] > 1 << 20 for engine in found)
    assert json.loads(cli("status", "default", "--json").stdout)["idle_timeout"] is None

    assert cli("tasks").stdout == "nothing waits or runs\n"
    with nbcluster.Cluster.connect() as cluster:
        future = cluster[1].execute("import time; time.sleep(60)", wait=False)
        wait_until(lambda: future.status == "running", 10, "the cell to run")
        (running,) = json.loads(cli("tasks", "--state", "running", "--json").stdout)
        assert (running["engine"], running["kind"]) == (1, "cell")
        assert f"process {os.getpid()}" in cli("tasks").stdout
        assert cli("tasks", "--state", "ready").stdout == "nothing is ready\n"
        assert future.cancel()

    assert cli("scale", 1).stdout == "cluster 'default' has 1 engine: 0\n"
    assert [line.split()[0] for line in cli("engines").stdout.splitlines()] == ["engine", "0"]
    assert cli("stop").stdout == "cluster 'default' is stopped\n"
    assert cli("list", "--json").stdout == "[]\n"


def test_a_cluster_of_another_version_is_ended_by_force(cli, monkeypatch) -> None:
    cli("start", "-n", 1)
    path = connection_path("default")
    monkeypatch.setattr(messages, "Hello", partial(messages.Hello, protocol=0))  # as after an upgrade
    with pytest.raises(
        VersionMismatch, match=r"version 0 of the protocol.*`nbcluster stop default --force` ends it"
    ):
        asyncio.run(end_cluster(path, force=False))
    assert "is of another version of nbcluster and was killed" in asyncio.run(end_cluster(path, force=True))
    assert cli("list", "--json").stdout == "[]\n"


def test_lab_opens_beside_a_cluster_that_ends_with_it(cli, tmp_path, monkeypatch) -> None:
    package = tmp_path / "fake" / "jupyterlab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import sys, nbcluster\n"
        "print(sys.argv[1:], len(nbcluster.Cluster.connect().engines), flush=True)\n"
        "sys.exit(7)\n"
    )
    path = os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    monkeypatch.setenv("PYTHONPATH", path)
    ended = cli("lab", "-n", 1, "--", "--port", 9, code=7)
    assert "cluster 'default' is ready with 1 engine: 0; it ends with JupyterLab\n" in ended.stdout
    assert ended.stdout.endswith("['--port', '9'] 1\n")
    assert cli("list", "--json").stdout == "[]\n"


def test_the_state_of_engines_outlives_the_commands(cli) -> None:
    cli("start", "-n", 1)
    first = nbcluster.Cluster.connect()
    first[0]["x"] = [1, 2]
    first.close()
    second = nbcluster.Cluster.connect("default")
    assert second[0]["x"] == [1, 2]
    second.close()
    cli("stop", "default")


def test_an_engines_log_is_printed(cli) -> None:
    cli("start", "-n", 1)
    cluster = nbcluster.Cluster.connect()
    cluster[0].execute("import os; _ = os.write(2, b'one\\ntwo\\nthree\\n')", check=True)
    cluster.close()
    assert "three" in cli("logs", 0).stdout
    assert cli("logs", 0, "--lines", 1).stdout.splitlines()[-1:] != ["two"]
    cli("stop")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("stop",), 1, "nbcluster stop: no cluster runs"),
        (("status", "nope"), 1, "there is no cluster 'nope'"),
        (("start", "-n", "-1"), 2, "-1 is negative"),
        (("start", "-n", "1", "--name", "../x"), 2, "cannot be the name of a cluster"),
        (("start", "-n", "1", "--kernel", "nope"), 2, "there is no kernel 'nope'"),
        (("start", "-n", "1", "--launcher", "nope"), 1, "nope"),
        (("start", "-n", "1", "--tags", "all"), 2, "all"),
        (("start", "--idle-timeout", "soon"), 2, "'soon' is no time"),
        (("run", "nope.ipynb"), 2, "nope.ipynb cannot be read: No such file"),
        (("frobnicate",), 2, "invalid choice: 'frobnicate'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_readable_line(cli, words: tuple[str, ...], code: int, said: str) -> None:
    result = cli(*words, code=code)
    assert said in result.stderr.splitlines()[-1]
    assert result.stdout == ""


def test_a_second_cluster_of_the_same_name_is_refused(cli) -> None:
    cli("start", "-n", 0)
    refused = cli("start", "-n", 1, code=1)
    assert "a cluster named 'default' runs already" in refused.stderr
    assert "no engines" in cli("list").stdout, "and nothing was added to the first"
    cli("start", "-n", 0, "--name", "other")
    assert "several" not in cli("status").stderr, "of several, `default` is meant"
    assert cli("stop", "--all").stdout == "cluster 'default' is stopped\ncluster 'other' is stopped\n"


def test_stop_names_who_else_is_connected(cli) -> None:
    cli("start", "-n", 0)
    cluster = nbcluster.Cluster.connect()
    refused = cli("stop", code=1)
    assert f"process {os.getpid()}" in refused.stderr
    assert "--force" in refused.stderr or "force" in refused.stderr
    assert cli("stop", "--force").stdout == "cluster 'default' is stopped\n"
    cluster.close()


def test_a_cluster_in_the_foreground_ends_at_ctrl_c(cli, in_background, world) -> None:
    process = in_background("start", "-n", "1", "--foreground")
    assert process.stdout is not None
    assert "is ready with 1 engine" in process.stdout.readline()
    wait_until(lambda: "Ctrl-C stops it" in process.stdout.readline(), 10, "the advice")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "cluster 'default' is stopped\n", "")
    assert find_processes(world.test_id) == []


def test_a_cluster_in_the_foreground_notices_that_it_was_stopped(cli, in_background) -> None:
    process = in_background("start", "-n", "0", "--foreground")
    assert process.stdout is not None
    wait_until(lambda: "Ctrl-C stops it" in process.stdout.readline(), 20, "the advice")
    cli("stop", "--force")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err == "nbcluster start: the cluster 'default' has ended\n"


def test_a_hung_controller_is_listed_and_killed(cli, connection, world) -> None:
    cli("start", "-n", 1)
    os.kill(connection()["pid"], signal.SIGSTOP)
    assert "does not answer" in cli("list").stdout
    stopped = cli("stop").stdout
    assert "cluster 'default' did not answer and was killed" in stopped
    assert f"{pid_of(stopped, 'controller')}" in stopped
    wait_until(lambda: not world.leftovers(), 30, "nothing to be left")


def pid_of(text: str, role: str) -> str:
    """Find the process that the command called by its role."""
    words = [part for part in text.split("process ") if f"({role})" in part]
    assert len(words) == 1, text
    return words[0].split()[0]


def test_a_hung_supervisor_does_not_save_the_cluster(cli, connection, world) -> None:
    cli("start", "-n", 1)
    for process in (connection()["pid"], connection()["supervisor"]):
        os.kill(process, signal.SIGSTOP)
    assert "was killed" in cli("stop").stdout
    wait_until(lambda: not world.leftovers(), 30, "nothing to be left")


def test_clean_removes_what_a_killed_cluster_left(cli, connection, world) -> None:
    assert cli("clean").stdout == "there is nothing to clean\n"
    cli("start", "-n", 1)
    cli("start", "-n", 0, "--name", "living")
    dead = connection()
    for process in (dead["supervisor"], dead["pid"]):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not is_alive(dead["pid"]), 30, "the controller to be gone")
    assert Path(dead["directory"]).exists()
    doctor = cli("doctor", code=1).stdout
    assert "problem  leftovers" in doctor
    assert "-> nbcluster clean" in doctor

    said = cli("clean").stdout
    assert f"removed the directory {dead['directory']}" in said
    assert f"removed the connection file {world.jupyter_runtime}/nbcluster/default.json" in said
    assert f"removed the lock {world.jupyter_runtime}/nbcluster/default.lock" in said
    assert "living" not in said
    assert [cluster["name"] for cluster in json.loads(cli("list", "--json").stdout)] == ["living"]
    cli("stop", "living")
    assert cli("clean").stdout == "there is nothing to clean\n"


def test_clean_ends_orphaned_kernels_and_nothing_else(cli, connection) -> None:
    cli("start", "-n", 0)
    dead = connection()
    for process in (dead["supervisor"], dead["pid"]):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not is_alive(dead["pid"]), 30, "the controller to be gone")
    # A kernel of another language that did not die with its supervisor, and a program that a cell had detached.
    waits = [sys.executable, "-c", "import time; time.sleep(600)"]
    log = Path(dead["directory"]) / "engine-0.log"
    with log.open("a") as file:
        kernel = subprocess.Popen([*waits, "-f", f"{dead['directory']}/e9.json"])
        detached = subprocess.Popen(waits, stdout=file)
    with kernel, detached:
        said = cli("clean").stdout
        assert f"ended the orphaned process {kernel.pid}" in said
        assert kernel.wait(timeout=10) == -signal.SIGTERM
        assert detached.poll() is None
        assert str(detached.pid) not in said
        detached.kill()


def test_stop_of_a_cluster_that_died_removes_what_it_left(cli, connection, world) -> None:
    cli("start", "-n", 1)
    dead = connection()
    for process in (dead["supervisor"], dead["pid"]):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not is_alive(dead["pid"]), 30, "the controller to be gone")
    assert "had ended without a word" in cli("stop", "default").stdout
    wait_until(lambda: not world.leftovers(), 30, "nothing to be left")


def test_doctor_finds_a_sound_environment(cli) -> None:
    findings = json.loads(cli("doctor", "--json").stdout)
    assert all(finding["ok"] for finding in findings)
    assert {"Python", "ipykernel", "pyzmq with curve", "connection files", "sockets and logs", "start"} <= {
        finding["what"] for finding in findings
    }


def test_doctor_says_how_to_mend(cli, world, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = world.jupyter_data / "kernels/broken"
    broken.mkdir(parents=True)
    spec = {"argv": ["/nowhere/kernel", "{connection_file}"], "display_name": "x", "language": "x"}
    (broken / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("NBCLUSTER_DIR", str(world.runtime / ("long" * 30)))
    said = cli("doctor", code=1).stdout
    assert "problem  kernel broken: its program /nowhere/kernel does not exist" in said
    assert "-> install it, or `jupyter kernelspec remove broken`" in said
    assert "too long a path for ipc sockets" in said
    assert "-> set NBCLUSTER_DIR to a shorter local directory" in said


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_console_shares_the_engines_namespace(cli, monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    monkeypatch.setenv("NBCLUSTER_TRANSPORT", transport)
    cli("start", "-n", 2)
    cluster = nbcluster.Cluster.connect()
    cluster[1]["x"] = 20
    said = cli("console", 1, text="y = x + 22\nprint(y)\nexit\nprint('never')\n").stdout
    assert "42" in said
    assert "never" not in said
    assert cluster[1]["y"] == 42, "and the engine lives"
    cluster.close()
    assert "there is no engine 7" in cli("console", 7, code=1).stderr
    cli("stop")


def test_a_console_on_a_bash_engine(cli, bash_kernel: str) -> None:
    cli("start", "-n", 1, "--kernel", bash_kernel)
    assert "42" in cli("console", 0, text="echo $((6 * 7))\nexit\n").stdout
    cli("stop")


def test_help_is_fast_since_it_imports_little(cli) -> None:
    code = (
        "import sys\nfrom nbcluster.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\nprint(sorted(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "VERB" in out.stdout
    for heavy in ("'zmq'", "'nbformat'", "'psutil'", "'IPython'", "'jupyter_client'"):
        assert heavy not in out.stdout
