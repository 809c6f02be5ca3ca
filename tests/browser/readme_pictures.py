"""The pictures of the README, taken anew by `python docs/pictures.py`: a test by hand, since it shows nothing new."""

from __future__ import annotations

import re

import pytest
from driver import ARTIFACTS
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(300)

PROGRESS = "auto"

SETUP = """%load_ext nbcluster
%cluster start -n 4
import time
from pathlib import Path
import numpy as np
from bokeh_sampledata.autompg import autompg
go = Path(GO)"""

FIT = """def fit(degree):
    time.sleep(0.25)
    while degree == 59 and not go.exists():
        time.sleep(0.02)
    x, y = autompg["weight"] / 3000 - 1, autompg["mpg"]
    return float(np.std(y - np.polyval(np.polyfit(x, y, degree % 5), x)))

errors = list(cluster.map(fit, range(60), chunksize=1))"""

GRAPH = """%%distributed --graph
def part(year):
    time.sleep(0.3)
    return autompg[autompg["yr"] == year]
early = [part(year) for year in range(70, 76)]
late = [part(year) for year in range(76, 83)]
before = np.mean([table["mpg"].mean() for table in early])
after = np.mean([table["mpg"].mean() for table in late])
gain = after - before"""

CONSOLE = """%%distributed --group engine --push autompg
import os, matplotlib.pyplot as plt, numpy as np
print(f"{len(autompg)} cars")
rng = np.random.default_rng(os.getpid())
plt.figure(figsize=(3, 1.8)); plt.plot(rng.normal(size=200).cumsum()); plt.show()"""


def test_pictures_of_the_readme(notebook, world):
    go = world.top / "go"
    nb = notebook(SETUP.replace("GO", repr(str(go))), FIT, GRAPH, CONSOLE, "cluster")
    nb.page.set_viewport_size({"width": 1000, "height": 1400})
    nb.command("application:toggle-left-area")
    nb.run(0)
    nb.start(1)
    widget = nb.cell(1).locator('[aria-label="progress of the cell"]')
    expect(widget).to_contain_text(re.compile(r"[3-5]\d of 60 items"), timeout=60_000)
    ARTIFACTS.mkdir(exist_ok=True)
    nb.cell(1).screenshot(path=ARTIFACTS / "readme-live.png")
    go.touch()
    nb.wait_for_end(1)
    nb.run(2)
    nb.outputs(2).locator("summary").first.click()
    nb.cell(2).screenshot(path=ARTIFACTS / "readme-graph.png")
    nb.run(3)
    expect(nb.cell(3).locator(".nbc-console")).to_contain_text("392 cars")
    nb.cell(3).screenshot(path=ARTIFACTS / "readme-console.png")
    nb.run(4)
    expect(nb.outputs(4).first).to_contain_text("4 engines", timeout=30_000)
    nb.cell(4).screenshot(path=ARTIFACTS / "readme-launcher.png")
    sizes = {file.name: file.stat().st_size for file in ARTIFACTS.glob("readme-*.png")}
    assert len(sizes) == 4
    assert all(5_000 < size < 200_000 for size in sizes.values()), sizes
