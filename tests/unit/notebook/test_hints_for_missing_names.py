"""A NameError on an engine says who has the name, and how it gets there."""

import time

from nbcluster.errors import EngineErrors, RemoteError, RemoteTraceback
from nbcluster.notebook.errors import traceback_lines
from nbcluster.notebook.hints import Memory, add_hints, missing_name
from nbcluster.protocol.messages import EngineStatus


def engine(number, starts=1, started=1000.0):
    return EngineStatus(number, number, "idle", starts=starts, started=started)


def name_error(number, name="x"):
    return RemoteError("NameError", f"name {name!r} is not defined", (), number)


def hints(error, *, engines=None, notebook=(), memory=None):
    add_hints(error, "default", engines or [engine(0), engine(1)], notebook, memory or Memory())
    return getattr(error, "__notes__", [])


def test_the_name_of_a_name_error_is_found():
    assert missing_name(name_error(0, "data")) == "data"
    assert missing_name(RemoteError("NameError", "name 'a' is not defined. Did you mean: 'b'?", (), 0)) == "a"
    assert missing_name(RemoteError("ValueError", "name 'a' is not defined", (), 0)) is None
    assert missing_name(ValueError("name 'a' is not defined")) is None


def test_a_name_that_the_notebook_has_is_offered():
    [hint] = hints(name_error(1), notebook={"x"})
    assert "the notebook has 'x'" in hint.lower()
    assert "--push x" in hint
    assert "--ship" in hint


def test_nothing_is_said_of_a_name_that_nobody_has():
    assert hints(name_error(1), notebook={"y"}) == []


def test_an_engine_that_was_restarted_lost_its_names():
    clock = iter([500.0])
    memory = Memory(lambda: next(clock))
    memory.note("default", [0], ["x"])
    [hint] = hints(name_error(0), engines=[engine(0, starts=2)], memory=memory)
    assert hint.startswith(
        f"Engine 0 was restarted at {time.strftime('%H:%M', time.localtime(1000.0))} and lost 'x'"
    )


def test_a_name_that_was_bound_since_the_restart_was_not_lost_by_it():
    memory = Memory(lambda: 2000.0)
    memory.note("default", [0], ["x"])
    assert hints(name_error(0), engines=[engine(0, starts=2)], memory=memory) == []


def test_a_name_of_another_cluster_was_not_lost_here():
    memory = Memory(lambda: 500.0)
    memory.note("other", [0], ["x"])
    assert hints(name_error(0), engines=[engine(0, starts=2)], memory=memory) == []


def test_each_engine_of_a_group_gets_its_hint_once():
    group = EngineErrors("failed", {0: name_error(0), 1: ValueError("no")})
    hints(group, notebook={"x"})
    hints(group, notebook={"x"})
    assert len(group.errors[0].__notes__) == 1
    assert not hasattr(group.errors[1], "__notes__")


def test_several_engines_that_were_restarted_are_named_alike():
    memory = Memory(lambda: 500.0)
    memory.note("default", [0, 1], ["x"])
    group = EngineErrors("failed", {0: name_error(0), 1: name_error(1)})
    hints(group, engines=[engine(0, 2), engine(1, 2)], memory=memory)
    assert group.errors[0].__notes__ == group.errors[1].__notes__
    assert "0" in group.errors[0].__notes__[0]
    assert "1" in group.errors[0].__notes__[0]


def test_a_hint_is_drawn_below_the_traceback():
    error = RemoteError("NameError", "name 'x' is not defined", ("the traceback",), 1)
    add_hints(error, "default", [engine(1)], {"x"}, Memory())
    lines = traceback_lines(error)
    assert lines[1] == "the traceback"
    assert "--push x" in lines[2]


def test_a_call_that_lacks_a_name_is_told_too():
    error = NameError("name 'x' is not defined")
    error.__cause__ = RemoteTraceback("...", 1)
    add_hints(error, "c", [], {"x"}, Memory())
    assert error.__notes__ == [
        "The notebook has 'x': cluster[:].push({'x': x}) binds it on the engines; a call that is submitted now "
        "brings it along when its function reads it."
    ]
    mine = NameError("name 'x' is not defined")
    add_hints(mine, "c", [], {"x"}, Memory())
    assert not hasattr(mine, "__notes__")
