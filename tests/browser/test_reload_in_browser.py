"""A page that is loaded again while a cell blocks: it shows the work as it is, stops it, and keeps the picture."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(300)

PROGRESS = "auto"

START = """%load_ext nbcluster
%cluster start -n 2
import time
from pathlib import Path"""

WORK = """def work(n, go):
    while n >= int(Path(go).read_text()):
        time.sleep(0.02)
    time.sleep(0.05)
    return n"""

RECTANGLES = """() => window.Bokeh ? Math.max(-1, ...window.Bokeh.documents.map(
    found => found.get_model_by_name('stream')?.get_length() ?? -1)) : -1"""

STOP = "%%distributed\nimport time\ntime.sleep(600)"

VIEW = '[aria-label="progress of the cell"]:visible'


def done_of(nb, at: int) -> int:
    """How many tasks are said to be done in what is seen; -1 where nothing is."""
    bars = nb.cell(at).locator(f"{VIEW} .nbc-track")
    if not bars.count():
        return -1
    found = re.search(r"(\d+)(?: of \d+)? done", bars.first.get_attribute("aria-label") or "")
    return int(found[1]) if found else -1


@pytest.mark.parametrize("interface", ["lab", "notebook"])
def test_a_page_that_is_loaded_again_shows_the_work_and_keeps_the_picture(notebook, world, interface):
    go = world.top / "go"

    def let(number: int) -> None:
        """So many calls may end."""
        draft = go.with_suffix(".draft")
        draft.write_text(str(number))
        draft.replace(go)

    let(6)
    work = f"sum(cluster.map(work, range(62), [{str(go)!r}] * 62))"
    nb = notebook(START, WORK, work, "6 * 7", interface=interface)
    file = nb.server.root / f"{nb.name}.ipynb"
    nb.page.on("dialog", lambda dialog: dialog.accept())  # what is not saved is lost
    nb.run(0)
    nb.run(1)
    nb.start(2)
    view = nb.cell(2).locator(VIEW)
    nb.wait_until(lambda: done_of(nb, 2) == 6, lambda: "the live view")
    nb.command("docmanager:save")
    nb.wait_until(lambda: "widget-view" in file.read_text(), lambda: "the file to be saved")
    expect(view).to_have_count(1)

    nb.load(idle=False)
    nb.wait_until(lambda: done_of(nb, 2) == 6, lambda: f"the state of now; the cell shows {nb.text(2)!r}")
    expect(view).to_have_count(1)
    let(20)
    nb.wait_until(lambda: done_of(nb, 2) == 20, lambda: f"the bar to move; it is at {done_of(nb, 2)}")
    expect(nb.cell(2).get_by_text(re.compile("Loading widget|Error displaying widget"))).to_be_hidden()

    # Bokeh's plots, of what the server has, while the kernel is busy.
    assert nb.page.evaluate("window.Bokeh") is None, "it is loaded when it is asked for"
    view.locator("summary", has_text="plots").click()
    plot = view.get_by_role("img", name=re.compile("^task stream of 2 engines"))
    expect(plot.locator("canvas").first).to_be_visible(timeout=60_000)
    before = nb.page.evaluate(RECTANGLES)
    assert before > 0
    let(40)
    nb.wait_until(
        lambda: nb.page.evaluate(RECTANGLES) >= before + 5, lambda: "the plot to have more rectangles"
    )
    expect(view.get_by_role("img", name=re.compile("^use of engines: engine 0"))).to_be_visible()
    if interface == "lab":
        for theme in ("JupyterLab Dark", "JupyterLab Light"):
            nb.use_theme(theme)
            drawn = f'[data-plot="engines"][data-theme="{theme.split()[1].lower()}"] canvas'
            expect(view.locator(drawn).first).to_be_visible(timeout=30_000)
            expect(view.get_by_text("no plots now")).to_have_count(0)
            plot.scroll_into_view_if_needed()
            nb.picture(f"plots-{theme.split()[1].lower()}")
    let(62)
    nb.wait_for_text(2, "62 of 62 items · took")
    expect(nb.cell(2).locator('svg[aria-label^="task stream"]')).to_be_visible()
    expect(nb.cell(2).locator(VIEW)).to_have_count(0)
    nb.wait_for_end(2)
    nb.command("docmanager:save")
    nb.wait_until(lambda: "task stream" in file.read_text(), lambda: "the picture to be saved")
    outputs = json.loads(file.read_text())["cells"][2]["outputs"]
    assert [sorted(output["data"]) for output in outputs] == [["text/html", "text/plain"]]
    assert len(json.dumps(outputs)) < 200_000
    assert "Bokeh" not in file.read_text(), "BokehJS is served, and not written into notebooks"


def test_what_was_not_saved_is_shown_again_and_stopped(notebook):
    nb = notebook(START, STOP)
    nb.page.on("dialog", lambda dialog: dialog.accept())  # what is not saved is lost
    nb.run(0)
    nb.start(1)
    button = nb.cell(1).locator(VIEW).get_by_role("button")
    expect(button).to_have_text("■ Stop", timeout=30_000)
    nb.load(idle=False)
    expect(button).to_have_text("■ Stop", timeout=30_000)
    nb.wait_for_text(1, "2 engines")
    with nb.page.expect_response("**/nbcluster/clusters/*/stop") as answer:
        button.click()
    assert answer.value.status == 202
    nb.wait_for_text(1, "interrupted")
    expect(nb.cell(1).locator(VIEW)).to_have_count(0)
