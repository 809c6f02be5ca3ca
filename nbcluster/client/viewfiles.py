"""What live views show, in files between a notebook's process and the Jupyter server. Knows no drawing, no page.

A kernel that computes answers no page. So a page that is loaded again asks the server, which reads a file of the
cluster's own directory (mode 0700). The view's thread writes it while somebody asks, and what stays at the end. The
files go with the cluster.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from msgspec import DecodeError, Struct, ValidationError, json
from msgspec.structs import replace

from nbcluster.core.board import Board
from nbcluster.drawing.graph import GraphShown
from nbcluster.protocol.feed import Item, key_of
from nbcluster.transport.rendezvous import ConnectionFile, is_alive, list_clusters

WANTED_FOR = 10.0
"""Seconds for which a view goes on writing after it was asked for."""

WRITE_EVERY = 0.5
"""Seconds between two times that it writes."""

MOST_KEPT = 20
"""Views of one cluster whose files are kept; the oldest go first."""

SUFFIXES = (".json", ".wanted", ".board", ".plotted")
"""What it shows and what plots are made of; each is written while somebody asks, as the file beside it tells."""

_VIEW = re.compile(r"[0-9a-f]{32}")

State = Literal["live", "still", "done", "gone"]
"""It moves; its wait is over and the cell goes on; the cell has ended; its process has."""


class ViewSeen(Struct, frozen=True):
    """What one view shows, and to which cell of which kernel it belongs."""

    view: str
    kernel: str
    """As the Jupyter server calls it."""
    cell: str
    """As the page calls it."""
    model: str
    """The widget that shows it where the kernel is heard."""
    count: int
    """The number of the cell's run, as in `[7]`."""
    pid: int
    state: State = "live"
    serial: int = 0
    parts: dict[str, tuple[int, str]] = {}
    """HTML by part, each with the serial number under which it changed."""
    said: str = ""
    stop: dict[str, str] = {}
    stays: dict[str, str] = {}
    """The picture that stays, by mime type."""

    def since(self, have: int) -> ViewSeen:
        """The same, without the parts that did not change after `have`."""
        return replace(self, parts={name: part for name, part in self.parts.items() if part[0] > have})


class BoardSeen(Struct, frozen=True):
    """What plots of a view are made of."""

    number: int
    now: float
    items: tuple[Item, ...]
    graph: GraphShown | None = None

    @property
    def board(self) -> Board:
        """The board that it was."""
        return Board(self.number, self.now, False, {key_of(item): item for item in self.items})


def is_view(name: str) -> bool:
    """Whether this can be the name of a view: it becomes the name of a file."""
    return _VIEW.fullmatch(name) is not None


def directory_of(cluster: ConnectionFile) -> Path | None:
    """Where the views of a cluster are; None for one of another host."""
    return Path(cluster.directory) / "views" if cluster.is_here() else None


class ViewFile:
    """The file of one view, written by its notebook.

    Parameters
    ----------
    directory : Path
        That of the cluster's views; it is made within the cluster's.
    seen : ViewSeen
        Whose view it is.

    Raises
    ------
    OSError
        When it cannot be written, as when the cluster has ended.
    """

    def __init__(self, directory: Path, seen: ViewSeen) -> None:
        self._path = directory / f"{seen.view}.json"
        self._wanted = directory / f"{seen.view}.wanted"
        self._board = directory / f"{seen.view}.board"
        self._plotted = directory / f"{seen.view}.plotted"
        self._seen = seen
        self._written = self._board_written = float("-inf")
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        _prune(directory)
        self._write()

    def show(self, parts: Mapping[str, str], said: str, stop: Mapping[str, str]) -> None:
        """Write what is shown now, if somebody asks for it and the last time is a while ago."""
        now = time.monotonic()
        if now - self._written < WRITE_EVERY or not _is_asked(self._wanted):
            return
        self._written = now
        before, serial = self._seen.parts, self._seen.serial + 1
        changed = {
            name: before[name] if name in before and before[name][1] == html else (serial, html)
            for name, html in parts.items()
        }
        self._seen = replace(
            self._seen, state="live", serial=serial, parts=changed, said=said, stop=dict(stop)
        )
        self._write()

    def stay(self, bundle: Mapping[str, str], *, is_done: bool) -> None:
        """Write what stays; the cell has ended, or goes on."""
        self._seen = replace(
            self._seen,
            state="done" if is_done else "still",
            serial=self._seen.serial + 1,
            parts={},
            said="",
            stop={},
            stays=dict(bundle),
        )
        self._write()

    def show_board(self, board: Board, graph: GraphShown | None) -> None:
        """Write what plots are made of, if somebody has unfolded them and the last time is a while ago."""
        now = time.monotonic()
        if now - self._board_written < WRITE_EVERY or not _is_asked(self._plotted):
            return
        self._board_written = now
        seen = BoardSeen(board.number, board.now, tuple(board.items.values()), graph)
        _replace(self._board, json.encode(seen))

    def _write(self) -> None:
        _replace(self._path, json.encode(self._seen))


def read_view(directory: Path, view: str) -> ViewSeen | None:
    """What a view shows; it goes on writing for a while. None when there is no such view.

    Parameters
    ----------
    directory : Path
        That of the cluster's views.
    view : str
        A name for which `is_view` holds.
    """
    seen = _read(directory / f"{view}.json")
    if seen is not None and seen.state in ("live", "still"):
        with suppress(OSError):  # the cluster ends just now
            (directory / f"{view}.wanted").touch(mode=0o600)
    return seen


def read_board(directory: Path, view: str) -> BoardSeen | None:
    """What plots of a view are made of; it goes on writing for a while. None until it has written."""
    if _read(directory / f"{view}.json") is None:
        return None
    with suppress(OSError):  # the cluster ends just now
        (directory / f"{view}.plotted").touch(mode=0o600)
    try:
        return json.decode((directory / f"{view}.board").read_bytes(), type=BoardSeen)
    except (OSError, DecodeError, ValidationError):
        return None


def views_of(kernel: str) -> list[tuple[str, ViewSeen]]:
    """The views of a kernel whose process lives, each with the name of its cluster."""
    found = []
    for cluster in list_clusters():
        directory = directory_of(cluster)
        for path in sorted(directory.glob("*.json")) if directory is not None else []:
            seen = _read(path)
            if seen is not None and seen.kernel == kernel and seen.state != "gone":
                found.append((cluster.name, seen))
    return found


def _read(path: Path) -> ViewSeen | None:
    try:
        seen = json.decode(path.read_bytes(), type=ViewSeen)
    except (OSError, DecodeError, ValidationError):
        return None
    return seen if seen.state == "done" or is_alive(seen.pid) else replace(seen, state="gone")


def _prune(directory: Path) -> None:
    files = []
    for path in directory.glob("*.json"):
        with suppress(OSError):  # another process removes it
            files.append((path.stat().st_mtime, path))
    for _, path in sorted(files, reverse=True)[MOST_KEPT - 1 :]:
        for suffix in SUFFIXES:
            path.with_suffix(suffix).unlink(missing_ok=True)


def _is_asked(marker: Path) -> bool:
    try:
        asked = marker.stat().st_mtime
    except OSError:
        return False
    return time.time() - asked < WANTED_FOR


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)
