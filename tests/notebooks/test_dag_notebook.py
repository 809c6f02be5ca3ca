"""The notebook of task graphs: order by timestamps, values, what fails, and cells that come after each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


def test_the_dag_notebook(execute: Callable[[str], Any]) -> None:
    run = execute("05-dag")
    arrows = re.match(r"32 nodes, (\d+) arrows, acyclic: True", run.shown("graph")[0])
    assert arrows is not None
    assert int(arrows[1]) > 80
    assert len(run.pictures("draw")) == 1
    kept, busy = run.shown("times")
    assert kept == f"{arrows[1]} arrows, 0 of them not kept"
    assert busy.endswith("on the engines [0, 1]")
    assert float(busy.split()[0]) > 1.1, "tasks ran side by side"
    assert re.fullmatch(r"[1-9]\d* ways from 0 to 31, as networkx's order says: True", run.shown("check")[0])
    failed, why = run.shown("fail")
    assert re.fullmatch(r"(?!1 )\d+ did not succeed: True", failed)
    assert why == "DependencyFailed because of ValueError('node 20 is broken')"

    plan = "\n".join(run.shown("cell-plan"))
    assert re.search(r"after cell \[\d+\] `load`, which writes rows", plan), plan
    assert re.search(r"after cell \[\d+\] `other`, which writes factor", plan), plan
    assert run.value("cell-result") == ["135"]
    assert re.search(r"stale: cell \[\d+\] `load` ran again since \(\d\d:\d\d\)", run.shown("stale")[0])
    assert run.shown("stop")[0].endswith("is stopped")
