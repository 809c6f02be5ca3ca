"""The teaching notebooks as a newcomer runs them, and what each cell must have shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_the_first_notebook(execute: Callable[[str], Any]) -> None:
    run = execute("01-first-cell")
    cells, printed = run.cells, run.printed
    # A start that takes long says so first.
    assert any("is ready with 4 engines: 0-3" in line for line in run.shown("start"))

    hello = run.shown("hello")
    pids = dict(re.findall(r"\[(\d)\] hello from process (\d+)", "\n".join(hello)))
    assert sorted(pids) == ["0", "1", "2", "3"]
    assert len(set(pids.values())) == 4
    assert hello[-1] == "[0-3] 42  (4 engines)"

    assert run.shown("on-one") == []
    assert run.shown("who-knows") == ["[0] True", "[1] False"]
    assert run.shown("add")[0].startswith("started engine 4;")
    assert [line.removeprefix("[4] ") for line in run.shown("on-tag")] == ["I am the fifth"]

    steps = run.shown("stream")
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

    errors = run.errors("fail")
    assert len(errors) == 1, "five equal errors are one"
    (drawn,) = errors
    assert drawn.count("ZeroDivisionError: division by zero") == 1
    assert "engines 0-4" in drawn
    assert run.shown("after-error") == ["[0-4] 3  (5 engines)"]

    assert {"round 1", "round 2", "round 3"} <= set(run.shown("endless")), "late output is in its cell"
    assert run.shown("cancel") == ["True"]
    assert run.shown("after-interrupt") == ["True"]
    assert "going to sleep" in run.shown("sleeper")
    assert run.shown("interrupt") == ["interrupted engine 1", "'KeyboardInterrupt'"]

    assert run.shown("push") == ["{0: 'AAPL', 1: 'FB', 2: 'GOOG', 3: 'IBM', 4: 'MSFT'}"]
    pictures = run.pictures("plot")
    assert len(pictures) == 5
    assert len(set(pictures)) == 5, "each engine drew prices of its own"
    assert all(len(picture) > 4000 for picture in pictures)

    # The figures of bokeh_sampledata: first and last closing price of 2012, unadjusted.
    growth = dict(re.findall(r"(\w+) +([+-][\d.]+%) in 2012", "\n".join(run.shown("pull"))))
    assert growth == {"AAPL": "+29.4%", "GOOG": "+6.3%", "IBM": "+2.8%", "MSFT": "-0.2%", "FB": "-30.4%"}
    assert next(iter(growth)) == "AAPL", "the best is first"

    assert run.shown("stop-it")[0].endswith("is stopped")
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
