"""The teaching notebooks as a newcomer runs them, and what each cell must have shown."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def execute(path: Path, out: Path) -> tuple[dict[str, Any], str]:
    """Run a notebook by the command line; return its cells by id, and what was printed."""
    command = [sys.executable, "-m", "nbcluster", "run", str(path), "--output", str(out), "--timeout", "60"]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=110, stdin=subprocess.DEVNULL, cwd=out.parent
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return {cell.id: cell for cell in nbformat.read(out, as_version=4).cells}, result.stdout


def shown(cell: Any) -> list[str]:
    """Return the lines of text that a cell shows, without errors."""
    texts = [
        output.text if output.output_type == "stream" else str(output.data.get("text/plain", "")) + "\n"
        for output in cell.outputs
        if output.output_type != "error"
    ]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "".join(texts))
    return [line for line in plain.splitlines() if line]


def test_the_first_notebook(tmp_path: Path) -> None:
    cells, printed = execute(NOTEBOOKS[0], tmp_path / "out.ipynb")
    assert "is ready with 4 engines: 0-3" in shown(cells["start"])[0]

    hello = shown(cells["hello"])
    pids = dict(re.findall(r"\[(\d)\] hello from process (\d+)", "\n".join(hello)))
    assert sorted(pids) == ["0", "1", "2", "3"]
    assert len(set(pids.values())) == 4
    assert hello[-1] == "[0-3] 42  (4 engines)"

    assert shown(cells["on-one"]) == []
    assert shown(cells["who-knows"]) == ["[0] True", "[1] False"]
    assert shown(cells["add"])[0].startswith("started engine 4;")
    assert [line.removeprefix("[4] ") for line in shown(cells["on-tag"])] == ["I am the fifth"]

    steps = shown(cells["stream"])
    for engine in (0, 1):
        assert [line for line in steps if line.startswith(f"[{engine}]")] == [
            f"[{engine}] step {step}" for step in range(3)
        ]
    bar = "".join(output.text for output in cells["bar"].outputs if output.output_type == "stream")
    assert bar.count("\r") > 3, "the bar moved"
    assert "100%" in bar
    assert "the sum is 190\n" in "".join(
        output.text for output in cells["bar"].outputs if output.name == "stdout"
    )

    table = cells["table"].outputs[-1].data
    assert "2013-03-01" in table["text/plain"]
    assert "<table" in table["text/html"]

    errors = [output for output in cells["fail"].outputs if output.output_type == "error"]
    assert len(errors) == 1, "five equal errors are one"
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(errors[0].traceback))
    assert drawn.count("ZeroDivisionError: division by zero") == 1
    assert "engines 0-4" in drawn
    assert shown(cells["after-error"]) == ["[0-4] 3  (5 engines)"]

    assert {"round 1", "round 2", "round 3"} <= set(shown(cells["endless"])), "late output is in its cell"
    assert shown(cells["cancel"]) == ["True"]
    assert shown(cells["after-interrupt"]) == ["True"]
    assert "going to sleep" in shown(cells["sleeper"])
    assert shown(cells["interrupt"]) == ["interrupted engine 1", "'KeyboardInterrupt'"]

    assert shown(cells["push"]) == ["{0: 'AAPL', 1: 'FB', 2: 'GOOG', 3: 'IBM', 4: 'MSFT'}"]
    pictures = [
        output.data["image/png"]
        for output in cells["plot"].outputs
        if output.output_type == "display_data" and "image/png" in output.data
    ]
    assert len(pictures) == 5
    assert len(set(pictures)) == 5, "each engine drew prices of its own"
    assert all(len(picture) > 4000 for picture in pictures)

    # The figures of bokeh_sampledata: first and last closing price of 2012, unadjusted.
    growth = dict(re.findall(r"(\w+) +([+-][\d.]+%) in 2012", "\n".join(shown(cells["pull"]))))
    assert growth == {"AAPL": "+29.4%", "GOOG": "+6.3%", "IBM": "+2.8%", "MSFT": "-0.2%", "FB": "-30.4%"}
    assert next(iter(growth)) == "AAPL", "the best is first"

    assert shown(cells["stop-it"])[0].endswith("is stopped")
    headers = [line for line in printed.splitlines() if re.match(r"\[\d+/22\] ", line)]
    assert len([line for line in headers if "(later)" not in line]) == 22


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []
    assert {cell.execution_count for cell in notebook.cells if cell.cell_type == "code"} == {None}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
