"""What live views cost the page that shows them, and how soon it shows what has happened."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy

from benchmarks.lab import Lab, lab
from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.with_nbcluster import Driver

ENGINES = 16
LINES = 20
"""Lines a second that each engine prints."""

ITEMS = 1_000_000
"""Tasks of the map: one each, so that it lasts."""

FLOOD = 20.0
"""Seconds for which the page is looked at then."""

SHOWINGS = 5
TASKS = 24

START = f"""%load_ext nbcluster
%cluster start -n {ENGINES}
import json, time
from pathlib import Path
from nbcluster import gather
def work(n):
    time.sleep(0.25)
    return time.time()"""

SHORT = "gather([cluster.submit(time.sleep, 1.6)]); None"

TIMED = f"""ends = gather([cluster.options(on=0).submit(work, n) for n in range({TASKS})])
Path("ends.json").write_text(json.dumps(ends)); None"""

MAP = f"""import threading
def run():
    for number in cluster.map(abs, range({ITEMS}), chunksize=1):
        if number % 1000 == 0 and Path("enough").exists():
            break
threading.Thread(target=run).start()"""

PRINT = f"""%%distributed --live --group engine
import time, os
n = 0
while not os.path.exists("enough"):
    n += 1
    print(f"\\x1b[34mstep {{n}}\\x1b[0m of a run that says what it is at, loss {{1 / n:.5f}}")
    time.sleep({1 / LINES})"""

STOP = "%cluster stop --force"


def run(system: System, run_id: str) -> Samples:
    """Show views in a quiet page; then in one where all engines print while a map of a million items runs."""
    with (
        TemporaryDirectory(prefix="nbcp", dir="/tmp") as top,
        lab(Path(top), START, *[SHORT] * SHOWINGS, TIMED, MAP, PRINT, STOP) as notebook,
    ):
        notebook.run(0)
        samples = {**_showings(notebook), **_ends(notebook, Path(top))}
        return {**samples, **_flood(notebook, Path(top))}


def _showings(notebook: Lab) -> Samples:
    """How long a view takes from the message that shows it to a frame that has it; the first one loads the widget."""
    took = []
    for at in range(1, 1 + SHOWINGS):
        notebook.notes()
        notebook.run(at)
        noted = notebook.notes()
        took.append(1000 * (noted["views"][0] - noted["displayed"][0]))
    return {"first_paint_ms": took, "first_paint_worst_ms": [max(took)]}


def _ends(notebook: Lab, top: Path) -> Samples:
    """How long after the end of each task the picture says so."""
    at = 1 + SHOWINGS
    notebook.notes()
    notebook.run(at)
    noted = notebook.notes()
    said = [(when, _done(text)) for when, text in noted["told"]]
    ends = json.loads((top / "ends.json").read_text())
    shown = noted["views"][0]
    delays = []
    for number, end in enumerate(ends, 1):
        seen = [when for when, done in said if done >= number]
        if end > shown and seen:  # the last ones may end together with the view
            delays.append(1000 * (seen[0] - end))
    assert len(delays) > TASKS // 2, f"of {TASKS} ends {len(delays)} were seen"
    return {"end_seen_ms": delays, "end_seen_worst_ms": [max(delays)]}


def _done(text: str) -> int:
    found = re.search(r"([\d,]+)(?: of [\d,]+)? done", text)
    return int(found[1].replace(",", "")) if found else 0


def _flood(notebook: Lab, top: Path) -> Samples:
    """Frames and bytes while engines print and a map runs, and what stays of that in the file."""
    maps, prints = 2 + SHOWINGS, 3 + SHOWINGS
    notebook.run(maps)
    notebook.start(prints)
    console = notebook.page.locator('[aria-label="output of the engines"] [role=tab]')
    notebook.wait_for(lambda: console.count() == ENGINES + 2, "a tab for each engine")
    view = notebook.page.locator('[aria-label="progress of the cell"] .nbc-track')
    notebook.wait_for(lambda: view.count() >= 2, "the live view, with a bar for the map")
    notebook.notes()
    notebook.page.wait_for_timeout(1000 * FLOOD)
    noted = notebook.notes()
    text = " ".join(view.evaluate_all("tracks => tracks.map(track => track.getAttribute('aria-label'))"))
    assert re.search(r"abs: [\d,]+ of [\d,]+ done", text), f"the map is to run still: {text}"
    (top / "enough").touch()
    notebook.wait_for_end(prints)
    seconds = noted["frames"][-1][0] - noted["frames"][0][0]
    size = sum(size for _, size in noted["sent"])
    notebook.run(prints + 1)
    outputs = [
        cell["outputs"] for cell in notebook.saved()["cells"][1 + SHOWINGS : prints + 1] if cell["outputs"]
    ]
    return {
        "flood_s": [seconds],
        "frame_p95_ms": [float(numpy.percentile([took for _, took in noted["frames"]], 95))],
        "frame_worst_ms": [max(took for _, took in noted["frames"])],
        "sent_kb_per_s": [size / 1000 / seconds],
        "file_grows_kb": [max(_kilobytes(each) for each in outputs)],
    }


def _kilobytes(outputs: list[Any]) -> float:
    assert outputs, "a run that leaves nothing was not shown"
    return len(json.dumps(outputs, ensure_ascii=False).encode()) / 1000


MEASUREMENT = Measurement(
    "page",
    f"live views in JupyterLab: {ENGINES} engines that print {LINES} lines a second each, and a map of {ITEMS:,} items",
    Driver,
    run,
    bars=(
        Bar("page frames at the 95th percentile, ms", "frame_p95_ms", 33),
        Bar("sent to the browser, kB a second", "sent_kb_per_s", 200),
        Bar(
            "from the message that shows a view to its first frame, the worst, ms",
            "first_paint_worst_ms",
            300,
        ),
        Bar("from a task's end to a picture that says so, the worst, ms", "end_seen_worst_ms", 500),
        Bar("growth of the notebook's file by one cell, kB", "file_grows_kb", 200),
    ),
    only=frozenset({"nbcluster"}),
    rounds=3,
)
