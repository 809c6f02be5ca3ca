"""Sixteen engines that stream into one page, and a second browser on the same notebook; light and dark."""

from __future__ import annotations

import re

import pytest
from driver import Notebook
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(300)

PROGRESS = "auto"

START = "%load_ext nbcluster\n%cluster start -n 16"

STREAM = """%%distributed --group engine
import os, time
n = 0
while n < 40 or not os.path.exists(GO):
    n += 1
    print(f'\\x1b[36mstep {n}\\x1b[0m')
    time.sleep(0.05)
print('at the end')"""


def in_both_themes(nb, at: int, name: str) -> None:
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        nb.use_theme(theme)
        nb.cell(at).scroll_into_view_if_needed()
        nb.picture(f"{name}-{theme.split()[1].lower()}")


def test_sixteen_engines_stream_and_two_browsers_see_and_stop_them(notebook, world):
    go = world.top / "go"
    nb = notebook(START, "cluster", f"cluster[:].push({{'GO': {str(go)!r}}})", STREAM, "%distributed n > 40")
    nb.run(0)
    nb.run(1)
    panel = nb.cell(1).locator("section.nbc-panel")
    expect(panel).to_contain_text("16 engines: 16 idle", timeout=30_000)
    nb.run(2)
    nb.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")

    # Another browser on the notebook has the launcher, too.
    context = nb.page.context.browser.new_context(viewport={"width": 1180, "height": 900})
    other = Notebook.join(context.new_page(), nb.server, nb.name)
    panel_there = other.cell(1).locator("section.nbc-panel")
    expect(panel_there).to_contain_text("16 engines: 16 idle", timeout=30_000)

    nb.start(3)
    console = nb.cell(3).get_by_role("group", name="output of the engines")
    expect(console.get_by_role("tab")).to_have_count(18, timeout=30_000)
    text = console.get_by_role("tabpanel")
    nb.wait_until(
        lambda: (
            {int(found) for found in re.findall(r"\[(\d+)\] step 4\d", text.inner_text())} == set(range(16))
        ),
        lambda: f"forty lines of each engine; there is {text.inner_text()[-400:]!r}",
        60,
    )
    expect(text.locator(".nbc-cyan").first).to_be_attached()
    progress = nb.cell(3).get_by_role("group", name="progress of the cell")
    expect(progress).to_contain_text("0 of 16 engines", timeout=30_000)
    expect(panel).to_contain_text("16 engines: 16 busy", timeout=30_000)
    expect(panel_there).to_contain_text("16 engines: 16 busy", timeout=30_000)
    in_both_themes(nb, 3, "streaming-16")
    in_both_themes(nb, 1, "launcher-16")
    assert nb.count(3) == "[*]:", "the kernel is busy"

    # What is done in one is seen in the other, while the kernel is busy.
    panel_there.get_by_role("button", name="Interrupt engine 15").click()
    expect(panel.get_by_role("status")).to_contain_text("interrupted engine 15", timeout=30_000)
    expect(console.get_by_role("tab", name="engine 15 ✓")).to_have_count(1, timeout=30_000)
    progress.get_by_role("button", name="Stop").click()
    nb.wait_for_end(3)
    expect(console).to_have_count(0)
    stays = nb.outputs(3).filter(has=nb.page.locator(".nbc-console"))
    expect(stays.locator("summary").first).to_contain_text("lines")
    assert "at the end" not in stays.inner_text()
    nb.cell(3).scroll_into_view_if_needed()
    nb.picture("streaming-16-stays-light")
    expect(panel_there).to_contain_text("16 engines: 16 idle", timeout=30_000)
    assert other.errors == [], "\n".join(other.errors)
    context.close()
    nb.run(4)
    nb.wait_for_text(4, re.compile(r"True"))
