"""The notebook of a parameter sweep: what it computes, what fails in it, and what is not computed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest


def test_the_sweep_notebook(execute: Callable[[str], Any]) -> None:
    run = execute("02-parameter-sweep")
    # What numpy computes from the table in one process.
    assert float(run.value("function")[0]) == pytest.approx(3.46, abs=0.02)
    assert float(run.value("submit")[0]) == pytest.approx(2.86, abs=0.02)

    (error,) = run.errors("sweep")
    assert "LinAlgError: Matrix is not positive definite" in error
    assert "typical_error" in error, "the frames of the engine are shown"
    assert "map: item 35, (6, 0.0)" in error, "it says for which item"

    failed = run.value("table")
    assert [line.split()[1:3] for line in failed[1:]] == [["6", "0.0"]], failed
    best = run.value("best")[1].split()
    assert best[1:3] == ["2", "1.00"]
    assert float(best[3]) == pytest.approx(2.828, abs=0.002)
    assert len(run.pictures("plot")) == 1

    finer = run.shown("finer")
    lines = [line for line in finer if line.startswith("degree")]
    assert len(lines) == 20
    assert all(2.7 < float(line.split()[-1]) < 10 for line in lines)
    cancelled, of = re.findall(r"\d+", finer[20])
    assert of == "64"
    assert 0 < int(cancelled) <= 44, "those that were finished were not cancelled"

    history = "\n".join(run.value("history"))
    assert "done" in history
    assert "cancelled" in history
    assert run.shown("stop-it")[0].endswith("is stopped")
