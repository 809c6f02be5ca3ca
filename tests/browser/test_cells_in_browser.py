"""What a user does with cells in JupyterLab: run all, stop, complete, leave running, answer."""

from __future__ import annotations

import re
import time

import pytest

pytestmark = pytest.mark.timeout(180)

START = "%load_ext nbcluster\n%cluster start -n 2"


def test_run_all_stops_at_a_cell_that_fails_on_engines(notebook):
    nb = notebook(START, "%%distributed\nraise ValueError('here')", "%%distributed\nprint('never')")
    nb.command("notebook:run-all-cells")
    nb.wait_for_text(1, "ValueError: here")
    nb.wait_for_end(1)
    nb.wait_until(lambda: nb.count(2) == "[ ]:", lambda: f"the last cell to be left alone, not {nb.count(2)}")
    assert nb.text(2) == ""
    nb.run(2)
    nb.wait_for_text(2, "never")


def test_stop_button_interrupts_engines_and_keeps_their_state(notebook):
    nb = notebook(
        START,
        "%%distributed\nimport time\nkept = 40\nprint('begun')\ntime.sleep(100)",
        "%%distributed\nkept + 2",
    )
    nb.run(0)
    nb.start(1)
    nb.wait_for_text(1, re.compile(r"begun[\s\S]*begun"))
    pressed = time.monotonic()
    nb.interrupt()
    nb.wait_for_text(
        1, "KeyboardInterrupt: the cell was interrupted on engines 0,1; engines keep their state"
    )
    nb.wait_for_end(1)
    assert time.monotonic() - pressed < 20  # the cell would take 100 s
    nb.picture("stop-button")
    nb.run(2)
    nb.wait_for_text(2, "[0,1] 42")


def test_tab_offers_names_of_engines_also_while_they_are_busy(notebook):
    nb = notebook(
        START, "%%distributed 0\nonly_on_engine = 1\nonly_on_engine_too = 2", "%%distributed 0\nonly_"
    )
    nb.run(0)
    nb.run(1)
    offered = nb.complete(2, 1, 5)
    assert sorted(text for text in offered if "only_on" in text)[0].startswith("only_on_engine")
    assert len([text for text in offered if "only_on_engine" in text]) == 2
    nb.picture("completion")
    nb.page.keyboard.press("Escape")
    nb.do("%distributed --on 0 --as busy import time; time.sleep(60)")
    pressed = time.monotonic()
    offered = nb.complete(2, 1, 5)
    # 0.3 s for the engine, and what the page takes to draw, on a machine with two cores that it shares.
    assert time.monotonic() - pressed < 5
    assert len([text for text in offered if "only_on_engine" in text]) == 2
    nb.page.keyboard.press("Escape")
    nb.do("%cluster cancel busy")


def test_output_of_an_async_cell_comes_to_its_own_cell_while_others_run(notebook):
    nb = notebook(
        START,
        "%%distributed --as work\nimport time\nfor i in range(20):\n    print('tick', i)\n    time.sleep(0.2)\n'end'",
        "import time\nfor i in range(10):\n    print('here', i)\n    time.sleep(0.2)",
    )
    nb.run(0)
    nb.run(1, seconds=3)
    nb.start(2)
    nb.wait_for_text(2, "here 3")
    nb.wait_for_text(1, "tick 3")
    assert nb.count(2) == "[*]:"
    nb.wait_for_text(1, re.compile(r"tick 19[\s\S]*tick 19"))
    assert "tick" not in nb.text(2)
    nb.wait_for_text(1, "'end'")
    nb.cell(1).scroll_into_view_if_needed()
    nb.picture("async")


def test_input_on_an_engine_asks_here(notebook):
    nb = notebook(START, "%%distributed\nname = input('your name? ')", "%%distributed\nname")
    nb.run(0)
    nb.start(1)
    prompt = nb.cell(1).locator(".jp-Stdin-prompt").last
    said: list[str] = []
    for answer in ("first", "second"):
        nb.wait_until(
            lambda: prompt.count() == 1 and prompt.inner_text().strip() not in ("", *said),
            lambda: "a question",
        )
        said.append(prompt.inner_text().strip())
        nb.picture(f"input-{answer}")
        field = nb.cell(1).locator(".jp-Stdin-input").last
        field.fill(answer)
        field.press("Enter")
    nb.wait_for_end(1)
    assert sorted(said) == ["[engine 0] your name?", "[engine 1] your name?"]
    nb.run(2)
    nb.wait_for_text(2, "'second'")
    assert sorted(line[4:] for line in nb.text(2).splitlines()) == ["'first'", "'second'"]


def test_shift_tab_tells_what_the_engine_knows(notebook):
    define = "%%distributed 0\ndef only_there(depth, width=2):\n    '''Says what it is.'''"
    nb = notebook(START, define, "%%distributed 0\nx = 1\nonly_there(")
    nb.run(0)
    nb.run(1)
    text = nb.inspect(2, 2, 11)
    assert "only_there(depth, width=2)" in text
    assert "Says what it is." in text
    nb.picture("inspection-light")
    nb.page.keyboard.press("Escape")
    nb.use_theme("JupyterLab Dark")
    assert "only_there(depth, width=2)" in nb.inspect(2, 2, 11)
    nb.picture("inspection-dark")
    nb.page.keyboard.press("Escape")


def test_a_future_that_is_shown_and_an_error_are_as_the_notebook_knows_them(notebook):
    nb = notebook(
        START,
        "%%distributed --as work\nimport time\nprint('begun')\ntime.sleep(3)\n'value'",
        "print('another cell')",
        "%%distributed\ndata = [1, 2]\n\ndata[5]",
    )
    nb.run(0)
    nb.run(1)
    nb.wait_for_text(1, "Future of cell [2]: running")
    nb.run(2)
    nb.picture("future-running")
    nb.wait_for_text(1, "Future of cell [2]: done")
    assert "running" not in nb.text(1)
    assert nb.text(2).strip() == "another cell"
    nb.run(3)
    nb.wait_for_text(3, "IndexError")
    assert "Cell In[4], line 4" in nb.text(3)
    assert "----> 4 data[5]" in nb.text(3)
    nb.picture("future-and-error-light")
    nb.use_theme("JupyterLab Dark")
    nb.picture("future-and-error-dark")
