"""Whether a result's memory may be kept as it is: only where nobody else could write to it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest

from nbcluster.engine import alone
from nbcluster.payload.values import Dumped, dump_value, load_value

np = pytest.importorskip("numpy")

ITEMS = 1 << 16

others: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> Any:
    yield
    others.clear()


def dumped(make: Callable[[], Any]) -> Dumped:
    """Pickle what a function returns; nobody here holds it any more then, as after a call."""
    return dump_value(make())


def with_another(make_other: Callable[[Any], Any]) -> Any:
    array = np.ones(ITEMS)
    others.append(make_other(array))
    return array


ALONE = {
    "new": lambda: np.ones(ITEMS),
    "of another shape": lambda: np.ones(ITEMS).reshape(256, -1),
    "in Fortran's order": lambda: np.asfortranarray(np.ones((256, ITEMS // 256))),
    "most of one": lambda: np.ones(ITEMS)[:-5],
    "in containers": lambda: {"a": [np.ones(ITEMS)]},
    "twice": lambda: [np.ones(ITEMS)] * 2,
}

SHARED = {
    "itself": lambda: with_another(lambda array: array),
    "a part": lambda: with_another(lambda array: array[3:9]),
    "a memoryview": lambda: with_another(memoryview),
    "a weak reference": lambda: with_another(weakref.ref),
    "a closure": lambda: with_another(lambda array: lambda: array),
    "a weak reference to the whole": lambda: with_another(weakref.ref)[:-1],
    "a part of the same": lambda: with_another(lambda array: array[3:9])[:-1],
    "memory of others": lambda: np.frombuffer(bytearray(8 * ITEMS)),
    "a small part": lambda: np.ones(3 * ITEMS)[:ITEMS],
}


@pytest.mark.parametrize("make", ALONE.values(), ids=ALONE)
def test_what_only_the_call_had_is_kept_as_it_is(make: Callable[[], Any]) -> None:
    (buffer,) = dumped(make).buffers
    assert alone.is_alone(buffer)
    assert np.shares_memory(np.frombuffer(alone.kept(buffer)), np.frombuffer(buffer.raw()))


@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED)
def test_what_somebody_else_could_change_is_copied(make: Callable[[], Any]) -> None:
    (buffer,) = dumped(make).buffers
    assert not alone.is_alone(buffer)
    copy = alone.kept(buffer)
    assert not np.shares_memory(np.frombuffer(copy), np.frombuffer(buffer.raw()))
    assert copy == buffer.raw()


def test_without_numpy_a_copy_is_made_too(monkeypatch: pytest.MonkeyPatch) -> None:
    value = np.ones(ITEMS)
    (buffer,) = dump_value(value).buffers
    monkeypatch.setitem(alone.sys.modules, "numpy", None)
    copy = alone.kept(buffer)
    value[:] = 2
    assert copy == np.ones(ITEMS).data.cast("B")


def test_a_value_of_several_parts_is_judged_part_by_part() -> None:
    parts = dumped(lambda: [np.ones(ITEMS), with_another(lambda array: array), np.zeros(ITEMS)]).buffers
    assert [alone.is_alone(part) for part in parts] == [True, False, True]


def test_who_takes_what_is_kept_has_a_copy_of_it() -> None:
    whole = dumped(lambda: np.ones(ITEMS))
    kept = [alone.kept(buffer) for buffer in whole.buffers]
    first = load_value(whole.payload, kept)
    first[:] = 2
    assert load_value(whole.payload, kept).sum() == ITEMS
