"""breakpoint() in a cell on an engine: the notebook asks, the engine is named, the debugger's commands work."""

from __future__ import annotations

import pytest

CELL = """%%distributed {targets}
def half(x):
    y = x / 2
    breakpoint()
    return y
print('got', half(8))"""


@pytest.fixture
def page(shared_page):
    return shared_page


def test_commands_work_and_c_goes_on(page):
    cell = page.start(CELL.format(targets="1"), allow_stdin=True)
    assert page.answer("p y * 100") == "[engine 1] ipdb> "
    page.wait_for(lambda: "400.0" in page.printed(cell), "the value")
    assert page.answer("y = 21").startswith("[engine 1] ")
    page.answer("c")
    page.wait_for(lambda: page.is_idle(cell), "the end")
    text = page.printed(cell)
    assert "got 21" in text
    # Where it stands, as the notebook counts: the line after breakpoint() of the cell.
    assert "----> 5     return y" in text
    assert [said for said in page.of(cell) if said["msg_type"] == "error"] == []


def test_q_ends_the_cell_and_the_engine_lives_on(page):
    cell = page.start(CELL.format(targets="0"), allow_stdin=True)
    page.answer("q")
    page.wait_for(lambda: page.is_idle(cell), "the end")
    [error] = [said["content"] for said in page.of(cell) if said["msg_type"] == "error"]
    assert "BdbQuit" in "\n".join(error["traceback"])
    assert "got 4" not in page.printed(cell)
    assert page.text("%distributed --on 0 print(half.__name__)") == "half\n"


def test_engines_ask_one_after_the_other(page):
    cell = page.start(CELL.format(targets=""), allow_stdin=True)
    asked = [page.answer("c"), page.answer("c")]
    page.wait_for(lambda: page.is_idle(cell), "the end")
    assert sorted(asked) == ["[engine 0] ipdb> ", "[engine 1] ipdb> "]
    assert page.printed(cell).count("got 4.0") == 2


def test_in_a_cell_that_is_not_waited_for_it_is_an_error_at_once(page):
    page.run(CELL.format(targets="0 --as work"))
    page.run("try:\n    work.result(timeout=20)\nexcept Exception as error:\n    failed = error")
    assert "StdinNotImplementedError" in page.text("print(failed)")
    assert page.text("%distributed --on 0 print('free')") == "free\n"
