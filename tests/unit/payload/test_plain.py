"""Plain pickles hold data alone: neither making nor reading one calls anything."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from nbcluster.payload.plain import NotPlain, dump_plain, is_plain_at_the_top, load_plain


class Number(int):
    pass


class Sly:
    def __reduce__(self) -> Any:
        raise AssertionError("code of the value was run")


@pytest.mark.parametrize(
    "value",
    [
        0,
        -(1 << 200),
        2.5,
        True,
        None,
        "text",
        b"bytes",
        bytearray(b"x"),
        (1, "a"),
        [1, [2]],
        {"a": {1: 2}},
        {1},
    ],
)
def test_plain_data_comes_as_it_was(value: object) -> None:
    loaded = load_plain(dump_plain(value, 1000))
    assert (loaded, type(loaded)) == (value, type(value))
    assert is_plain_at_the_top(value)


def test_what_holds_itself_is_plain_too() -> None:
    value: list[Any] = [1]
    value.append(value)
    loaded = load_plain(dump_plain(value, 1000))
    assert loaded[1] is loaded


@pytest.mark.parametrize(
    "value",
    [Number(1), 1j, np.float64(1), np.zeros(2), OrderedDict(), len, int, [Sly()], {"a": (Sly(),)}, object()],
)
def test_everything_else_is_refused_without_running_it(value: object) -> None:
    with pytest.raises(NotPlain):
        dump_plain(value, 1000)


def test_what_is_large_or_deep_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("x" * 1000, [str(number) for number in range(100)], deep):
        with pytest.raises(NotPlain):
            dump_plain(value, 900)
    assert dump_plain("x" * 800, 900)
    while deep:  # from the outside in: taking it down at once would be as deep
        deep = deep.pop()


@pytest.mark.parametrize("value", [len, Sly, Number(3), OrderedDict()])
def test_a_pickle_that_names_something_is_not_read(value: object) -> None:
    with pytest.raises(NotPlain):
        load_plain(pickle.dumps(value, protocol=5))
