"""The console of `--group engine` in JupyterLab: tabs while the kernel is busy, and one static output that stays."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(240)

START = (
    "%load_ext nbcluster\n%cluster start -n 4\n%distributed --on all import matplotlib; matplotlib.use('agg')"
)

CELL = r"""%%distributed --group engine
import os, time
from pathlib import Path
from IPython.display import HTML, Image
print('\x1b[1;32mgreen\x1b[0m <b>bold</b><img src=x onerror="window.hit=1">')
for percent in (10, 50, 100):
    print(f'\r{percent} %', end='')
    time.sleep(0.05)
print()
for n in range(ENGINE * 3):
    print('line', n, 'of engine', ENGINE)
from matplotlib.figure import Figure
import io
figure = Figure(figsize=(3, 2)); figure.subplots().plot([1, ENGINE, 2])
made = io.BytesIO(); figure.savefig(made, format='png')
display(Image(made.getvalue()))
display(HTML(f"<table><tr><td>table {ENGINE}</td></tr></table>"))
while not Path(GO).exists():
    time.sleep(0.02)
"""


def test_a_console_has_a_tab_for_each_engine_and_stays_as_one_output(notebook, world):
    go = world.top / "go"
    nb = notebook(
        START,
        f"for n in range(4): cluster[n].push({{'ENGINE': n // 2, 'GO': {str(go)!r}}})",
        CELL,
    )
    nb.run(0)
    nb.run(1)
    nb.start(2)
    console = nb.cell(2).get_by_role("group", name="output of the engines")
    tabs = console.get_by_role("tab")
    expect(tabs).to_have_count(6, timeout=30_000)
    text = console.get_by_role("tabpanel")
    expect(text).to_contain_text("[3] line 2 of engine 1", timeout=30_000)
    expect(console.locator("figure img")).to_have_count(4)
    expect(console.locator("figure td")).to_have_text(["table 0", "table 0", "table 1", "table 1"])
    expect(text.locator(".nbc-green").first).to_have_text("green")
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        nb.use_theme(theme)
        console.scroll_into_view_if_needed()
        nb.picture(f"console-live-{theme.split()[1].lower()}")
    # By keyboard: all, same, engine 0, ...
    tabs.first.focus()
    nb.page.keyboard.press("ArrowRight")
    expect(text).to_contain_text("engines 0, 1: 2 the same")
    expect(text).to_contain_text("engines 2, 3: 2 the same")
    expect(console.locator("figcaption")).to_have_text(["engines 0, 1"] * 2 + ["engines 2, 3"] * 2)
    nb.picture("console-same-light")
    for _ in range(3):
        nb.page.keyboard.press("ArrowRight")
    expect(tabs.nth(4)).to_be_focused()
    expect(text).to_contain_text("100 %")
    assert [line for line in text.inner_text().splitlines() if line.strip()] == [
        'green <b>bold</b><img src=x onerror="window.hit=1">',
        *("100 %", "line 0 of engine 1", "line 1 of engine 1", "line 2 of engine 1"),
    ]
    expect(console.locator("figure")).to_have_count(2)
    assert nb.count(2) == "[*]:", "the kernel is busy"
    go.touch()
    nb.wait_for_end(2)
    expect(console).to_have_count(0)
    stays = nb.outputs(2).first
    expect(stays.locator("summary")).to_have_text(["engines 0,1: 2 lines", "engines 2,3: 5 lines"])
    expect(stays.locator("figure img")).to_have_count(2)
    expect(stays.locator("figure td")).to_have_text(["table 0", "table 1"])
    expect(stays).to_contain_text('<b>bold</b><img src=x onerror="window.hit=1">')
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        nb.use_theme(theme)
        stays.scroll_into_view_if_needed()
        nb.picture(f"console-stays-{theme.split()[1].lower()}")
    assert nb.page.evaluate("window.hit") is None

    nb.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    file = nb.server.root / f"{nb.name}.ipynb"
    nb.wait_until(lambda: "engines 0,1" in file.read_text(), lambda: "the file to be saved")
    outputs = json.loads(file.read_text())["cells"][2]["outputs"]
    assert [sorted(output["data"]) for output in outputs] == [["text/html", "text/plain"]]
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", "--stdout", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert re.search(r"engines 2,3: 5 lines", done.stdout)
