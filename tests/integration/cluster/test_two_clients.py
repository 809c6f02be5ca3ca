"""Stories of two clients on one cluster: each has its own output, errors and cancels; the engines are shared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nbcluster import Cluster
from nbcluster.errors import TaskCancelled
from nbcluster.testing.waiting import wait_until
from nbcluster.transport.rendezvous import write_connection_file

DEADLINE = 20.0


@pytest.fixture
def other(shared: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """Connect a second client, by the connection file."""
    file = tmp_path / "found.json"
    write_connection_file(file, shared._twin.connection.file)
    with Cluster.connect(file) as made:
        yield made


def test_neither_sees_the_others_output(shared: Cluster, other: Cluster) -> None:
    futures = [
        (client, name, client[:].execute(f"for i in range(50): print('{name}', i)\n'{name}'", wait=False))
        for name, client in (("ours", shared), ("theirs", other)) * 3
    ]
    for _, name, future in futures:
        assert future.result(DEADLINE) == {0: name, 1: name}
        for result in future.results.values():
            assert result.stdout == "".join(f"{name} {i}\n" for i in range(50))


def test_an_error_in_one_does_not_abort_what_the_other_queued(shared: Cluster, other: Cluster) -> None:
    failing = shared[0].execute("import time; time.sleep(0.3)\n1 / 0", wait=False)
    queued = [other[0].execute(f"{i}", wait=False) for i in range(5)]
    own = shared[0].execute("'ours too'", wait=False)
    assert "ZeroDivisionError" in str(failing.exception(DEADLINE))
    assert [future.result(DEADLINE) for future in queued] == [0, 1, 2, 3, 4]
    assert own.result(DEADLINE) == "ours too"


def test_a_cancel_reaches_only_ones_own(shared: Cluster, other: Cluster) -> None:
    theirs = other[0].execute("import time\nfor _ in range(40): time.sleep(.01)\n'whole'", wait=False)
    wait_until(theirs.running, DEADLINE, "the other's cell to run")
    ours = shared[0].execute("1", wait=False)
    shared.cancel()
    with pytest.raises(TaskCancelled):
        ours.result(DEADLINE)
    assert theirs.result(DEADLINE) == "whole"


def test_the_namespace_is_shared(shared: Cluster, other: Cluster) -> None:
    other[0]["x"] = "set by the other"
    assert shared[0]["x"] == "set by the other"


def test_one_that_closes_leaves_its_cells_running(shared: Cluster, other: Cluster) -> None:
    other[0].execute("import time; time.sleep(0.3); after = 'it had left'", wait=False)
    other.close()
    assert shared[0]["after"] == "it had left"
