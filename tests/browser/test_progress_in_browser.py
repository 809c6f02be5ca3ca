"""Progress in JupyterLab: it moves while the kernel is busy, gives way to a picture, and that stays in the file."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(300)

PROGRESS = "auto"

START = """%load_ext nbcluster
%cluster start -n 2
import time
from pathlib import Path
from nbcluster import gather, progress, report"""

WORK = """def work(n, go):
    report(n / 40, loss=1 / (n + 1))
    while n == 39 and not Path(go).exists():
        time.sleep(0.01)
    time.sleep(0.2)
    if n in (3, 38):
        raise ValueError(f"<b>no</b><script>window.hit = 1</script> {n}")
    return n"""

HOSTILE = '<img src=x onerror="window.hit = 1">judge'


def done_of(nb, at: int) -> int:
    """How many tasks of the first bar are said to be done, live; -1 where none is shown."""
    bars = nb.cell(at).locator('[aria-label="progress of the cell"] .nbc-track')
    if not bars.count():
        return -1
    told = bars.first.get_attribute("aria-label") or ""
    found = re.search(r"(\d+)(?: of \d+)? done", told)
    return int(found[1]) if found else -1


def test_bars_move_while_the_kernel_is_busy_and_a_picture_stays(notebook, world):
    go = world.top / "go"
    label = json.dumps(HOSTILE)
    nb = notebook(
        START,
        WORK,
        f"futures = [cluster.submit(work, n, {str(go)!r}) for n in range(40)]\n"
        f"others = [cluster.options(label={label}).submit(time.sleep, 0.01) for _ in range(50)]\n"
        "gather(futures + others, return_exceptions=True)[0]",
        "1 + 1",
    )
    nb.run(0)
    nb.run(1)
    nb.start(2)
    seen: set[int] = set()

    def has_moved() -> bool:
        seen.add(done_of(nb, 2))
        return len(seen - {-1}) >= 4

    nb.wait_until(has_moved, lambda: f"the bar to move; it was at {sorted(seen)}")
    assert nb.count(2) == "[*]:", "the kernel is busy"
    widget = nb.cell(2).locator('[aria-label="progress of the cell"]')
    details = widget.locator("details:not(.nbc-plots)")
    details.locator("summary").click()
    expect(details.locator("summary")).to_contain_text("2 errors", timeout=30_000)
    assert details.get_attribute("open") is not None, "what was unfolded stays so when it is drawn anew"
    expect(details.locator("pre").first).to_contain_text("<b>no</b><script>")
    nb.wait_until(lambda: done_of(nb, 2) >= 37, lambda: "most to be done")
    expect(widget).to_contain_text("of 90 calls")
    expect(widget).to_contain_text("2 failed")
    expect(widget).to_contain_text("fraction")
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        nb.use_theme(theme)
        nb.cell(2).scroll_into_view_if_needed()
        nb.picture(f"progress-live-{theme.split()[1].lower()}")
    go.touch()
    nb.wait_for_end(2)
    expect(widget).to_have_count(0)
    shown = nb.outputs(2).first
    expect(shown).to_contain_text("90 of 90 calls")
    expect(shown).to_contain_text("38 of 40 done, 2 failed")
    expect(shown).to_contain_text(HOSTILE)
    expect(shown.locator('svg[aria-label^="task stream"]')).to_be_visible()
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        nb.use_theme(theme)
        nb.cell(2).scroll_into_view_if_needed()
        nb.picture(f"progress-stays-{theme.split()[1].lower()}")
    assert nb.page.evaluate("window.hit") is None

    nb.run(3)
    nb.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    file = nb.server.root / f"{nb.name}.ipynb"
    nb.wait_until(lambda: "task stream" in file.read_text(), lambda: "the file to be saved")
    saved = json.loads(file.read_text())
    outputs = saved["cells"][2]["outputs"]
    assert [sorted(output["data"]) for output in outputs if output["output_type"] == "display_data"] == [
        ["text/html", "text/plain"]
    ]
    assert len(json.dumps(outputs)) < 200_000
    assert "widgets" not in saved["metadata"], "nothing of the live view is kept"

    page = world.top / "page.html"
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(file), "--output", str(page)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    context = nb.page.context.browser.new_context(java_script_enabled=False, offline=True)
    offline = context.new_page()
    offline.goto(page.as_uri())
    expect(offline.locator('svg[aria-label^="task stream"]')).to_be_visible()
    expect(offline.locator("body")).to_contain_text("38 of 40 done, 2 failed")
    context.close()


def test_what_is_short_or_not_wanted_shows_nothing(notebook):
    nb = notebook(
        START,
        "gather([cluster.submit(time.sleep, 0.01) for _ in range(8)])\nNone",
        "%%distributed --progress off\nimport time; time.sleep(1.5)",
        "%%distributed --progress on\nimport time; time.sleep(1.5)",
    )
    for at in range(4):
        nb.run(at)
    expect(nb.outputs(3).first).to_contain_text("2 of 2 engines")
    assert nb.text(1) == nb.text(2) == ""
