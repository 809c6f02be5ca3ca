"""The notebook of views: each kind of work leaves its picture, and nothing that needs a kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest


def test_the_progress_notebook(execute: Callable[..., Any]) -> None:
    run = execute("06-progress", progress="on")
    # What numpy computes from the table in one process.
    assert float(run.value("map")[0]) == pytest.approx(3.4088, abs=0.0005)
    (picture,) = run.pages("map")
    assert 'aria-label="map descend: 40 done"' in picture
    # Those that ended before it was watched are counted and not drawn.
    assert re.search(r"\b\d+ tasks, a rectangle each", picture)
    assert "error" in picture, "the curves of what was reported"

    failed = int(run.value("errors")[0])
    assert 5 < failed < 20
    (picture,) = run.pages("errors")
    assert f"{40 - failed} of 40 done, {failed} failed" in picture
    assert "it goes up the slope" in picture

    (picture,) = run.pages("graph")
    assert re.search(r"line 2: small = .*line 3: large = .*line 4: best = ", picture, re.S)
    assert "16 elements" in picture, "the lists were fanned out"
    assert float(run.shown("graph")[0]) == pytest.approx(3.4088, abs=0.0005)

    console = next(page for page in run.pages("console") if "nbc-console" in page.partition("</style>")[2])
    assert "392 cars" in console
    assert run.shown("ui")[0].startswith("map descend")
    assert [line.split()[:3] for line in run.shown("names") if line.startswith("mpg")] == [
        ["mpg", "0", "numpy.ndarray"],
        ["mpg", "1", "numpy.ndarray"],
    ]
    for cell in run.cells.values():
        for output in cell.get("outputs", ()):
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
            assert "<script" not in output.get("data", {}).get("text/html", "")
    assert run.shown("stop-it")[0].endswith("is stopped")
