"""The launcher in a page: by keyboard alone from start to end, live while the kernel is busy, light and dark."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(300)

HOSTILE = '<img src=x onerror="window.hit = 1">judge'

WORK = """%%distributed --async
import time
for _ in range(3000): time.sleep(0.1)"""


def focused(nb) -> str:
    """What has the focus: its label, or its text."""
    return nb.page.evaluate(
        """() => {
            const at = document.activeElement;
            return at.getAttribute('aria-label') || at.closest('label')?.innerText || at.innerText || at.nodeName;
        }"""
    ).strip()


def tab_to(nb, wanted: str, key: str = "Tab") -> None:
    """Press Tab until something has the focus."""
    for _ in range(40):
        if focused(nb).split("\n")[0] == wanted:
            return
        nb.page.keyboard.press(key)
    raise AssertionError(f"Tab does not come to {wanted!r}; it is at {focused(nb)!r}")


def pictures(nb, name: str) -> None:
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        nb.use_theme(theme)
        nb.cell(0).scroll_into_view_if_needed()
        nb.picture(f"launcher-{name}-{theme.split()[1].lower()}")


def test_a_cluster_from_start_to_stop_by_keyboard_alone(notebook, world):
    go = world.top / "go"
    nb = notebook(
        "%load_ext nbcluster\n%cluster",
        WORK,
        f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)",
    )
    nb.run(0)
    panel = nb.cell(0).locator("section.nbc-panel")
    expect(panel).to_be_visible(timeout=30_000)
    tab_to(nb, "Name")
    tab_to(nb, "Engines")
    nb.page.keyboard.press("ControlOrMeta+a")
    nb.page.keyboard.type("2")
    tab_to(nb, "Tags")
    nb.page.keyboard.type("any")
    nb.page.keyboard.press("Enter")
    expect(panel.get_by_role("alert")).to_contain_text("'any' cannot be a tag", timeout=30_000)
    tab_to(nb, "Tags")
    nb.page.keyboard.press("ControlOrMeta+a")
    nb.page.keyboard.type("gpu")
    nb.page.keyboard.press("Enter")
    expect(panel.get_by_role("status")).to_contain_text("starting cluster", timeout=30_000)
    expect(panel).to_contain_text("is ready", timeout=60_000)
    rows = panel.get_by_role("table").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("MiB", timeout=30_000)

    label = json.dumps(HOSTILE)
    nb.do(f"future = cluster.options(label={label}, on=0).submit(__import__('time').sleep, 300)")
    nb.run(1)
    nb.start(2)
    expect(rows.nth(0)).to_contain_text(HOSTILE, timeout=30_000)
    expect(rows.nth(1)).to_contain_text("busy", timeout=30_000)
    pictures(nb, "busy")
    tab_to(nb, "Interrupt engine 1")
    before = rows.nth(1).inner_text()
    nb.wait_until(lambda: rows.nth(1).inner_text() != before, lambda: "the table to move")
    assert focused(nb) == "Interrupt engine 1", "a table that moves leaves the focus where it is"
    nb.page.keyboard.press("Enter")
    expect(panel.get_by_role("status")).to_contain_text("interrupted engine 1", timeout=30_000)
    expect(rows.nth(1)).to_contain_text("idle", timeout=30_000)
    expect(rows.nth(0)).to_contain_text("busy")
    assert nb.count(2) == "[*]:", "all of that while the kernel was busy"
    tab_to(nb, "Restart engine 1")
    nb.page.keyboard.press("Space")
    expect(panel.get_by_role("alertdialog")).to_contain_text("its names are lost", timeout=30_000)
    nb.wait_until(lambda: focused(nb) == "Restart engine 1", lambda: "the question to have the focus")
    pictures(nb, "question")
    nb.page.keyboard.press("Escape")
    expect(panel.get_by_role("alertdialog")).to_have_count(0, timeout=30_000)
    assert panel.locator("[data-do=restart][data-engine='1']").evaluate("at => at === document.activeElement")
    assert nb.page.evaluate("window.hit") is None
    go.touch()
    nb.wait_for_end(2)

    tab_to(nb, "Stop cluster", "Shift+Tab")
    nb.page.keyboard.press("Enter")
    expect(panel.get_by_role("alertdialog")).to_contain_text("All names there are lost", timeout=30_000)
    nb.wait_until(lambda: focused(nb) == "Stop it", lambda: "the question to have the focus")
    nb.page.keyboard.press("Enter")
    expect(panel).to_contain_text("is stopped", timeout=60_000)
    expect(panel.get_by_role("button", name="Start")).to_be_visible(timeout=30_000)
    assert focused(nb).split("\n")[0] == "Name", "the focus does not get lost"
    pictures(nb, "form")
    assert "no cluster runs" in nb.text(nb.do("%cluster list"))


def test_it_works_in_notebook_7_too(notebook):
    nb = notebook(
        "%load_ext nbcluster\n%cluster start -n 1\ncluster",
        "import time\ntime.sleep(8)",
        interface="notebook",
    )
    nb.run(0)
    panel = nb.cell(0).locator("section.nbc-panel")
    expect(panel).to_contain_text("1 engine: 1 idle", timeout=30_000)
    expect(panel.get_by_role("table").locator("tbody tr")).to_contain_text("MiB", timeout=30_000)
    nb.start(1)
    panel.get_by_role("button", name="Restart engine 0").click()
    expect(panel.get_by_role("alertdialog")).to_contain_text("its names are lost", timeout=30_000)
    assert nb.count(1) == "[*]:", "while the kernel is busy"
    nb.picture("launcher-notebook-7")
    expect(nb.cell(0).get_by_text("As it was at")).to_be_hidden()
