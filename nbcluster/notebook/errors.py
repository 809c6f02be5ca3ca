"""Draws our errors in a notebook: engines' as their own tracebacks, ours as one line. Knows no cells."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from nbcluster.errors import EngineErrors, NBClusterError, RemoteError, RemoteTraceback
from nbcluster.notebook.labels import engines_phrase
from nbcluster.notebook.remotetracebacks import (
    NameCell,
    cells_of,
    engine_lines,
    is_remote,
    remote_lines,
)

IN_FULL = 4
"""How many different errors of one cell are drawn with their tracebacks; of the others, the last line is."""

_RED, _BOLD, _RESET = "\x1b[31m", "\x1b[1m", "\x1b[0m"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_DIFFERS = re.compile(
    r"0x[0-9a-fA-F]+|(?<=In\[)\d+|(?<=In \[)\d+|ipykernel_\d+|(?<=/)\d+\.py|(?<=line )<.*?>"
)
"""What differs between engines in tracebacks of the same error: addresses, cell numbers, temporary files."""

Handler = Callable[..., Any]


class CellInterrupted(KeyboardInterrupt):
    """The user interrupted a cell that ran on engines. Drawn in one line: the cause is known."""


OURS: tuple[type[BaseException], ...] = (NBClusterError, CellInterrupted)


def _as_it_is(file: str) -> str:
    return ""


def traceback_lines(error: BaseException, name_cell: NameCell = _as_it_is) -> list[str]:
    """Return what a notebook shows of an error, as lines with ANSI colours.

    Parameters
    ----------
    error : BaseException
        One of OURS, or any error that EngineErrors holds.
    name_cell : callable
        Says what the notebook calls a file of code.
    """
    match error:
        case EngineErrors():
            return _several(error, name_cell)
        case RemoteError():
            return _with_heading([error.engine] if error.engine is not None else [], error, name_cell)
        case CellInterrupted():
            return [_headline("KeyboardInterrupt", str(error))]
        case NBClusterError():
            return [_headline(type(error).__name__, str(error)), *_reason(error, name_cell)]
        case _ if is_remote(error):
            return engine_lines(error, name_cell)
        case _:
            return [line.rstrip("\n") for line in traceback.format_exception_only(error)]


def _reason(error: NBClusterError, name_cell: NameCell) -> list[str]:
    """What an error of ours was raised from, when that is news: a call that another one needed."""
    cause = error.__cause__
    if isinstance(cause, RemoteTraceback):
        return engine_lines(error, name_cell)
    if isinstance(cause, NBClusterError) or (cause is not None and is_remote(cause)):
        return ["", *traceback_lines(cause, name_cell)]
    return []


def _several(group: EngineErrors, name_cell: NameCell) -> list[str]:
    alike: dict[object, list[int]] = {}
    for number, error in sorted(group.errors.items()):
        alike.setdefault(_essence(error), []).append(number)
    lines: list[str] = []
    for at, numbers in enumerate(alike.values()):
        error = group.errors[numbers[0]]
        if at:
            lines.append("")
        if at < IN_FULL:
            lines += _with_heading(numbers, error, name_cell)
        else:
            lines.append(f"{_heading(numbers)} {_last_line(error)}")
    return lines


def _with_heading(numbers: Sequence[int], error: BaseException, name_cell: NameCell) -> list[str]:
    cause = error.__cause__
    if isinstance(error, RemoteError):
        body = remote_lines(error.traceback, name_cell)
    elif isinstance(cause, RemoteTraceback):
        body = remote_lines(cause.text.splitlines(), name_cell)
    else:
        body = traceback_lines(error, name_cell)
    if isinstance(error, RemoteError) and not body:
        body = [_headline(error.ename, error.evalue)]
    body += [f"{_BOLD}{note}{_RESET}" for note in getattr(error, "__notes__", ())]
    return [_heading(numbers), *body] if numbers else body


def _last_line(error: BaseException) -> str:
    """Return an error in one line."""
    if isinstance(error, RemoteError):
        return _headline(error.ename, error.evalue)
    if is_remote(error):
        return _headline(type(error).__name__, str(error))
    return traceback_lines(error)[-1]


def _heading(numbers: Sequence[int]) -> str:
    return f"{_BOLD}On {engines_phrase(numbers)}:{_RESET}"


def _headline(name: str, text: str) -> str:
    return f"{_RED}{name}{_RESET}: {text}"


def _essence(error: BaseException) -> object:
    if isinstance(error, RemoteError):
        return (error.ename, _even(error.evalue), tuple(_even(line) for line in error.traceback))
    if isinstance(error.__cause__, RemoteTraceback):
        return (type(error).__name__, _even(error.__cause__.text))
    return (type(error), _even(str(error)))


def _even(text: str) -> str:
    return _DIFFERS.sub("·", _ANSI.sub("", text))


class ErrorDrawing:
    """Our place in the shell's custom exception handling; a handler that was there keeps its errors.

    Parameters
    ----------
    shell : InteractiveShell
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._before_kinds: tuple[type[BaseException], ...] = shell.custom_exceptions
        self._before: Handler = shell.CustomTB
        self._installed: Handler | None = None

    def install(self) -> None:
        """Draw our errors from now on."""

        def handler(shell: Any, kind: type[BaseException], value: BaseException, tb: Any, **more: Any) -> Any:
            if isinstance(value, OURS):
                return draw(shell, value, tb)
            return self._before(kind, value, tb, **more)

        self._shell.set_custom_exc((*OURS, *self._before_kinds), handler)
        self._installed = self._shell.CustomTB

    def uninstall(self) -> None:
        """Put back what was there, unless another handler has been set since."""
        if self._shell.CustomTB is self._installed:
            self._shell.custom_exceptions = self._before_kinds
            self._shell.CustomTB = self._before


def install(shell: Any) -> ErrorDrawing:
    """Draw our errors in this shell from now on; the answer can undo it."""
    drawing = ErrorDrawing(shell)
    drawing.install()
    return drawing


def draw(shell: Any, value: BaseException, tb: Any) -> list[str]:
    """Show an error as the shell shows any error: in a notebook, as an error output of the cell."""
    lines = traceback_lines(value, cells_of(shell))
    # IPython takes `_render_traceback_` of any error but a group: a stand-in of the same name carries them.
    stand_in = type(
        "KeyboardInterrupt" if isinstance(value, CellInterrupted) else type(value).__name__,
        (Exception,),
        {"_render_traceback_": lambda _: lines, "__str__": lambda _: str(value)},
    )()
    shell.showtraceback((type(stand_in), stand_in, tb))
    # The post-mortem tools look here, and shall find the error itself.
    sys.last_type, sys.last_value, sys.last_traceback = type(value), value, tb
    return lines
