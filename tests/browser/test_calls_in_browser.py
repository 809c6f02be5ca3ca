"""Calls in JupyterLab: their output in the cell that submitted them, and errors, light and dark."""

from __future__ import annotations

import re

import pytest

from nbcluster.testing.frames import frames_of_ours

pytestmark = pytest.mark.timeout(240)

START = "%load_ext nbcluster\n%cluster start -n 2\nimport time\nfrom nbcluster import gather"

WORK = """def work(n):
    print("step", n)
    time.sleep(0.15)
    if n == 9:
        raise ValueError("nine is too many")
    return n"""


def test_output_and_errors_of_calls(notebook):
    nb = notebook(
        START,
        WORK,
        "print(sum(gather([cluster.submit(work, n) for n in range(8)])))",
        "late = [cluster.submit(work, n) for n in range(3)]",
        "gather([cluster.submit(work, n) for n in range(8, 10)])",
        "cluster[:].apply(work, 9)",
        "cluster.submit(str, cluster.submit(work, 9)).result()",
        "data = bytes(300_000)",
        "%%distributed --ship --pull size\nsize = len(data)",
        "nothing = 1",
        "%%distributed\nnothing",
    )
    nb.run(0)
    nb.run(1)
    nb.run(2)
    text = nb.text(2)
    assert len(re.findall(r"\[[01]\] step \d", text)) == 8
    assert "28" in text
    nb.run(3)
    nb.wait_for_text(3, re.compile(r"(\[[01]\] step \d\s*){3}"))
    nb.run(4)
    nb.wait_for_text(4, "ValueError: nine is too many")
    assert re.search(r"On engine [01]:", nb.text(4))
    assert not frames_of_ours(nb.text(4))
    nb.run(5)
    nb.wait_for_text(5, "On engines 0,1:")
    nb.run(6)
    nb.wait_for_text(6, "DependencyFailed")
    nb.run(7)
    nb.run(8)
    nb.wait_for_text(8, "shipped data (293 KiB) to engines 0,1")
    nb.run(9)
    nb.run(10)
    nb.wait_for_text(10, "The notebook has 'nothing'")
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        nb.use_theme(theme)
        for at in (2, 4, 6, 10):
            nb.cell(at).scroll_into_view_if_needed()
            nb.picture(f"calls-{theme.split()[1].lower()}-{at}")
