"""Values and arguments come back as they went, Futures replaced, buffers beside them."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcluster.errors import NotSerializable, UsageError
from nbcluster.payload.functions import FunctionDumper
from nbcluster.payload.values import ArgumentDumper, Ref, dump_value, load_args, load_value

atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.complex_numbers(allow_nan=False),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.datetimes(),
    st.uuids(),
)
hashables = st.recursive(
    atoms, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5
)
values = st.recursive(
    hashables,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(hashables, inner, max_size=4),
        st.builds(collections.deque, st.lists(inner, max_size=3)),
        st.builds(functools.partial, st.just(print), inner).map(lambda partial: partial.args),
    ),
    max_leaves=15,
)


class Promised:
    """What the tests use for a Future."""

    def __init__(self, task: str) -> None:
        self.task = task


class Holder:
    """Holds something."""

    def __init__(self, held: Any) -> None:
        self.held = held


DUMPER = ArgumentDumper(FunctionDumper(), (Promised,), lambda future: future.task)


@given(values)
@settings(max_examples=150, deadline=None)
def test_a_value_comes_back(value: Any) -> None:
    dumped = dump_value(value)
    again = load_value(dumped.payload, dumped.buffers)
    assert again == value
    assert type(again) is type(value)


@given(st.lists(values, max_size=3), st.dictionaries(st.text(max_size=5), values, max_size=3))
@settings(max_examples=80, deadline=None)
def test_arguments_come_back(args: list[Any], kwargs: dict[str, Any]) -> None:
    dumped = DUMPER.dump(tuple(args), kwargs)
    assert load_args(dumped.payload, dumped.buffers) == (tuple(args), kwargs)
    assert dumped.inputs == ()


def test_no_arguments_are_no_bytes() -> None:
    dumped = DUMPER.dump((), {})
    assert (dumped.payload, dumped.buffers, dumped.inputs) == (b"", (), ())
    assert load_args(b"") == ((), {})


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (lambda x: x, lambda x: x),
        (lambda x: [1, x], lambda x: x[1]),
        (lambda x: (x,), lambda x: x[0]),
        (lambda x: {"k": [x]}, lambda x: x["k"][0]),
        (lambda x: {x}, lambda x: next(iter(x))),
        (lambda x: frozenset({x}), lambda x: next(iter(x))),
        (lambda x: functools.partial(print, x), lambda x: x.args[0]),
        (lambda x: functools.partial(print, end=x), lambda x: x.keywords["end"]),
        (Holder, lambda x: x.held),
        (lambda x: collections.OrderedDict(a=x), lambda x: x["a"]),
    ],
    ids=[
        "itself",
        "list",
        "tuple",
        "dict",
        "set",
        "frozenset",
        "partial",
        "partial keyword",
        "object",
        "odict",
    ],
)
def test_a_future_becomes_its_value(wrap: Any, unwrap: Any) -> None:
    dumped = DUMPER.dump((wrap(Promised("a")),), {"also": Promised("b"), "again": Promised("a")})
    assert dumped.inputs == ("a", "b")
    (value,), kwargs = load_args(dumped.payload, inputs={"a": "A", "b": "B"})
    assert unwrap(value) == "A"
    assert kwargs == {"also": "B", "again": "A"}


def test_a_ref_becomes_what_the_namespace_has() -> None:
    part = object()
    dumped = DUMPER.dump(([Ref("x")],), {})
    assert load_args(dumped.payload, namespace={"x": part})[0] == ([part],)
    assert repr(Ref("x")) == "Ref('x')"


def test_a_future_that_a_function_captured_stays_a_future(notebook: Any, engine: Any) -> None:
    kind = notebook.arguments._futures[0]
    notebook.names["future"] = kind("t1", 5)
    notebook.run("def f(x): return future, x\ndef call(g, x): return g(x)")
    assert notebook.call(notebook["f"], notebook["future"]) == ("<Future t1>", 5)
    assert notebook.call(notebook["call"], notebook["f"], notebook["future"]) == ("<Future t1>", 5)


def test_large_buffers_stay_out_and_small_ones_go_in() -> None:
    large, small = np.arange(100_000), np.arange(100)
    dumped = dump_value({"large": large, "small": small})
    assert len(dumped.buffers) == 1
    assert len(dumped.payload) < 2_000
    assert dumped.nbytes == len(dumped.payload) + large.nbytes
    assert np.shares_memory(np.frombuffer(dumped.buffers[0], large.dtype), large)
    sent = [bytes(buffer.raw()) for buffer in dumped.buffers]
    again = load_value(dumped.payload, sent)
    np.testing.assert_array_equal(again["large"], large)
    again["large"][0] = again["small"][0] = 7  # what was writable there is writable here


def test_what_was_read_only_stays_so() -> None:
    array = np.arange(100_000)
    array.flags.writeable = False
    dumped = dump_value(array)
    again = load_value(dumped.payload, [bytes(dumped.buffers[0].raw())])
    assert not again.flags.writeable


@pytest.mark.parametrize(
    "value",
    [
        np.float32(1.5),
        np.arange(12).reshape(3, 4)[:, ::2],
        np.array(["a", None], dtype=object),
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
        pd.Series(np.arange(50_000)),
        pd.date_range("2024-01-01", periods=3),
        datetime.timedelta(1),
        decimal.Decimal("1.5"),
        fractions.Fraction(1, 3),
        {}.keys(),
        memoryview(b"abc"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_people_compute_with_comes_back(value: Any) -> None:
    dumped = dump_value(value)
    again = load_value(dumped.payload, dumped.buffers)
    match value:
        case np.ndarray():
            np.testing.assert_array_equal(again, value)
        case pd.DataFrame() | pd.Series() | pd.Index():
            assert again.equals(value)
        case _:
            assert again == value


def test_an_object_that_comes_twice_is_one_object() -> None:
    shared: list[int] = []
    (a, b), _ = load_args(DUMPER.dump((shared, [shared]), {}).payload)
    assert b[0] is a


def test_futures_and_plain_values_alone_need_no_pickler_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("this goes the short way")

    monkeypatch.setattr(DUMPER, "_dump", refuse)
    dumped = DUMPER.dump((Promised("b"), 1, "x", Promised("a"), None, Promised("b")), {})
    assert dumped.inputs == ("b", "a")
    assert b"nbcluster" not in dumped.payload
    given = {"a": [1], "b": {"k": 2}}
    args, kwargs = load_args(dumped.payload, (), given)
    assert (args, kwargs) == (({"k": 2}, 1, "x", [1], None, {"k": 2}), {})
    assert args[0] is args[5]
    for longer in (([Promised("a")],), (Promised("a"), 1.5, [])):
        with pytest.raises(NotSerializable):
            DUMPER.dump(longer, {})


def test_a_future_that_cannot_be_an_argument_is_named_on_the_short_way_too() -> None:
    def refuse(_: Any) -> str:
        raise UsageError("it belongs to another cluster")

    def fit(first: Any, second: Any) -> None: ...

    dumper = ArgumentDumper(FunctionDumper(), (Promised,), refuse)
    with pytest.raises(UsageError, match="another cluster"):
        dumper.dump((1, Promised("a")), {}, fit)
