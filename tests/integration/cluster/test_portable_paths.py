"""The short story of a cluster, over each path that a platform may need: exec in place of fork, tcp in place of ipc."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from nbcluster import Cluster
from nbcluster.errors import EngineLost, RemoteError
from nbcluster.testing.waiting import wait_until

DEADLINE = 30.0


@pytest.mark.parametrize(("method", "transport"), [("exec", "ipc"), ("fork", "tcp"), ("exec", "tcp")])
def test_a_cluster_lives_and_leaves_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch, method: str, transport: str
) -> None:
    monkeypatch.setenv("NBCLUSTER_START_METHOD", method)
    monkeypatch.setenv("NBCLUSTER_TRANSPORT", transport)
    with Cluster(2, name="portable") as cluster:
        assert cluster[:].execute("print('hello'); 6 * 7", check=True)[1].value == 42
        cluster[:]["x"] = [1, 2]
        assert cluster[0]["x"] == [1, 2]
        with pytest.raises(RemoteError, match="ZeroDivisionError"):
            cluster[0].execute("1 / 0", check=True)
        future = cluster[0].execute("print('began', flush=True)\nimport time; time.sleep(60)", wait=False)
        wait_until(lambda: "began" in future.output, DEADLINE, "the cell to begin")
        assert future.cancel() is True
        future = cluster[1].execute("print('began', flush=True)\nimport time; time.sleep(60)", wait=False)
        wait_until(lambda: "began" in future.output, DEADLINE, "the cell to begin")
        os.kill(cluster.engines[1].pid or 0, signal.SIGKILL)
        with pytest.raises(EngineLost, match="SIGKILL"):
            future.result(DEADLINE)
        assert cluster[1].execute("'x' in globals()", check=True).value is False
        assert cluster[0]["x"] == [1, 2]
        assert Cluster.connect("portable")[0]["x"] == [1, 2]
        assert cluster.add(1) == [2]
        assert cluster.restart(0) == [0]
    assert world.leftovers() == ""


@pytest.mark.parametrize("method", ["exec"])
def test_a_killed_controller_leaves_nothing(world: Any, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setenv("NBCLUSTER_START_METHOD", method)
    cluster = Cluster(1, name="portable")
    os.kill(cluster.status().pid, signal.SIGKILL)
    wait_until(lambda: world.leftovers() == "", 30, "everything to end")
