"""Progress and its button in Notebook 7, and its picture in a file that is opened later, where there is no kernel."""

from __future__ import annotations

import json
import re

import pytest
from driver import Notebook
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(300)

PROGRESS = "auto"

START = """%load_ext nbcluster
%cluster start -n 2
import time
from pathlib import Path
from nbcluster import gather

def work(n, go):
    while n == 19 and not Path(go).exists():
        time.sleep(0.01)
    time.sleep(0.1)
    return n"""


def test_the_live_view_in_notebook_7_and_its_picture_in_a_file_without_a_kernel(notebook, world):
    go = world.top / "go"
    nb = notebook(
        START,
        f"gather([cluster.submit(work, n, {str(go)!r}) for n in range(20)])[-1]",
        "gather([cluster.submit(time.sleep, 600) for n in range(3)])",
        interface="notebook",
    )
    nb.run(0)
    nb.start(1)
    widget = nb.cell(1).locator('[aria-label="progress of the cell"]')
    expect(widget).to_contain_text(re.compile(r"19 of 20 done, 1 running"), timeout=30_000)
    assert nb.count(1) == "[*]:", "the kernel is busy"
    nb.picture("progress-live-notebook-7")
    go.touch()
    nb.wait_for_end(1)
    expect(widget).to_have_count(0)
    expect(nb.outputs(1).first).to_contain_text("20 of 20 calls")
    expect(nb.outputs(1).first.locator('svg[aria-label^="task stream"]')).to_be_visible()
    expect(nb.outputs(1).first.locator("img")).to_be_hidden()

    nb.start(2)
    button = nb.cell(2).get_by_role("group", name="progress of the cell").get_by_role("button")
    expect(button).to_have_text("■ Stop", timeout=30_000)
    assert nb.count(2) == "[*]:", "the kernel is busy"
    with nb.page.expect_response("**/nbcluster/clusters/*/stop") as answer:
        button.click()
    assert answer.value.status == 202
    nb.wait_for_end(2)
    nb.wait_for_text(2, "stopped: 3 of 3 are cancelled; engines keep their state")
    nb.wait_for_text(2, "0 of 3 done, 3 cancelled")
    nb.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    file = nb.server.root / f"{nb.name}.ipynb"
    nb.wait_until(lambda: "task stream" in file.read_text(), lambda: "the file to be saved")

    saved = json.loads(file.read_text())
    saved["metadata"]["kernelspec"] = {"name": "gone", "display_name": "Gone", "language": "gone"}
    saved["metadata"].pop("language_info", None)  # else a kernel of the same language would do
    later = nb.server.root / "later.ipynb"
    later.write_text(json.dumps(saved))
    nb.server.end_kernels()
    page = nb.page.context.new_page()
    again = Notebook(page, nb.server, "later")
    page.goto(f"{nb.server.url}/notebooks/later.ipynb?token={nb.server.token}")
    page.locator(".jp-Dialog").get_by_role("button", name="No Kernel").click(timeout=60_000)
    # Nobody here has run it, so it is not trusted: styles and drawings are taken out of its outputs. An image stays.
    expect(page.locator("body")).to_contain_text("Not Trusted")
    shown = again.outputs(1).first
    expect(shown).to_contain_text("20 done")
    expect(shown.locator("svg, style")).to_have_count(0)
    left = [line.strip() for line in shown.inner_text().splitlines()]
    assert not any(re.fullmatch(r"[\d.]+( m?s)?", line) for line in left), (
        "no number of the drawing stands alone"
    )
    image = shown.locator('img[alt^="gather: 20 of 20 calls"]')
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth") > 800
    assert nb.server.ask("/api/kernels") == []
    again.picture("progress-stays-without-a-kernel")
    page.close()
