"""Stories of kernels that do not load nbcluster, in one cluster with Python engines: bash, R, a stock ipykernel."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nbcluster import Cluster
from nbcluster.errors import NotSupported, RemoteError
from nbcluster.protocol import messages as m
from nbcluster.testing.waiting import wait_until

DEADLINE = 20.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Start a cluster with one Python engine, number 0."""
    with Cluster(1, name="polyglot") as made:
        yield made


def first_output(cluster: Cluster, code: str, targets: str) -> tuple[str, float, float]:
    """Run a cell; return the first text that came, when it came, and when the cell ended, since it was sent."""
    began = time.monotonic()
    run = cluster.send_cell(code, targets)
    text, came = "", 0.0
    for item in run.events():
        if item is not None and isinstance(item[0], m.TaskOutput) and not text:
            text, came = json.loads(bytes(item[0].content)).get("text", ""), time.monotonic() - began
    return text, came, time.monotonic() - began


def test_bash(cluster: Cluster, bash_kernel: str) -> None:
    assert cluster.add(1, kernel=bash_kernel) == [1]
    engine = cluster.engines[1]
    assert (engine.kernel, engine.language, engine.can_call) == ("bash", "bash", False)
    assert sorted(cluster[""].execute("1")) == [0]
    assert cluster["bash"].execute("echo one; x=7")[1].stdout == "one\n"
    assert cluster[1].execute("echo $x").stdout == "7\n"
    text, came, ended = first_output(cluster, "echo early; sleep 0.8; echo late", "1")
    assert text.strip() == "early"
    assert came < ended - 0.5  # live, not at the end
    result = cluster[1].execute("false")
    assert not result.ok
    assert isinstance(result.error, RemoteError)
    future = cluster[1].execute("echo began; sleep 60", wait=False)
    wait_until(lambda: "began" in future.output, DEADLINE, "the cell to begin")
    assert future.cancel() is True
    assert cluster[1].execute("echo $x").stdout == "7\n"  # the state was kept
    assert cluster[0].execute("2").value == 2
    with pytest.raises(NotSupported, match="does not load nbcluster"):
        cluster[1]["x"] = 1
    assert cluster.restart(1) == [1]
    assert cluster[1].execute("echo again$x").stdout == "again\n"


def test_r(cluster: Cluster, r_kernel: str) -> None:
    assert cluster.add(1, kernel=r_kernel) == [1]
    engine = cluster.engines[1]
    assert (engine.language, engine.can_call) == ("r", False)
    assert sorted(cluster[""].execute("1")) == [0]
    assert "55" in cluster["r"].execute("x <- sum(1:10); cat(x)")[1].stdout
    assert cluster[1].execute("x").outputs[0]["data"]["text/plain"] == "[1] 55"
    text, came, ended = first_output(cluster, "cat('early\\n'); flush.console(); Sys.sleep(0.8)", "1")
    assert "early" in text
    assert came < ended - 0.5
    result = cluster[1].execute("stop('in R')")
    assert isinstance(result.error, RemoteError)
    assert "in R" in f"{result.error.evalue} {''.join(result.error.traceback)} {result.stderr}"
    future = cluster[1].execute("cat('began\\n'); flush.console(); while (TRUE) Sys.sleep(0.01)", wait=False)
    wait_until(lambda: "began" in future.output, DEADLINE, "the cell to begin")
    assert future.cancel() is True
    assert "55" in cluster[1].execute("cat(x)").stdout  # the state was kept
    with pytest.raises(NotSupported, match="does not load nbcluster"):
        cluster[1].pull("x")
    assert cluster.restart(1) == [1]
    assert cluster[1].execute("cat(exists('x'))").stdout.strip() == "FALSE"


def test_a_stock_ipykernel(cluster: Cluster) -> None:
    assert cluster.add(1, kernel="python3", tags=["stock"]) == [1]
    engine = cluster.engines[1]
    assert (engine.kernel, engine.language, engine.can_call) == ("python3", "python", False)
    results = cluster[""].execute("print('hello'); x = 6\nx * 7")  # Python engines, whoever made them
    assert {number: result.stdout for number, result in results.items()} == {0: "hello\n", 1: "hello\n"}
    assert results[1].outputs[0]["data"]["text/plain"] == "42"
    result = cluster["stock"].execute("1 / 0")[1]
    assert isinstance(result.error, RemoteError)
    assert result.error.ename == "ZeroDivisionError"
    for code in ("import time; time.sleep(60)", "while True: pass"):
        future = cluster[1].execute(f"print('began', flush=True)\n{code}", wait=False)
        wait_until(lambda waiting=future: "began" in waiting.output, DEADLINE, "the cell to begin")
        assert future.cancel() is True
    assert cluster[1].execute("print(x)").stdout == "6\n"
    with pytest.raises(NotSupported):
        cluster[1]["x"] = 1
    assert cluster.restart(1) == [1]
    assert not cluster[1].execute("x").ok


def test_their_processes_end_with_the_cluster(world: Any, bash_kernel: str) -> None:
    with Cluster(1, name="ends", kernel=bash_kernel) as cluster:
        cluster[0].execute("sleep 90 & echo $!")
        cluster[0].execute("sleep 91", wait=False)
    wait_until(lambda: world.leftovers() == "", 20, "everything to end")
