"""Shift-Tab in a %%distributed cell tells what the engine knows, in time, and elsewhere what the notebook knows."""

from __future__ import annotations

import re
import time

import pytest

CELL = "%%distributed 0\nonly_there(1"


def inspected(page, code, cursor=None):
    """Ask as a page does; return the text of the answer, "" when nothing was found, and the seconds it took."""
    began = time.monotonic()
    request = page.client.inspect(code, len(code) if cursor is None else cursor)
    reply = page.client.get_shell_msg(timeout=20)
    while reply["parent_header"]["msg_id"] != request:
        reply = page.client.get_shell_msg(timeout=20)
    content = reply["content"]
    assert content["status"] == "ok"
    text = content["data"].get("text/plain", "") if content["found"] else ""
    return re.sub(r"\x1b\[[0-9;]*m", "", text), time.monotonic() - began


def found(page, code):
    """Ask until there is an answer: on a machine that is full, an engine may need longer than the limit."""
    return next(text for _ in range(20) if (text := inspected(page, code)[0]))


@pytest.fixture
def page(shared_page):
    return shared_page


def test_the_engine_answers_in_our_cells_and_the_notebook_in_others(page):
    page.run("%%distributed 0\ndef only_there(x, y=2):\n    '''Says what it is.'''")
    page.run("def only_here(z): 'a function of the notebook'")
    text = found(page, CELL)
    assert "only_there(x, y=2)" in text
    assert "Says what it is." in text
    assert found(page, CELL[:-2]) == text
    assert inspected(page, "only_there")[0] == ""
    assert "only_here(z)" in inspected(page, "only_here(")[0]
    assert inspected(page, "%%distributed 0\nonly_here(")[0] == ""


def test_a_busy_engine_answers_too_and_a_cluster_that_is_not_there_is_no_error(page):
    page.run("%%distributed 0\ndef only_there(x): 'doc'")
    page.run("%distributed --on 0 --as busy import time; time.sleep(60)")
    assert "only_there(x)" in found(page, CELL)
    assert inspected(page, CELL)[1] < 5
    page.run("%cluster cancel busy")
    assert inspected(page, "%%distributed --cluster nowhere\nonly_there(")[0] == ""
    assert inspected(page, "%%distributed --nonsense\nonly_there(")[0] == ""


def test_in_a_named_namespace_its_own_names_are_told(page):
    page.run("%%distributed --namespace exp1\ndef inside(x, y=3): 'of the experiment'")
    page.run("%%distributed\ndef inside(z): 'of the kernel'")
    assert "inside(x, y=3)" in found(page, "%%distributed --namespace exp1 0\ninside(1")
    assert "inside(z)" in found(page, "%%distributed 0\ninside(1")
    text = page.text("%%distributed --namespace exp1\ninside?")
    assert text.count("of the experiment") == 2  # the files of their cells differ
    assert "of the kernel" not in text


def test_a_question_mark_shows_its_answer_in_the_cell(page):
    text = page.text("%%distributed\nlen?")
    assert text.count("Return the number of items in a container") == 1
    assert "[0,1]" in text
    page.run("%%distributed 0\ndef twice(x):\n    return 2 * x")
    [shown] = [said for said in page.run("%%distributed 0\ntwice??") if said["msg_type"] == "display_data"]
    assert "return" in shown["content"]["data"]["text/plain"]


def test_unloading_gives_the_kernel_its_own_inspection_back(page):
    page.run("%unload_ext nbcluster")
    assert page.text("print('do_inspect' in vars(get_ipython().kernel))") == "False\n"
    page.run("%load_ext nbcluster")
    assert page.text("print('do_inspect' in vars(get_ipython().kernel))") == "True\n"
