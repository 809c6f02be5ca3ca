"""An error that an engine raised is drawn with the notebook's frames and the engine's, and none of ours."""

from __future__ import annotations

import pickle
import re
import traceback

from nbcluster.client.futures import Future
from nbcluster.errors import DependencyFailed, EngineErrors, RemoteError, RemoteTraceback
from nbcluster.notebook.errors import traceback_lines
from nbcluster.notebook.remotetracebacks import engine_lines, mark, without_ours

TEXT = """Traceback (most recent call last):
  File "/tmp/ipykernel_7/1.py", line 3, in half
    return y / 0
           ~~^~~
  File "/home/me/lib.py", line 8, in deeper
    fail()
ZeroDivisionError: division by zero"""


def name_cell(file):
    return "Cell In[2]" if "ipykernel_7" in file else ""


def plain(lines):
    return re.sub(r"\x1b\[\d*m", "", "\n".join(lines))


def failed(engine=1):
    error = ZeroDivisionError("division by zero")
    error.__cause__ = RemoteTraceback(TEXT, engine)
    return error


def test_the_engine_and_the_cell_of_the_notebook_are_named():
    error = failed()
    error.add_note("map: item 3, 0")
    assert plain(engine_lines(error, name_cell)).splitlines() == [
        "On engine 1:",
        "Traceback (most recent call last):",
        "Cell In[2], line 3, in half",
        "    return y / 0",
        "           ~~^~~",
        "File /home/me/lib.py, line 8, in deeper",
        "    fail()",
        "ZeroDivisionError: division by zero",
        "map: item 3, 0",
    ]


def test_a_cell_that_was_named_before_is_drawn_alike():
    error = ZeroDivisionError("no")
    text = (
        "Traceback (most recent call last):\n  Cell In[7], line 3, in half\n    return\nZeroDivisionError: no"
    )
    error.__cause__ = RemoteTraceback(text, 1)
    lines = engine_lines(error, name_cell)
    assert "Cell In[7], line 3\x1b[0m, in half" in lines[2]
    assert lines[2].startswith("\x1b[32mCell")


def test_the_same_error_of_several_engines_is_drawn_once():
    group = EngineErrors("half failed on every engine", {0: failed(0), 1: failed(1)})
    text = plain(traceback_lines(group, name_cell))
    assert text.count("division by zero") == 1
    assert text.startswith("On engines 0,1:\nTraceback")
    assert "Cell In[2], line 3, in half" in text


def test_a_call_that_needed_another_shows_what_happened_to_that():
    error = DependencyFailed("'sum' needed 'half'")
    error.__cause__ = failed()
    text = plain(traceback_lines(error, name_cell))
    assert text.startswith("DependencyFailed: 'sum' needed 'half'\n")
    assert "On engine 1:" in text
    assert text.endswith("ZeroDivisionError: division by zero")


def test_a_class_that_cannot_be_sent_is_drawn_alike():
    error = RemoteError(
        "Odd", "no", ("Traceback (most recent call last):", *TEXT.splitlines()[1:3], "Odd: no"), 0
    )
    text = plain(traceback_lines(error, name_cell))
    assert text.splitlines() == [
        "On engine 0:",
        "Traceback (most recent call last):",
        "Cell In[2], line 3, in half",
        "    return y / 0",
        "Odd: no",
    ]


def test_frames_of_ours_are_left_out_and_those_of_users_kept():
    future = Future()
    future.set_exception(failed())

    def mine():
        return future.result()

    try:
        mine()
    except ZeroDivisionError as error:
        names = [frame.name for frame in traceback.extract_tb(without_ours(error.__traceback__))]
    assert names == ["test_frames_of_ours_are_left_out_and_those_of_users_kept", "mine"]


def test_a_marked_error_is_still_pickled_and_others_are_not_marked():
    error = failed()
    mark(error)
    assert isinstance(pickle.loads(pickle.dumps(error)), ZeroDivisionError)
    mine = ZeroDivisionError("mine")
    mark(mine)
    assert not hasattr(mine, "_render_traceback_")
