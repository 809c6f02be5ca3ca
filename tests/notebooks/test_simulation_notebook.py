"""The notebook of a simulation: what it sees live, that it steers, and that the physics is right."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest


def test_the_simulation_notebook(execute: Callable[[str], Any]) -> None:
    run = execute("03-stateful-simulation")
    assert run.shown("temperatures") == ["{0: 1.5, 1: 1.8, 2: 2.0, 3: 2.2}"]
    assert {f"[{engine}] away we go" for engine in range(4)} <= set(run.shown("run"))
    assert run.shown("look") == ["'running'"]

    live = dict(
        re.findall(r"temperature ([\d.]+): .* magnetisation ([\d.]+)", "\n".join(run.shown("live-cell")))
    )
    assert sorted(live) == ["1.5", "1.8", "2.0", "2.2"]
    assert float(live["1.5"]) == pytest.approx(0.986, abs=0.03)

    before, after = run.pictures("picture"), run.pictures("steer")
    assert len(before) == len(after) == 1
    assert before != after
    assert run.shown("stop-loop")[-1] == "'done'"

    rows = [line.split() for line in run.shown("compare")]
    measured = {row[0]: (float(row[1]), float(row[2])) for row in rows if re.match(r"\d", row[0])}
    assert sorted(measured) == ["1.5", "1.8", "2.0", "2.2", "3.0"], "engine 0 was heated while it ran"
    for temperature in ("1.5", "1.8", "2.0"):
        value, exact = measured[temperature]
        assert value == pytest.approx(exact, abs=0.03), "Onsager's solution"
    assert measured["3.0"][0] < 0.3
    assert len(run.pictures("plot")) == 1
    assert run.shown("stop-it")[0].endswith("is stopped")
