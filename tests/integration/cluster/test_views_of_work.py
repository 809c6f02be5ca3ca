"""What a client sees of its own work on a real cluster: the picture at once, and the feed while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nbcluster import Cluster, gather, report
from nbcluster.core.board import Board
from nbcluster.errors import EngineErrors
from nbcluster.protocol.feed import Bar
from nbcluster.testing.waiting import wait_until
from nbcluster.transport.rendezvous import write_connection_file

DEADLINE = 20.0


def until_told(path: str) -> None:
    report(0.25, loss=0.5)
    while not Path(path).exists():
        time.sleep(0.01)


def bar_of(board: Board, label: str) -> Bar:
    return next((bar for bar in board.bars if bar.label == label), Bar(label, 0))


def watched(cluster: Cluster, is_there: Callable[[Board], object]) -> Board:
    """Watch until the board shows something."""
    seen: list[Board] = []
    cluster.watch(seen.append)
    try:
        wait_until(lambda: any(map(is_there, seen)), DEADLINE, "the board to show it")
    finally:
        last = cluster.unwatch(seen.append)
    return last


def test_the_picture_counts_what_runs_waits_and_failed(shared: Cluster, tmp_path: Path) -> None:
    go = tmp_path / "go"
    running = [shared.options(label="wait for it").submit(until_told, str(go)) for _ in range(3)]
    broken = shared.options(label="judge").submit(int, "nine")
    board = watched(
        shared, lambda board: bar_of(board, "wait for it").running == 2 and len(board.curves) == 4
    )
    bar = bar_of(board, "wait for it")
    assert (bar.total, bar.running, bar.waiting, bar.ended) == (3, 2, 1, 0)
    assert {(curve.name, curve.values[-1]) for curve in board.curves} == {("fraction", 0.25), ("loss", 0.5)}
    assert [engine.running for engine in board.engines] == ["wait for it"] * 2
    assert all(engine.memory[-1] > 10 for engine in board.engines)
    text = str(shared.ui())
    assert "wait for it  3 of 3 done" not in text
    assert "0 of 3 done, 2 running, 1 waiting" in text
    assert "engine 1: busy, runs wait for it" in text
    seen: list[Board] = []
    shared.watch(seen.append)
    go.touch()
    gather(running, timeout=DEADLINE)
    with pytest.raises(ValueError, match="nine"):
        broken.result(DEADLINE)
    board = shared.unwatch(seen.append)
    assert bar_of(board, "judge").failed == 1
    assert board.failures[0].error.startswith("ValueError: invalid literal")
    assert bar_of(board, "wait for it").done == 3
    assert sum(strip.count for row in board.strips.values() for strip in row) == 4


def test_a_client_sees_its_own_work_and_all_engines(shared: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    write_connection_file(file, shared._twin.connection.file)
    with Cluster.connect(file) as other:
        gather([other.submit(pow, 2, n) for n in range(20)])
        board = other.ui().board
        assert bar_of(board, "pow").done == 20
        assert len(board.engines) == 2
    assert bar_of(shared.ui().board, "pow").total == 0


def test_cells_count_by_engine_and_nothing_is_told_when_nobody_looks(shared: Cluster) -> None:
    shared[:].execute("x = 1", check=True)
    with pytest.raises(EngineErrors):
        shared[:].execute("1 / 0", check=True)
    bars = {bar.label: bar for bar in shared.ui().board.bars}
    assert (bars["x = 1"].done, bars["1 / 0"].failed) == (2, 2)
    number = shared._twin.watching.board.number
    shared[:].execute("x = 2", check=True)
    assert shared._twin.watching.board.number == number
