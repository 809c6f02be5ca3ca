"""A graph cell that takes long, in JupyterLab: bars by statement, the graph while the kernel is busy and after."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(180)

PROGRESS = "auto"

START = "%load_ext nbcluster\n%cluster start -n 2\ngo = {go!r}"

GRAPH = """%%distributed --graph
import os, time
def wait(what):
    while not os.path.exists(go):
        time.sleep(0.02)
    return what
def slow(n):
    time.sleep(0.1)
    return n
first = slow('<b>first</b>')
second = wait('second')
many = [slow(n) for n in range(12)]
wrong = len(first) / 0
after = wrong + 1
both = (first, second, many)"""


def test_a_graph_cell_shows_its_graph_live_and_afterwards(notebook, world):
    go = world.top / "go"
    nb = notebook(START.format(go=str(go)), GRAPH)
    nb.run(0)
    nb.start(1)
    widget = nb.cell(1).locator('[aria-label="progress of the cell"]')
    summary = widget.locator("summary", has_text="graph: 6 statements")
    summary.click(timeout=30_000)
    expect(widget.locator(".nbc-g-done", has_text="slow(n)")).to_have_count(1, timeout=30_000)
    expect(widget.locator(".nbc-g-failed", has_text="wrong = len(first) / 0")).to_have_count(1)
    expect(widget.locator(".nbc-g-running", has_text="second = wait")).to_have_count(1)
    expect(widget.locator(".nbc-g-cancelled", has_text="after = wrong + 1")).to_have_count(1)
    expect(widget.locator(".nbc-g-waiting", has_text="both =")).to_have_count(1)
    expect(widget.locator(".nbc-bar")).not_to_have_count(0)
    expect(widget).to_contain_text("line 11: second = wait('second')")
    assert nb.count(1) == "[*]:", "the kernel is busy"
    assert widget.locator("svg b").count() == 0
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        nb.use_theme(theme)
        nb.cell(1).scroll_into_view_if_needed()
        widget.scroll_into_view_if_needed()
        nb.picture(f"graph-live-{theme.split()[1].lower()}")
    go.touch()
    nb.wait_for_end(1)
    expect(widget).to_have_count(0)
    stays = nb.outputs(1).filter(has_text="graph: 6 statements, 4 done, 1 failed, 1 cancelled")
    expect(stays).to_have_count(1)
    expect(stays).to_contain_text("failed after")
    stays.locator("summary", has_text="graph").click()
    expect(stays.locator("svg.nbc-graph")).to_be_visible()
    text = nb.text(1)
    assert "ZeroDivisionError: division by zero" in text
    assert re.search(r"line 13", text)
    assert "run_cell_magic" not in text, "the frames of the notebook are those of a magic"
    assert "nbcluster/" not in text
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        nb.use_theme(theme)
        stays.scroll_into_view_if_needed()
        nb.picture(f"graph-stays-{theme.split()[1].lower()}")
