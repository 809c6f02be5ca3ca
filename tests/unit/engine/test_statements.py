"""Statements run in a namespace of their own, on values that others made."""

from __future__ import annotations

import asyncio

import pytest

from nbcluster.engine.statements import Script, Step, Unsendable, describe, pick, run_script, run_script_async
from nbcluster.errors import NotSerializable


def script(source, *steps, **options):
    return Script(source, "<a cell>", steps, **options)


def test_names_come_by_maker_and_nothing_else_is_there():
    source = "a = b + 1\nc = a * 2\nd = b"
    made = run_script(script(source, Step(0, {"b": 7}, ("a",)), Step(1, {}, ("c",))), {7: {"b": 1, "d": 9}})
    assert made == {"a": 2, "c": 4}
    with pytest.raises(NameError, match="'b'"):
        run_script(script(source, Step(2, {}, ("d",))), {})


def test_a_value_is_kept_as_it_was_after_its_statement():
    source = "a = 1\nb = a\na = 5"
    made = run_script(script(source, Step(0, {}, ("a",)), Step(1, {"a": 3}, ("b",))), {3: {"a": 4}})
    assert made == {"a": 1, "b": 4}


def test_what_is_deleted_is_not_made():
    assert run_script(script("a = 1\ndel a", Step(0, {}, ("a",)), Step(1, {}, ("a",))), {}) == {}


def test_definitions_come_first_and_errors_name_the_line():
    source = "import math\ndef f(x):\n    return math.floor(x) + k\n\ny = f('no')"
    with pytest.raises(TypeError) as error:
        run_script(script(source, Step(2, {"k": 0}, ("y",)), definitions=(0, 1)), {0: {"k": 1}})
    assert [entry.lineno + 1 for entry in error.traceback if str(entry.path).endswith("<a cell>")] == [5, 3]


def test_what_cannot_be_sent_is_said_where_it_is_needed():
    made = run_script(script("g = (i for i in [])", Step(0, {}, ("g",))), {})
    assert isinstance(made["g"], Unsendable)
    with pytest.raises(NotSerializable, match="line 2 needs g, which could not be sent"):
        run_script(script("g = 1\nlist(g)", Step(1, {"g": 0})), {0: made})
    with pytest.raises(NotSerializable, match="g cannot be brought here"):
        pick(made, "g")
    with pytest.raises(NameError, match="no statement of the cell has bound it"):
        pick(made, "h")


def test_steps_and_types_are_marked():
    marks = []
    run_script(
        script("a = [1]\nb = 2", Step(0, {}, ("a",)), Step(1, {}, ("b",))),
        {},
        lambda *mark: marks.append(mark),
    )
    assert marks == [(0,), (1,), (None, {"a": "builtins.list[builtins.int]", "b": "builtins.int"})]


def test_awaiting_statements():
    source = "async def f(x):\n    return x\na = await f(1)\nb = [i async for i in g()]\nasync def g():\n    yield 3"
    steps = (Step(1, {}, ("a",)), Step(2, {}, ("b",)))
    assert asyncio.run(run_script_async(script(source, *steps, definitions=(0, 3)), {})) == {"a": 1, "b": [3]}


def test_all_that_a_cell_leaves_when_it_could_not_be_read():
    source = "exec('a = x + 1')\nimport math\n_b = 2"
    steps = tuple(map(Step, range(3)))
    assert run_script(script(source, *steps, everything=True), {-1: {"x": 1}}) == {"a": 2}


def test_a_list_that_holds_itself_has_a_type():
    circle = []
    circle.append(circle)
    assert describe(circle) == "builtins.list[builtins.list[builtins.list]]"
