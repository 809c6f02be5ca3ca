"""Writes what a notebook shows as text, while it comes: headers, streams, displays that change. Knows no kernel.

A display with an id may change. Where nobody watches, only whole lines of it that stand are written, and its last
state when its cell ends or nothing has changed for a moment; in a terminal its last line also moves in place.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_ERASE = "\r\x1b[K"

STANDS_AFTER = 0.5
"""Seconds without a change after which a display is written as it stands."""


@dataclass(slots=True)
class _Changing:
    """A display that may change: what it shows, and how much of it was written."""

    cell: int
    text: str
    written: str = ""
    changed: float = 0.0


class Screen:
    """The output of one run.

    Parameters
    ----------
    out, err : text file
        Where the notebook's stdout and displays go, and its stderr and errors.
    total : int
        How many cells there are.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self, out: TextIO, err: TextIO, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._held: dict[tuple[int, str], str] = {}
        self._out, self._err, self._total = out, err, total
        self._watched = out.isatty()
        self._cell = 0
        self._at_line_start = True
        self._moving = False
        self._changing: dict[str, _Changing] = {}
        self._lines: dict[int, str] = {}

    def begin(self, cell: int, source: str) -> None:
        """Write the header of a cell that begins. Cells count from 1."""
        first = next((line.strip() for line in source.splitlines() if line.strip()), "")
        self._lines[cell] = first if len(first) <= 100 else first[:99] + "…"
        self._head(cell, "")

    def end(self, cell: int) -> None:
        """Write what a cell's changing displays show at its end."""
        self._release()
        self.settle(cell)

    def stream(self, cell: int, name: str, text: str) -> None:
        """Write text that a cell printed. Where nobody watches, a line with carriage returns is written once."""
        text = text.replace("\r\n", "\n")
        if any(held != (cell, name) for held in self._held):
            self._release()
            self._finish_line()
        if not self._watched:
            text = self._held.pop((cell, name), "") + text
            lines = text.split("\n")
            if "\r" in lines[-1]:
                self._held[cell, name] = lines.pop()
                lines.append("")
            text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
        if text:
            self._turn_to(cell)
            self._write(self._err if name == "stderr" else self._out, text)

    def show(self, cell: int, data: Mapping[str, Any], display_id: str | None = None) -> None:
        """Write a display as text."""
        text = as_text(data)
        if display_id is None:
            self._turn_to(cell)
            self._line(self._out, text)
            return
        shown = self._changing.get(display_id)
        if shown is None:
            self._changing[display_id] = _Changing(cell, text)
        else:
            self._settle(shown)
            shown.cell, shown.text, shown.written = cell, text, ""
        self._grow(self._changing[display_id])

    def update(self, display_id: str, data: Mapping[str, Any]) -> None:
        """Note that a display changed."""
        shown = self._changing.get(display_id)
        if shown is not None:
            shown.text = as_text(data)
            self._grow(shown)

    def error(self, cell: int, ename: str, evalue: str, traceback: list[str]) -> None:
        """Write an error as the kernel drew it."""
        self._release()
        self._turn_to(cell)
        self._line(self._err, "\n".join(traceback) or f"{ename}: {evalue}")

    def settle(self, cell: int | None = None) -> None:
        """Write the present state of displays that have changed: of one cell, or of all."""
        for shown in self._changing.values():
            if cell is None or shown.cell == cell:
                self._settle(shown)

    def tick(self) -> None:
        """Write the displays that have changed and have stood for a moment since."""
        now = self._clock()
        for shown in self._changing.values():
            if now - shown.changed >= STANDS_AFTER:
                self._settle(shown)

    def note(self, text: str) -> None:
        """Write a line of the run itself."""
        self._release()
        self._finish_line()
        self._line(self._err, text)

    # -- changing displays --------------------------------------------------------------------

    def _grow(self, shown: _Changing) -> None:
        """Write the whole lines that came to a display whose written part stands."""
        shown.changed = self._clock()
        if shown.text.startswith(shown.written):
            end = shown.text.rfind("\n") + 1
            if end > len(shown.written):
                self._turn_to(shown.cell)
                self._write(self._out, shown.text[len(shown.written) : end])
                shown.written = shown.text[:end]
        if self._watched and shown.text != shown.written:
            self._turn_to(shown.cell)
            last = shown.text.rstrip("\n").rpartition("\n")[2]
            self._finish_line()
            self._out.write(_ERASE + last[:200])
            self._out.flush()
            self._moving = True

    def _settle(self, shown: _Changing) -> None:
        if shown.text == shown.written or (not shown.text and not shown.written):
            return
        stands = shown.text.startswith(shown.written) and (not shown.written or shown.written.endswith("\n"))
        rest = shown.text[len(shown.written) :] if stands else shown.text
        shown.written = shown.text
        if rest.strip():
            self._turn_to(shown.cell)
            self._line(self._out, rest)

    # -- writing ------------------------------------------------------------------------------

    def _head(self, cell: int, why: str) -> None:
        self._finish_line()
        self._cell = cell
        self._line(self._out, f"[{cell}/{self._total}]{why} {self._lines.get(cell, '')}")

    def _release(self) -> None:
        """Write the lines that were held back for their carriage returns."""
        held, self._held = self._held, {}
        for (cell, name), text in held.items():
            self._turn_to(cell)
            self._write(self._err if name == "stderr" else self._out, text.rstrip("\r").rpartition("\r")[2])

    def _turn_to(self, cell: int) -> None:
        if cell != self._cell:
            self._head(cell, " (later)")

    def _finish_line(self) -> None:
        self._wipe_moving()
        if not self._at_line_start:
            self._write(self._out, "\n")

    def _wipe_moving(self) -> None:
        if self._moving:
            self._moving = False
            self._out.write(_ERASE)

    def _line(self, file: TextIO, text: str) -> None:
        self._finish_line()
        self._write(file, text if text.endswith("\n") else text + "\n")

    def _write(self, file: TextIO, text: str) -> None:
        if not text:
            return
        self._wipe_moving()
        file.write(text if file.isatty() else _ANSI.sub("", text))
        file.flush()
        self._at_line_start = text.endswith("\n")


def as_text(data: Mapping[str, Any]) -> str:
    """A MIME bundle as text: its text/plain, else which types it has."""
    plain = data.get("text/plain")
    if plain is not None:
        return "".join(plain) if isinstance(plain, list) else str(plain)
    return f"<{', '.join(sorted(data))}>" if data else ""
