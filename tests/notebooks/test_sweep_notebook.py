"""The notebook of a parameter sweep: what it computes, what fails in it, and what is not computed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest


def test_the_sweep_notebook(execute: Callable[[str], Any]) -> None:
    run = execute("02-parameter-sweep")
    # What numpy computes from the table in one process.
    assert float(run.shown("function")[-1]) == pytest.approx(3.46, abs=0.02)
    assert float(run.shown("submit")[-1]) == pytest.approx(2.86, abs=0.02)

    (error,) = run.errors("sweep")
    assert "LinAlgError: Matrix is not positive definite" in error
    assert "typical_error" in error, "the frames of the engine are shown"
    assert "(6, 0" in error or "6, 0" in error, "it says for which item"

    failed = run.shown("table")
    assert [line.split()[1:3] for line in failed[1:]] == [["6", "0.000"]], failed
    best = run.shown("best")[1].split()
    assert best[1:3] == ["2", "1.0"]
    assert float(best[3]) == pytest.approx(2.828, abs=0.002)
    assert len(run.pictures("plot")) == 1

    lines = [line for line in run.shown("finer") if line.startswith("degree")]
    assert len(lines) == 20
    assert all(2.7 < float(line.split()[-1]) < 10 for line in lines)
    cancelled, of = re.findall(r"\d+", run.shown("partial-table")[0])
    assert of == "64"
    assert 0 < int(cancelled) <= 44, "those that were finished were not cancelled"

    history = "\n".join(run.shown("history"))
    assert "done" in history
    assert "cancelled" in history
    assert run.shown("stop-it")[0].endswith("is stopped")
