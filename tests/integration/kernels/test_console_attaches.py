"""Stories of another front end on an engine: a Jupyter console shares its namespace, and takes its turn."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from nbcluster import Cluster
from nbcluster.testing.waiting import wait_until

DEADLINE = 30


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Start a cluster with one engine."""
    with Cluster(1, name="attached") as made:
        yield made


def test_a_console_shares_the_namespace(cluster: Cluster, world: Any) -> None:
    cluster[0]["x"] = 41
    console = pexpect.spawn(
        sys.executable,
        ["-m", "jupyter_console", "--existing", cluster.engines[0].connection_file, "--simple-prompt"],
        env={**os.environ, "TERM": "dumb"},
        timeout=DEADLINE,
        encoding="utf-8",
    )
    try:
        console.expect(r"In \[\d*\]:")
        console.sendline("y = x + 1; print('sees', y)")
        console.expect("sees 42")
        assert cluster[0]["y"] == 42
        console.expect(r"In \[\d*\]:")
        console.sendline("input('asks? ').upper()")
        console.expect(re.escape("asks?"))
        console.sendline("ada")
        console.expect("ADA")
        cluster[0].execute("print('ours goes on')", check=True)
    finally:
        console.terminate(force=True)
        console.close()
    assert cluster[0].execute("x", check=True).value == 41  # the console's end is not the engine's


def test_cells_of_another_front_end_and_ours_take_turns(cluster: Cluster) -> None:
    client = BlockingKernelClient(connection_file=cluster.engines[0].connection_file)
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=DEADLINE)
        cluster[0].execute("order = []", check=True)
        theirs = client.execute(
            "import asyncio\norder.append('theirs'); await asyncio.sleep(0.5); order.append('end')"
        )
        wait_until(lambda: has_begun(client, theirs), DEADLINE, "their cell to begin")
        ours = cluster[0].execute("order.append('ours'); print('ours')", wait=False)
        assert ours.result(DEADLINE) is None
        assert cluster[0]["order"] == ["theirs", "end", "ours"]
        assert ours.output == "ours\n"
    finally:
        client.stop_channels()


def has_begun(client: BlockingKernelClient, msg_id: str) -> bool:
    message = client.get_iopub_msg(timeout=DEADLINE)
    return message["parent_header"].get("msg_id") == msg_id and message["msg_type"] == "execute_input"


def test_another_front_end_hears_a_cell_of_ours_that_shows_nothing(cluster: Cluster) -> None:
    client = BlockingKernelClient(connection_file=cluster.engines[0].connection_file)
    client.load_connection_file()
    client.start_channels()
    cluster[0].execute("pass", check=True)  # heard by nobody
    try:
        client.wait_for_ready(timeout=DEADLINE)
        cluster[0].execute("x = 'seen'", check=True)
        heard: list[str] = []
        while "idle" not in heard:
            message = client.get_iopub_msg(timeout=DEADLINE)
            if message["parent_header"].get("msg_type") == "execute_request":
                content = message["content"]
                heard.append(content.get("execution_state") or content["code"])
        assert heard == ["busy", "x = 'seen'", "idle"]
    finally:
        client.stop_channels()
