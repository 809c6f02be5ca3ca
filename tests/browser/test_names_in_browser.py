"""Tables of names in JupyterLab: live by engine, and engines side by side; what users name is text there."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(180)

HOSTILE = '<img src=x onerror="window.hit = 1">judge'

SHARED = f"""%%distributed
import numpy as np
table = np.zeros((3, 4))
said = {HOSTILE!r}
class Odd:
    def __repr__(self): return {HOSTILE!r}
odd = Odd()"""


def test_names_are_seen_live_by_engine_and_side_by_side(notebook, world):
    go = world.top / "go"
    nb = notebook(
        "%load_ext nbcluster\n%cluster start -n 3",
        SHARED,
        "cluster[2]['only_there'] = [1, 2, 3]\ncluster.namespace().describe()",
        "cluster.namespace().diff()",
        "cluster[1]['later'] = 5\ncluster[1]['table'] = 'none'\ndel cluster[2]['only_there']",
        f"import os\nwhile not os.path.exists({str(go)!r}): pass",
    )
    for at in range(4):
        nb.run(at)
    names = nb.cell(2).get_by_role("region", name="names on engines")
    expect(names.locator("details")).to_have_count(3, timeout=30_000)
    expect(names.locator("details").nth(0)).to_contain_text("3×4")
    expect(names.locator("details").nth(2)).to_contain_text("only_there")
    expect(names.locator("details").nth(1)).to_contain_text(HOSTILE)
    unlike = nb.cell(3).get_by_role("region", name="names that differ between engines")
    expect(unlike.locator("th[scope=col]")).to_have_text(["Name", "engines 0–1", "engine 2"], timeout=30_000)
    # The first engine is folded by hand, and stays so.
    names.locator("summary").nth(0).click()
    nb.run(4)
    nb.start(5)
    expect(names.locator("details").nth(1)).to_contain_text("later", timeout=30_000)
    expect(names.locator("details").nth(2)).not_to_contain_text("only_there")
    assert names.locator("details").nth(0).get_attribute("open") is None
    expect(unlike.locator("th[scope=col]")).to_have_text(["Name", "engines 0, 2", "engine 1"], timeout=30_000)
    expect(unlike.locator("tbody th")).to_have_text(["later", "table"])
    expect(unlike.locator(".nbc-other")).to_contain_text(["str"])
    assert nb.count(5) == "[*]:", "the kernel computes without a pause"
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        nb.use_theme(theme)
        nb.cell(2).scroll_into_view_if_needed()
        nb.picture(f"names-{theme.split()[1].lower()}")
    expect(nb.cell(2).get_by_text("live", exact=True)).to_be_visible()
    go.touch()
    nb.wait_for_end(5)
    assert nb.page.evaluate("window.hit") is None
