"""Draws what a call raised as one traceback: the notebook's frames, then the engine's. Knows no cells and no calls."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from nbcluster.client import raising
from nbcluster.client.futures import before_raise
from nbcluster.errors import RemoteTraceback
from nbcluster.notebook.labels import engines_phrase

_OURS = str(Path(__file__).parent.parent)
_RED, _GREEN, _BOLD, _RESET = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"
_BEGIN = "Traceback (most recent call last):"
"""How Python begins; what IPython draws has no colon there."""
_FRAME = re.compile(
    r'^\s*(?:File "(?P<file>[^"]+)"|(?P<cell>(?:Cell )?In\b.*?)), line (?P<line>\d+)(?:, in (?P<where>.+))?$'
)
_LAST = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?P<rest>: .*)?$")

NameCell = Callable[[str], str]
"""Says what a notebook calls a file of code: "In[3]" for a cell's, "" for any other."""


def is_remote(error: BaseException) -> bool:
    """Whether an engine has raised this, in its own class."""
    return isinstance(error.__cause__, RemoteTraceback)


def mark(error: BaseException) -> None:
    """Have IPython draw an error that an engine has raised by `draw_latest`."""
    if is_remote(error) and not hasattr(error, "_render_traceback_"):
        # Found by its name in whatever process unpickles the error.
        error._render_traceback_ = draw_latest  # type: ignore[attr-defined]  # IPython asks any error for it


def mark_own(error: BaseException) -> None:
    """Have IPython draw without our frames an error of code that we had called, or of how we were called."""
    if not hasattr(error, "_render_traceback_"):
        error._render_traceback_ = draw_latest  # type: ignore[attr-defined]  # IPython asks any error for it


def mark_whole(error: BaseException) -> None:
    """Have IPython draw of an error what an engine says alone: the notebook's frames are those of a magic."""
    error._render_traceback_ = draw_engines_part  # type: ignore[attr-defined]  # IPython asks any error for it


def install() -> None:
    """Have what is raised in this process drawn so, whether the extension is loaded or not."""
    for hooks, hook in ((before_raise, mark), (raising.before_raise, mark_own)):
        if hook not in hooks:
            hooks.append(hook)


def draw_latest() -> list[str]:
    """Return the lines of the error that IPython shows now."""
    from IPython.core.getipython import get_ipython

    shell, error = get_ipython(), sys.last_value
    if shell is None or error is None:
        return traceback.format_exception(error)
    if not is_remote(error):
        drawn = shell.InteractiveTB.structured_traceback(
            type(error), error, without_ours(error.__traceback__)
        )
        return list(drawn)
    return [*local_lines(shell, error), *engine_lines(error, cells_of(shell))]


def draw_engines_part() -> list[str]:
    """Return the lines of the error that IPython shows now, from the engine's frames on."""
    from IPython.core.getipython import get_ipython

    shell, error = get_ipython(), sys.last_value
    return engine_lines(error, cells_of(shell)) if error is not None and is_remote(error) else draw_latest()


def local_lines(shell: Any, error: BaseException) -> list[str]:
    """Return the frames of the notebook that led to the error, as IPython draws them, without ours."""
    name = type(error).__name__
    stand_in = type(name, (Exception,), {})()
    drawn = shell.InteractiveTB.structured_traceback(
        type(stand_in), stand_in, without_ours(error.__traceback__)
    )
    return list(drawn[:-1])  # the last is the error itself, which the engine's end with


def engine_lines(error: BaseException, name_cell: NameCell) -> list[str]:
    """Return an engine's traceback of an error, under a heading, with the error's notes.

    Parameters
    ----------
    error : BaseException
        Raised from a RemoteTraceback.
    name_cell : callable
    """
    cause = error.__cause__
    assert isinstance(cause, RemoteTraceback)
    heading = [] if cause.engine is None else [f"{_BOLD}On {engines_phrase([cause.engine])}:{_RESET}"]
    lines = remote_lines(cause.text.splitlines(), name_cell)
    notes = [note for note in getattr(error, "__notes__", ()) if note not in cause.text]
    return [*heading, *lines, *(f"{_BOLD}{note}{_RESET}" for note in notes)]


def remote_lines(lines: Sequence[str], name_cell: NameCell) -> list[str]:
    """Return the lines of an engine's traceback in the colours and with the cells of a notebook.

    Those that a kernel has drawn itself stay as they are.
    """
    if _BEGIN not in lines:
        return list(lines)
    return [_drawn(line, name_cell) for line in lines]


def cells_of(shell: Any) -> NameCell:
    """Return what names the cells of a shell."""

    def name_cell(file: str) -> str:
        found = shell.compile.format_code_name(file) if hasattr(shell.compile, "format_code_name") else None
        return " ".join(found) if found else ""

    return name_cell


def without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of nbcluster."""
    if trace is None:
        return None
    rest = without_ours(trace.tb_next)
    if trace.tb_frame.f_code.co_filename.startswith(_OURS):
        return rest
    return TracebackType(rest, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


def _drawn(line: str, name_cell: NameCell) -> str:
    if found := _FRAME.match(line):
        cell = found["cell"] or name_cell(found["file"])
        where = f", in {found['where']}" if found["where"] else ""
        place = cell or f"File {found['file']}"
        return f"{_GREEN}{place}, line {found['line']}{_RESET}{where}"
    if (found := _LAST.match(line)) and line != _BEGIN:
        return f"{_RED}{found['name']}{_RESET}{found['rest'] or ''}"
    return line
