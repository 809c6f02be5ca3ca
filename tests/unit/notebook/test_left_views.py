"""What a cell's view leaves for pages that are loaded again: whose it is, and nothing where no page could ask."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbcluster.client import viewfiles
from nbcluster.client.viewfiles import ViewSeen, read_board, read_view, views_of
from nbcluster.core.board import Board
from nbcluster.drawing.graph import GraphShown, NodeShown
from nbcluster.notebook import leftviews
from nbcluster.notebook.leftviews import LeftView
from nbcluster.protocol.feed import Bar, EngineLoad, Failure, Lane, Scope, Strip, WorkTold
from nbcluster.transport.rendezvous import ConnectionFile, boot_id, connection_path, write_connection_file

PARENT = {"metadata": {"cellId": "cell-1"}}

BOARD = Board().apply(
    WorkTold(
        1,
        9.0,
        True,
        (
            Bar("fit", 9),
            EngineLoad(0, "idle", busy=(1,), cpu=(1,), memory=(1,)),
            Lane(0, 0, (Strip(1.0, 2.0, "fit"),)),
            Failure(1, "fit", None, 2.0, "ValueError"),
            Scope(0.0),
        ),
    )
)

GRAPH = GraphShown((NodeShown(0, "fit", "a"), NodeShown(1, "fit", "b", (0,))))


class Shell:
    history_manager = SimpleNamespace(input_hist_parsed=[""] * 8)  # the one of the cell that runs is the last


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of the views of a cluster "here", whose controller is this process."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(leftviews, "kernel_id", lambda shell: "kernel-1")
    monkeypatch.setattr(viewfiles, "WRITE_EVERY", 0.0)
    place, me = tmp_path / "sockets", os.getpid()
    place.mkdir(mode=0o700)
    file = ConnectionFile("here", "unix:x", "k", me, me, socket.gethostname(), boot_id(), str(place), "0", 1)
    write_connection_file(connection_path("here"), file)
    return place / "views"


def the_view() -> ViewSeen:
    [(cluster, seen)] = views_of("kernel-1")
    assert cluster == "here"
    return seen


def test_whose_it_is_is_told_at_once_and_what_it_shows_when_asked(directory: Path) -> None:
    left = LeftView(Shell(), "here", PARENT, "model-1")
    seen = the_view()
    assert (seen.cell, seen.model, seen.count, seen.pid, seen.state) == (
        "cell-1",
        "model-1",
        7,
        os.getpid(),
        "live",
    )
    assert left.address == {"cluster": "here", "view": seen.view}
    left.show({"bars": "1"}, "", {}, BOARD, GRAPH)
    assert the_view().parts == {}
    assert read_view(directory, seen.view) is not None
    left.show({"bars": "1"}, "", {}, BOARD, GRAPH)
    assert the_view().parts == {"bars": (1, "1")}
    assert read_board(directory, seen.view) is None
    left.show({"bars": "1"}, "", {}, BOARD, GRAPH)
    told = read_board(directory, seen.view)
    assert told is not None
    assert (told.board.items, told.board.now, told.graph) == (BOARD.items, BOARD.now, GRAPH)

    left.stay({"text/plain": "nine"})
    assert the_view().state == "still"
    left.end()
    assert (the_view().state, the_view().stays) == ("done", {"text/plain": "nine"})
    assert views_of("kernel-2") == []


@pytest.mark.parametrize(
    ("kernel", "parent", "cluster"),
    [("", PARENT, "here"), ("kernel-1", {}, "here"), ("kernel-1", PARENT, "gone")],
    ids=["no server", "no cell", "no cluster"],
)
def test_there_is_nothing_where_no_page_could_ask(
    directory: Path, monkeypatch: pytest.MonkeyPatch, kernel: str, parent: dict[str, Any], cluster: str
) -> None:
    monkeypatch.setattr(leftviews, "kernel_id", lambda shell: kernel)
    left = LeftView(Shell(), cluster, parent, "model-1")
    assert left.address == {}
    left.show({"bars": "1"}, "", {}, BOARD, None)
    left.stay({"text/plain": "nine"})
    left.end()
    assert not directory.exists()


def test_a_cluster_that_ends_takes_its_views_along(directory: Path) -> None:
    left = LeftView(Shell(), "here", PARENT, "model-1")
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    left.stay({"text/plain": "nine"})
    left.end()
    assert left.address == {}
    assert not directory.exists()
