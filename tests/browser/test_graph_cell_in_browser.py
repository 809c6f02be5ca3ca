"""A graph cell in JupyterLab: output in the cell's order, an error at its statement, one that is not waited for."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.timeout(180)

START = "%load_ext nbcluster\n%cluster start -n 2\n%distributed 1 + 1"

GRAPH = """%%distributed --graph
import time
def slow(name, seconds):
    time.sleep(seconds)
    print(name, 'after', seconds, 's')
    return name.upper()
first = slow('first', 0.8)
second = slow('second', 0.1)
third = [first, second]
third"""

WRONG = """%%distributed --graph
here = [1, 2, 3]
total = sum(here) / 0
rest = len(here)
print('the rest ran:', rest)
last = total + rest"""


def test_a_graph_cell_and_its_error(notebook):
    nb = notebook(START, GRAPH, WRONG)
    nb.run(0)
    nb.run(1)
    nb.wait_for_text(1, "first, second and third are Futures now")
    lines = [line for line in nb.text(1).splitlines() if line.strip()]
    assert lines[:3] == ["first after 0.8 s", "second after 0.1 s", "['FIRST', 'SECOND']"]
    nb.run(2)
    nb.wait_for_text(2, "ZeroDivisionError: division by zero")
    error = nb.text(2)
    assert "the rest ran: 3" in error
    assert re.search(r"line 3", error)
    assert "total = sum(here) / 0" in error
    assert "--graph: line 3 of the cell failed; so did line 6" in error
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        nb.use_theme(theme)
        nb.cell(2).scroll_into_view_if_needed()
        nb.picture(f"graph-cell-{theme.split()[-1].lower()}")


def test_a_graph_cell_that_is_not_waited_for(notebook):
    nb = notebook(START, GRAPH.replace("--graph", "--async --graph"), "print(third.result())")
    nb.run(0)
    nb.run(1)
    nb.run(2)
    nb.wait_for_text(2, "['FIRST', 'SECOND']")
    nb.wait_for_text(1, re.compile(r"first after 0.8 s\s+second after 0.1 s[\s\S]*\['FIRST', 'SECOND'\]"))
    nb.picture("graph-cell-async")
