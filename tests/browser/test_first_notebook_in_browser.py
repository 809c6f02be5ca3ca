"""The first notebook of a newcomer, in JupyterLab and in Notebook 7, and how it looks."""

from __future__ import annotations

import re

import pytest

START = "%load_ext nbcluster\n%cluster start -n 3"

STREAM = """%%distributed
import sys, time
rank = {0: 'zero', 1: 'one', 2: 'two'}
for i in range(3):
    print('step', i)
    time.sleep(0.3)
print('a warning', file=sys.stderr)"""

BAR = """%%distributed
import sys, time
from tqdm import tqdm
for i in tqdm(range(20), desc='fit', ncols=60, file=sys.stdout):
    time.sleep(0.1)"""

RICH = """%%distributed
import pandas
from IPython.display import HTML, display
display(HTML('<b class="mine">bold</b>'))
pandas.DataFrame({'a': [1, 2], 'b': ['x', 'y']})"""

PLOT = """%%distributed
%matplotlib inline
import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(3, 1.5))
ax.plot([1, 3, 2]); plt.show()"""

FAILURE = """%%distributed
data = [1, 2]
data[5]"""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("interface", ["lab", "notebook"])
def test_first_notebook(notebook, interface):
    nb = notebook(START, STREAM, BAR, RICH, PLOT, FAILURE, "%%distributed\n6 * 7", interface=interface)
    nb.use_theme("JupyterLab Light")
    nb.run(0)
    nb.wait_for_text(0, "ready with 3 engines: 0-2")

    # Lines come while the cell runs, each with the label of its engine.
    nb.start(1)
    nb.wait_for_text(1, re.compile(r"\[0\] step 0[\s\S]*\[1\] step 0|\[1\] step 0[\s\S]*\[0\] step 0"))
    assert nb.count(1) == "[*]:"
    nb.wait_for_end(1)
    nb.wait_for_text(1, "[2] a warning")
    for engine in range(3):
        lines = [line for line in nb.text(1).splitlines() if line.startswith(f"[{engine}]")]
        assert lines == [f"[{engine}] {said}" for said in ("step 0", "step 1", "step 2", "a warning")]

    # A bar of each engine moves on one line, and ends on one line.
    nb.start(2)
    seen: set[str] = set()

    def watch() -> bool:
        seen.update(re.findall(r"\[0\] fit: +(\d+)%", nb.text(2)))
        return nb.count(2) != "[*]:"

    nb.wait_until(watch, lambda: "the end of the bars")
    assert len(seen) > 4, seen
    nb.wait_for_text(2, re.compile("100%.*100%.*100%", re.DOTALL))
    bars = [line for line in nb.text(2).splitlines() if line.strip()]
    assert sorted(line[:8] for line in bars) == [f"[{engine}] fit:" for engine in range(3)]
    assert all("20/20" in line for line in bars)

    nb.run(3)
    nb.wait_for_text(3, "bold")
    assert nb.outputs(3).locator("b.mine").count() == 3
    assert nb.outputs(3).locator("table").count() == 3
    nb.run(4)
    nb.wait_until(lambda: nb.outputs(4).locator("img").count() == 3, lambda: "three plots")

    # One error of all engines is one error.
    nb.run(5)
    nb.wait_for_text(5, "IndexError")
    assert nb.text(5).count("IndexError: list index out of range") == 1
    assert nb.outputs(5).count() == 1
    assert "engines 0-2" in nb.text(5)
    assert nb.text(5).count("----> 3 data[5]") == 1
    nb.picture(f"first-{interface}-light")

    nb.run(6)
    nb.wait_for_text(6, "42")
    assert nb.text(6).splitlines() == ["[0-2] 42  (3 engines)"]
    for at in range(1, 7):  # the start may have had to say what it waits for
        assert "waiting" not in nb.text(at)

    if interface == "lab":
        nb.use_theme("JupyterLab Dark")
    for at in (1, 3, 5):
        nb.cell(at).scroll_into_view_if_needed()
        nb.picture(f"first-{interface}-{'dark' if interface == 'lab' else 'light'}-{at}")
