"""The view of a cell when things go badly: its thread never yields, the controller dies, others stop the cluster."""

from __future__ import annotations

import os
import re
import signal

from nbcluster import Cluster
from nbcluster.transport.rendezvous import list_clusters

PROGRESS = "auto"

VIEW = "application/vnd.jupyter.widget-view+json"

WORK = """import os, time
from nbcluster import gather
def spin(path):
    while not os.path.exists(path): pass
def work(n, path=""):
    while path and not os.path.exists(path): time.sleep(0.01)
    time.sleep(0.05)
    return n"""


def displays(page, cell, kind="display_data"):
    return [said["content"] for said in page.of(cell) if said["msg_type"] == kind]


def live_view(page, cell):
    """The bars that a live view has shown, as they are told."""
    page.wait_for(lambda: displays(page, cell), "the live view")
    model = displays(page, cell)[0]["data"][VIEW]["model_id"]

    def bars():
        states = [said["content"]["data"].get("state", {}) for said in page.comms("comm_msg", model)]
        return [state["bars"] for state in states if "bars" in state]

    return bars


def errors(page, cell):
    return [said["content"] for said in page.of(cell) if said["msg_type"] == "error"]


def test_the_view_moves_while_neither_the_main_thread_nor_an_engine_ever_pauses(page, world):
    go, seen = str(world.top / "go"), str(world.top / "seen")
    page.run(WORK)
    cell = page.start(
        f"stuck = cluster.submit(spin, {go!r})\n"
        f"later = [cluster.options(label='later').submit(work, n, {seen!r} * (n == 20)) for n in range(40)]\n"
        "for value in cluster.options(priority=5).map(work, range(12), chunksize=1):\n"
        f"    while value == 8 and not os.path.exists({go!r}): pass\n",
        allow_stdin=True,
    )
    bars = live_view(page, cell)
    # Some that were sent ahead wait behind the one that never pauses; the others go on until the one that waits.
    page.wait_for(
        lambda: bars() and re.search(r">(1\d|20) of 40 done, 1 running", bars()[-1]), "the bars to move"
    )
    (world.top / "seen").touch()
    page.wait_for(lambda: "40 done" in bars()[-1], "the bars to move again")
    assert "0 of 1 done, 1 running" in bars()[-1], "an engine computes"
    assert not page.is_idle(cell), "the main thread computes still"
    (world.top / "go").touch()
    page.wait_for(lambda: page.is_idle(cell), "the end")
    assert errors(page, cell) == []


def test_a_controller_that_dies_and_a_cluster_that_others_stop_end_the_cell_and_its_view(page):
    page.run(WORK)
    code = "gather([cluster.submit(time.sleep, 600) for _ in range(4)])"
    cell = page.start(code, allow_stdin=True)
    bars = live_view(page, cell)
    page.wait_for(lambda: bars() and "2 running" in bars()[-1], "its bars")
    [found] = list_clusters()
    os.kill(found.pid, signal.SIGKILL)
    page.wait_for(lambda: page.is_idle(cell), "the end of the cell")
    [error] = errors(page, cell)
    assert error["ename"] == "ControllerLost"
    [stays] = displays(page, cell, "update_display_data")
    assert sorted(stays["data"]) == ["text/html", "text/plain"]
    assert "\nas it was last told; the controller " in stays["data"]["text/plain"]
    assert "as it was last told; the controller " in stays["data"]["text/html"]
    assert bars()[-1] == "", "nothing of the live view is left"

    page.run("%cluster start -n 1")
    cell = page.start("%%distributed\nimport time; time.sleep(600)", allow_stdin=True)
    bars = live_view(page, cell)
    page.wait_for(lambda: bars() and "1 running" in bars()[-1], "it to be live again")
    Cluster.connect(found.name).stop(force=True)
    page.wait_for(lambda: page.is_idle(cell), "the end of the cell")
    [error] = errors(page, cell)
    assert "stopped" in error["evalue"], error
    [stays] = displays(page, cell, "update_display_data")
    assert "\nas it was last told; " in stays["data"]["text/plain"]
    assert bars()[-1] == ""

    page.run("%cluster start -n 1")
    assert page.text("print(cluster.submit(work, 5).result())") == "5\n"
