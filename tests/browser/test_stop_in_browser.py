"""The button that stops what a cell waits for, in JupyterLab, while the kernel is busy and hears nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(240)

PROGRESS = "auto"

START = "%load_ext nbcluster\n%cluster start -n 2\nimport time\nfrom nbcluster import gather"

CELL = "%%distributed\nimport time\nkept = 6 * 7\ntime.sleep(600)"

CALLS = """futures = [cluster.submit(time.sleep, 600) for _ in range(4)]
gather(futures)"""

GRAPH = """%%distributed --graph
import time
a = time.sleep(600)
b = time.sleep(600)"""


def test_stop_ends_cells_calls_and_graphs_while_the_kernel_is_busy(notebook):
    nb = notebook(
        START, CELL, "%distributed kept", CALLS, "[future.status for future in futures]", GRAPH, CELL
    )
    nb.run(0)

    def button(at):
        return nb.cell(at).get_by_role("group", name="progress of the cell").get_by_role("button")

    nb.start(1)
    expect(button(1)).to_have_text("■ Stop", timeout=30_000)
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        nb.use_theme(theme)
        nb.cell(1).scroll_into_view_if_needed()
        nb.picture(f"stop-{theme.split()[1].lower()}")
    assert nb.count(1) == "[*]:", "the kernel is busy"
    button(1).focus()
    with nb.page.expect_response("**/nbcluster/clusters/*/stop") as answer:
        nb.page.keyboard.press("Enter")
    assert answer.value.status == 202
    nb.wait_for_end(1)
    nb.wait_for_text(
        1, "KeyboardInterrupt: the cell was interrupted on engines 0,1; engines keep their state"
    )
    expect(button(1)).to_have_count(0)
    nb.run(2)
    nb.wait_for_text(2, "42")

    nb.start(3)
    button(3).click(timeout=30_000)
    nb.wait_for_end(3)
    nb.wait_for_text(3, "stopped: 4 of 4 are cancelled; engines keep their state")
    nb.run(4)
    nb.wait_for_text(4, "['cancelled', 'cancelled', 'cancelled', 'cancelled']")

    nb.start(5)
    button(5).click(timeout=30_000)
    nb.wait_for_end(5)
    nb.wait_for_text(5, "the cell was interrupted; what its statements have made is let go of")

    # Where the server lacks the extension, the kernel is interrupted.
    nb.page.route("**/nbcluster/**", lambda route: route.fulfill(status=404, body="{}"))
    nb.start(6)
    expect(button(6)).to_have_text("■ Stop", timeout=30_000)
    with nb.page.expect_response("**/api/kernels/*/interrupt") as answer:
        button(6).click()
    assert answer.value.status == 204
    nb.wait_for_end(6)
    nb.wait_for_text(6, "the cell was interrupted on engines 0,1; engines keep their state")
