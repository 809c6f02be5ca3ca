"""Errors on engines name the number of the notebook's cell, and its lines: the magic's is the first."""

from __future__ import annotations

import re

import pytest
from published import COLOURS, error_of

LISTED = """%%distributed 0
import io, pdb, sys
said = io.StringIO()
debugger = pdb.Pdb(stdin=io.StringIO('list\\nq\\n'), stdout=said, nosigint=True, readrc=False)
debugger.reset()
debugger.interaction(None, sys.last_traceback)
print(said.getvalue())"""


def number_of(published):
    [number] = [
        said["content"]["execution_count"] for said in published if said["msg_type"] == "execute_input"
    ]
    return number


@pytest.fixture(autouse=True)
def counts_differ(page):
    """Engines count their own cells, so theirs are others."""
    page.run("%distributed --on 0 print(1)")


@pytest.fixture
def page(shared_page):
    return shared_page


def test_the_cell_and_line_of_an_error_are_the_notebooks(page):
    failed = page.run("%%distributed 0\n\ndata = [1, 2]\ndata[5]\n", fails=True)
    text = error_of(failed)
    assert f"Cell In[{number_of(failed)}], line 4\n" in text
    assert "----> 4 data[5]" in text
    assert "      3 data = [1, 2]" in text


def test_a_function_of_an_earlier_cell_keeps_that_cells_number(page):
    first = number_of(page.run("%%distributed\ndef half(x):\n    y = x\n    return y / 0"))
    failed = page.run("%%distributed\n# a comment\nhalf(3)", fails=True)
    text = error_of(failed)
    assert f"Cell In[{number_of(failed)}], line 3\n" in text
    assert "----> 3 half(3)" in text
    assert f"Cell In[{first}], line 4, in half(x)" in text
    assert "----> 4     return y / 0" in text
    assert text.count("ZeroDivisionError: division by zero") == 1  # of both engines


def test_a_syntax_error_is_on_its_line(page):
    failed = page.run("%%distributed 0\nx = 1\ny = = 2", fails=True)
    text = error_of(failed)
    assert f"Cell In[{number_of(failed)}], line 3\n" in text
    assert "    y = = 2\n" in text


def test_what_follows_an_await_is_on_its_line(page):
    failed = page.run("%%distributed 0\nimport asyncio\nawait asyncio.sleep(0)\n1 / 0", fails=True)
    assert f"Cell In[{number_of(failed)}], line 4\n" in error_of(failed)


def test_a_line_magic_knows_its_line(page):
    failed = page.run("x = 1\n\n%distributed --on 0 1 / 0", fails=True)
    text = error_of(failed)
    assert f"Cell In[{number_of(failed)}], line 3\n" in text
    assert "----> 3 1 / 0" in text


def test_what_a_program_sends_says_so(page):
    text = error_of(page.run("cluster[0].execute('x = 1\\n1 / 0', check=True)", fails=True))
    assert "In view.execute(...), line 2\n" in text
    assert "----> 2 1 / 0" in text


def test_source_and_debugger_show_the_cells_lines(page):
    here = number_of(page.run("%%distributed 0\ndef broken(x):\n    return 1 / x"))
    assert "def broken(x):\n    return 1 / x" in page.text(
        "%distributed --on 0 import inspect; print(inspect.getsource(broken))"
    )
    page.run("%%distributed 0\nbroken(0)", fails=True)
    text = COLOURS.sub("", page.text(LISTED))
    assert re.search(rf"In\[{here}\]-\w+\.py\(3\)broken\(\)", text), text
    assert "      2 def broken(x):\n----> 3     return 1 / x" in text
