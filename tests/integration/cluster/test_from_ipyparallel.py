"""Every row of docs/from-ipyparallel.md, run in the order of the page in one kernel, as its reader would."""

from __future__ import annotations

import ast
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PAGE = Path(__file__).parents[3] / "docs/from-ipyparallel.md"
ARROW = "  # → "


@dataclass(frozen=True)
class Row:
    """What stands opposite something of ipyparallel."""

    line: int
    """In the page."""
    peer: str
    ours: str

    @property
    def code(self) -> list[str]:
        """The lines that are code and nothing else; the others are prose."""
        lines = [line.strip() for line in self.ours.split("<br>")]
        return [line[1:-1] for line in lines if re.fullmatch("`[^`]+`", line)]

    @property
    def cell(self) -> str:
        """The code as a cell. Lines of a row that begin with a magic are magics."""
        return "\n".join(self.code)

    @property
    def value(self) -> str | None:
        """What its last expression must be."""
        last = self.code[-1] if self.code else ""
        return last.split(ARROW)[1] if ARROW in last else None


def rows_of(page: str) -> list[Row]:
    """Return the rows of all tables."""
    found = []
    for number, line in enumerate(page.splitlines(), start=1):
        if line.startswith("|") and not re.match(r"\|[-|]+$", line):
            _, peer, ours, _ = re.split(r"(?<!\\)\|", line)
            found.append(Row(number, peer.strip(), ours.strip()))
    return [row for row in found if row.ours != "nbcluster"]


def preamble_of(page: str) -> str:
    """Return the names that the page says its rows use."""
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    return str(code)


def test_each_row_says_something() -> None:
    rows = rows_of(PAGE.read_text())
    assert len(rows) > 100
    for row in rows:
        says_no = re.match(r"(none|nothing)\b", row.ours)
        in_words = re.search(
            r"stop button|your own exception|`EngineErrors`|`%debug`|cluster\.remove\(…\)", row.ours
        )
        assert row.code or says_no or in_words, f"line {row.line} has neither code nor an answer: {row.ours}"


def test_every_row_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "script.py").write_text("from_the_script = 1\n")
    page = PAGE.read_text()
    rows = [row for row in rows_of(page) if row.code]
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(source) for source in (preamble_of(page), *(r.cell for r in rows))
    ]
    NotebookClient(
        notebook,
        timeout=60,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    preamble, *cells = notebook.cells
    assert errors_of(preamble) == ""
    complaints = [
        f"line {row.line} ({row.peer}): {row.cell!r}\n    {why}"
        for row, cell in zip(rows, cells, strict=True)
        if (why := complaint_of(row, cell))
    ]
    assert not complaints, "\n".join(complaints)


def complaint_of(row: Row, cell: nbformat.NotebookNode) -> str:
    """Return what is wrong with what a row did, "" when nothing is."""
    if error := errors_of(cell):
        return error
    if row.value is None:
        return ""
    shown = [output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result"]
    # Compared as values: IPython breaks long reprs over lines.
    if len(shown) == 1 and ast.literal_eval(shown[0]) == ast.literal_eval(row.value):
        return ""
    return f"shows {shown}"


def errors_of(cell: nbformat.NotebookNode) -> str:
    """Return the error of a cell, "" when it has none."""
    for output in cell.outputs:
        if output.output_type == "error":
            return f"{output.ename}: {output.evalue}"
        if output.output_type == "stream" and "Error" in output.text:  # a shell command's
            return str(output.text)
    return ""
