"""Memory in which values land: used again when nobody has a view of it, and given back in time."""

from __future__ import annotations

import sys

import pytest

from nbcluster.transport import spaces as module
from nbcluster.transport.spaces import LIFE, WASTE, Spaces

np = pytest.importorskip("numpy")

MIB = 1 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is used again")


class Clock:
    """Seconds as they are told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def marked(spaces: Spaces, size: int, mark: int) -> memoryview:
    taken = spaces.take(size)
    taken[0] = mark
    return taken


def test_memory_is_used_again_when_no_view_of_it_is_left() -> None:
    spaces = Spaces()
    array = np.frombuffer(marked(spaces, MIB, 7), "u1")
    part = array[5:]
    del array
    with spaces.take(MIB) as other:
        assert other[0] == 0, "somebody has a view of the first"
    del part
    first = spaces.take(MIB)
    second = spaces.take(MIB)
    assert sorted([first[0], second[0]]) == [0, 7]
    assert spaces.take(MIB)[0] == 0, "both are in use"


def test_memory_that_is_a_little_larger_will_do() -> None:
    spaces = Spaces()
    del (large := [marked(spaces, int(MIB * WASTE) + 1, 7), marked(spaces, int(MIB * WASTE), 8)])[:]
    taken = spaces.take(MIB)
    assert (taken[0], len(taken)) == (8, MIB)
    assert large == []


def test_what_was_not_used_lately_is_let_go() -> None:
    clock = Clock()
    spaces = Spaces(clock)
    assert spaces.trim() is None
    marked(spaces, MIB, 7).release()
    clock.now = LIFE - 1
    marked(spaces, 4 * MIB, 8).release()
    assert spaces.trim() == 1
    clock.now = LIFE
    assert spaces.trim() == LIFE - 1
    assert spaces.take(MIB)[0] == 0
    assert spaces.take(4 * MIB)[0] == 8


def test_using_it_again_keeps_it() -> None:
    clock = Clock()
    spaces = Spaces(clock)
    for _ in range(3):
        spaces.take(MIB).release()
        clock.now += LIFE - 1
        assert spaces.trim() == 1


def test_all_is_let_go_when_memory_is_wanted() -> None:
    spaces = Spaces()
    taken = marked(spaces, MIB, 7)
    marked(spaces, MIB, 8).release()
    spaces.relieve()
    assert spaces.trim() is None
    assert spaces.take(MIB)[0] == 0
    assert taken[0] == 7


def test_no_more_is_kept_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3 * MIB)
    spaces = Spaces()
    kept = [marked(spaces, MIB, mark) for mark in (1, 2, 3, 4)]
    kept.clear()
    marked(spaces, 4 * MIB, 9).release()
    assert spaces.take(4 * MIB)[0] == 0
    again = [spaces.take(MIB) for _ in range(4)]
    assert sorted(each[0] for each in again) == [0, 2, 3, 4], "the first went when the fourth came"
