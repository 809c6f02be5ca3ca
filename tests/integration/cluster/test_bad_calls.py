"""What a program can do wrong with calls over real engines: Futures of elsewhere, and a client that stops to read."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from nbcluster import Cluster, gather
from nbcluster.errors import UsageError

DEADLINE = 20.0


def test_a_future_of_another_cluster_is_refused_by_name(shared: Cluster) -> None:
    with Cluster(1, name="elsewhere") as elsewhere:
        theirs = elsewhere.submit(pow, 2, 3)
        said = (
            r"belongs to the cluster 'elsewhere' and cannot be an argument of a call on 'shared'.*result\(\)"
        )
        for attempt in (
            lambda: shared.submit(abs, theirs),
            lambda: shared.submit(sum, [1, theirs]),
            lambda: shared.options(after=[theirs]).submit(abs, 1),
            lambda: list(shared.map(abs, [theirs])),
        ):
            with pytest.raises(UsageError, match=said):
                attempt()
        assert shared.submit(abs, theirs.result(DEADLINE)).result(DEADLINE) == 8
        assert gather([theirs, shared.submit(abs, -1)]) == [8, 1]  # to collect them together is fine


def test_a_client_that_stops_to_read_holds_up_no_other_and_loses_nothing(
    shared: Cluster, script: Callable[..., subprocess.Popen[str]]
) -> None:
    deaf = script(
        """
        import sys
        from nbcluster import Cluster
        cluster = Cluster.connect(sys.argv[1])

        def work(n):
            print("x" * 2000)
            return n

        futures = [cluster.submit(work, n) for n in range(5000)]
        print("submitted", flush=True)
        assert [future.result() for future in futures] == list(range(5000))
        assert all(len(future.output) == 2001 for future in futures)
        print("complete", flush=True)
        """,
        shared.calls.address[1],
    )
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == "submitted\n"
    os.kill(deaf.pid, signal.SIGSTOP)
    try:
        assert gather([shared.submit(abs, -n) for n in range(200)], timeout=DEADLINE) == list(range(200))
        assert not [record for record in shared.tasks() if record.label == "abs"]
    finally:
        os.kill(deaf.pid, signal.SIGCONT)
    assert deaf.stdout.readline() == "complete\n"
    assert deaf.wait(DEADLINE) == 0
