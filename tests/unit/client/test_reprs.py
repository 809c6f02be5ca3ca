"""What is returned says in a line what it is."""

from __future__ import annotations

from nbcluster.ids import EngineNumber, Incarnation
from nbcluster.protocol.messages import ClusterStatus, EngineStatus


def engine(number: int, state: str, **fields: object) -> EngineStatus:
    return EngineStatus(
        EngineNumber(number),
        Incarnation(number + 1),
        state,
        host="here",
        pid=7,
        kernel="python",
        **fields,  # type: ignore[arg-type]
    )


def test_an_engine_says_what_it_is_and_does() -> None:
    assert repr(engine(0, "idle")) == "<engine 0: idle, python on here, process 7>"
    busy = engine(1, "busy", tags=("gpu", "big"), running="fit()")
    assert repr(busy) == "<engine 1: busy, python on here, process 7, tags gpu, big, runs 'fit()'>"
    failed = engine(2, "failed", note="it did not start: exited with code 1\nTraceback")
    assert (
        repr(failed) == "<engine 2: failed, python on here, process 7: it did not start: exited with code 1>"
    )


def test_a_cluster_counts_its_engines() -> None:
    engines = (engine(0, "idle"), engine(1, "busy"), engine(2, "idle"))
    status = ClusterStatus("mine", 1, "here", "/d", "0", 0.0, None, engines, ("a notebook",), 2, 1)
    assert repr(status) == (
        "<cluster 'mine' on here: engines 2 idle, 1 busy; 1 running, 2 queued; clients: a notebook>"
    )
    empty = ClusterStatus("mine", 1, "here", "/d", "0", 0.0, None, (), (), 0, 0)
    assert repr(empty) == "<cluster 'mine' on here: engines none; 0 running, 0 queued; clients: none>"
