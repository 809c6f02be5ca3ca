"""The notebook of a graph cell: the same values as its serial run, its plan, and what an error leaves."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


def test_the_graph_cell_notebook(execute: Callable[[str], Any]) -> None:
    run = execute("04-graph-cell")
    ordinary, graph = run.shown("ordinary"), run.shown("graph")
    assert re.match(r"\d{4} rows of \d{3} countries", ordinary[0])
    assert graph[: len(ordinary)] == ordinary, "output and table are those of the serial run, in its order"
    assert graph[-1].endswith(" are Futures now: ages.result() brings the value here")
    assert run.shown("check") == [
        f"{name}: CallFuture, the same" for name in ("table", "joined", "by_region")
    ]

    plan = "\n".join(run.shown("plan"))
    assert "one task for each element" in plan
    assert "each on one of 2 engines" in plan
    assert re.match(r"serially [\d.]+ s, as a graph [\d.]+ s on 2 engines", run.shown("end")[0])

    (error,) = run.errors("error")
    assert "KeyError: 'gdp'" in error
    assert "--graph: line 3 of the cell failed; so did line 4" in error
    assert run.shown("after")[1].startswith("DependencyFailed(")
    assert run.shown("stop")[0].endswith("is stopped")
