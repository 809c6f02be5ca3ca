"""The files by which a page that was loaded again sees a view: written when asked for, read in parts, few."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nbcluster.client import viewfiles
from nbcluster.client.viewfiles import MOST_KEPT, ViewFile, ViewSeen, is_view, read_view

VIEW = "0123456789abcdef" * 2


def view(name: str = VIEW, pid: int | None = None) -> ViewSeen:
    return ViewSeen(name, "kernel", "cell", "model", 7, os.getpid() if pid is None else pid)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "views"


def test_what_nobody_asks_for_is_not_written(place: Path) -> None:
    file = ViewFile(place, view())
    before = (place / f"{VIEW}.json").read_bytes()
    file.show({"bars": "one"}, "", {})
    assert (place / f"{VIEW}.json").read_bytes() == before
    assert [path.name for path in place.iterdir()] == [f"{VIEW}.json"]


def test_who_asks_is_told_what_changed_and_in_the_end_what_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewfiles, "WRITE_EVERY", 0.0)
    file = ViewFile(place, view())
    first = read_view(place, VIEW)
    assert first is not None
    assert (first.state, first.parts) == ("live", {})
    file.show({"bars": "one", "head": "h"}, "said", {"work": "w"})
    seen = read_view(place, VIEW)
    assert seen is not None
    assert seen.since(0).parts == {"bars": (1, "one"), "head": (1, "h")}
    assert (seen.said, seen.stop) == ("said", {"work": "w"})
    file.show({"bars": "two", "head": "h"}, "said", {"work": "w"})
    again = read_view(place, VIEW)
    assert again is not None
    assert again.since(seen.serial).parts == {"bars": (2, "two")}
    assert set(again.since(0).parts) == {"bars", "head"}

    file.stay({"text/html": "<p>"}, is_done=False)
    assert (still := read_view(place, VIEW)) is not None
    assert (still.state, still.stays, still.parts, still.stop) == ("still", {"text/html": "<p>"}, {}, {})
    file.show({"bars": "three"}, "", {})  # the cell waits again
    assert (live := read_view(place, VIEW)) is not None
    assert live.since(again.serial).parts == {"bars": (4, "three")}
    file.stay({"text/html": "<p>"}, is_done=True)
    assert (done := read_view(place, VIEW)) is not None
    assert done.state == "done"


def test_they_are_the_users_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewfiles, "WRITE_EVERY", 0.0)
    file = ViewFile(place, view())
    read_view(place, VIEW)
    file.show({"bars": "one"}, "", {})
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o600}


def test_it_is_asked_for_again_or_no_more_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewfiles, "WRITE_EVERY", 0.0)
    file = ViewFile(place, view())
    read_view(place, VIEW)
    os.utime(place / f"{VIEW}.wanted", (1, 1))
    file.show({"bars": "one"}, "", {})
    assert (seen := read_view(place, VIEW)) is not None
    assert seen.parts == {}
    file.show({"bars": "one"}, "", {})
    assert (seen := read_view(place, VIEW)) is not None
    assert seen.parts == {"bars": (1, "one")}


def test_a_view_whose_process_has_ended_is_gone_unless_it_was_done(place: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    ViewFile(place, view(pid=ended.pid))
    assert (seen := read_view(place, VIEW)) is not None
    assert seen.state == "gone"
    assert not (place / f"{VIEW}.wanted").exists(), "nobody is there to write"
    ViewFile(place, view(pid=ended.pid)).stay({"text/plain": "x"}, is_done=True)
    assert (seen := read_view(place, VIEW)) is not None
    assert seen.state == "done"


def test_few_are_kept_and_the_oldest_go(place: Path) -> None:
    names = [f"{number:032x}" for number in range(MOST_KEPT + 5)]
    for number, name in enumerate(names):
        ViewFile(place, view(name))
        read_view(place, name)
        os.utime(place / f"{name}.json", (number, number))
    assert {path.stem for path in place.glob("*.json")} == set(names[5:])
    assert {path.stem for path in place.glob("*.wanted")} == set(names[5:])


def test_a_cluster_that_has_ended_has_no_place_for_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ViewFile(tmp_path / "gone" / "views", view())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "../x", "0" * 31, "0" * 33, "G" * 32, f"{VIEW}\n", "A" * 32])
def test_names_of_views_are_no_paths(name: str) -> None:
    assert not is_view(name)
    assert is_view(VIEW)


def test_what_is_no_view_is_not_read(place: Path) -> None:
    ViewFile(place, view())
    (place / f"{VIEW}.json").write_text("{")
    assert read_view(place, VIEW) is None
    assert read_view(place, "f" * 32) is None
