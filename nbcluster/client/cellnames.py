"""Names the cells of this notebook in tracebacks that engines have drawn. Knows no errors and no engines.

Code of a notebook is compiled under the name of a file that never was; which cell that is, the notebook's shell knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import structs

from nbcluster.client.naming import running_shell
from nbcluster.payload.errors import load_exception
from nbcluster.protocol.outcomes import Threw

_COLOUR = r"(?:\x1b\[[0-9;]*m)*"
_PYTHONS = re.compile(r'^(?P<margin>[\s|+]*)File "(?P<file>[^"\n]+)"(?=, line \d)')
_IPYTHONS = re.compile(
    rf"^(?P<before>{_COLOUR})File (?P<colour>{_COLOUR})(?P<file>[^\s\x1b:]+):(?P<line>\d+)"
)


def cell_of(file: str) -> str:
    """Return what the notebook calls a file of code: "Cell In[3]" for a cell's, "" for any other."""
    name_code = getattr(getattr(running_shell(), "compile", None), "format_code_name", None)
    found = None if name_code is None else name_code(file)
    return " ".join(found) if found else ""


def with_cells(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the lines of a traceback, Python's or IPython's, with the notebook's cells in place of their files."""
    return tuple(_named(line) for line in lines)


def raised_here(threw: Threw, engine: int | None) -> BaseException:
    """Return the exception that a call has raised, its traceback in the words of the notebook."""
    return load_exception(structs.replace(threw, traceback=with_cells(threw.traceback)), engine)


def _named(line: str) -> str:
    if found := _PYTHONS.match(line):
        cell = cell_of(found["file"])
        return f"{found['margin']}{cell}{line[found.end() :]}" if cell else line
    if found := _IPYTHONS.match(line):
        cell = cell_of(found["file"])
        return (
            f"{found['before']}{found['colour']}{cell}, line {found['line']}{line[found.end() :]}"
            if cell
            else line
        )
    return line
