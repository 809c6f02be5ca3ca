"""What is read off a Dask graph: what is needed, in what order, and what is refused by name. Without a cluster."""

from __future__ import annotations

import operator
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcluster.errors import CycleError, NotSupported, UnknownKey, UsageError
from nbcluster.integrations.daskgraphs import Reading, flat, nested, read


def inc(number: int) -> int:
    return number + 1


def run(reading: Reading, key: Any) -> Any:
    """Run a reading as it stands."""
    values: dict[Any, Any] = {}
    for each, node in reading.nodes.items():
        values[each] = node({need: values[reading.home_of(need)] for need in node.dependencies})
    return values[reading.home_of(key)]


def test_only_what_is_needed_is_read_and_what_is_needed_comes_first() -> None:
    reading = read({"z": (operator.add, "y", "x"), "y": (inc, "x"), "x": 1, "other": (inc, "x")}, ["z"])
    assert list(reading.nodes) == ["x", "y", "z"]
    assert dict(reading.uses) == {"x": 2, "y": 1, "z": 0}
    assert run(reading, "z") == 3


def test_aliases_are_the_value_of_what_they_name() -> None:
    reading = read({"c": "b", "b": "a", "a": (inc, 1), "d": (operator.add, "c", "b")}, ["c", "d"])
    assert reading.home_of("c") == reading.home_of("b")
    assert run(reading, "c") == 2
    assert run(reading, "d") == 4


def test_chains_become_one_call() -> None:
    graph: dict[str, Any] = {f"x{number + 1}": (inc, f"x{number}") for number in range(5000)}
    graph["x0"] = 0
    reading = read(graph, ["x5000"])
    assert len(reading.nodes) == 1
    assert run(reading, "x5000") == 5000


def test_nests_of_keys() -> None:
    assert list(flat(["x", ["y", ("z", 1)], []])) == ["x", "y", ("z", 1)]
    assert nested([["x"], ("z", 1)], {"x": 1, ("z", 1): 2}) == ((1,), 2)
    assert nested("x", {"x": 1}) == 1


@pytest.mark.parametrize(
    ("graph", "circle"),
    [
        ({"x": (inc, "y"), "y": (inc, "x")}, ("'x'", "'y'")),
        ({"x": (inc, "x")}, ("'x' needs 'x'",)),
        ({"x": "x"}, ("'x' needs 'x'",)),
        ({"x": (inc, "y"), "y": "y"}, ("'y' needs 'y'",)),
        ({"x": "y", "y": "z", "z": "x"}, ("'x'", "'y'", "'z'")),
        ({"x": [(inc, ("y", 0))], ("y", 0): (sum, ["x", "x"])}, ("'x'", "('y', 0)")),
        ({"x": (inc, "a0")} | {f"a{n}": (inc, f"a{(n + 1) % 50}") for n in range(50)}, ("42 more", "'a0'")),
    ],
)
def test_a_cycle_is_refused_by_name(graph: dict[Any, Any], circle: tuple[str, ...]) -> None:
    with pytest.raises(CycleError, match="can never be run") as caught:
        read(graph, ["x"])
    for name in circle:
        assert name in str(caught.value)


def test_a_cycle_that_is_not_needed_is_nobodys_concern() -> None:
    assert run(read({"x": (inc, 1), "a": (inc, "b"), "b": (inc, "a"), "c": "c"}, ["x"]), "x") == 2


def test_an_unknown_key_is_refused_with_its_name() -> None:
    from dask._task_spec import Task, TaskRef

    with pytest.raises(
        UnknownKey, match=r"the key \('w', 3\) is not in the graph, which has 'x', 'y'"
    ) as caught:
        read({"x": 1, "y": (inc, "x")}, ["y", ("w", 3)])
    assert isinstance(caught.value, KeyError)
    assert caught.value.key == ("w", 3)
    needs = {"x": Task("x", inc, TaskRef("missing"))}
    with pytest.raises(UnknownKey, match="the task 'x' needs the key 'missing'"):
        read(needs, ["x"])
    with pytest.raises(UnknownKey, match="and 95 more"):
        read({f"x{number}": number for number in range(100)}, ["y"])


def test_what_is_no_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="is no Dask graph"):
        read([1, 2, 3], ["x"])
    with pytest.raises(UsageError, match="cannot be a key"):
        read({"x": 1}, [{}])
    monkeypatch.setitem(sys.modules, "dask._task_spec", None)
    with pytest.raises(NotSupported, match="pip install 'dask"):
        read({"x": 1}, ["x"])


@st.composite
def graphs(draw: st.DrawFn) -> dict[Any, Any]:
    """Graphs of sums of earlier keys, aliases, nested tasks and plain values; sometimes with a cycle."""
    count = draw(st.integers(1, 12))
    keys: list[Any] = [("k", number) if number % 3 else f"k{number}" for number in range(count)]
    graph: dict[Any, Any] = {}
    for number, key in enumerate(keys):
        earlier = st.sampled_from(keys[:number]) if number else st.just(7)
        if draw(st.integers(0, 20)) == 20:
            earlier = st.sampled_from(keys)
        graph[key] = draw(
            st.one_of(
                st.integers(0, 9),
                earlier,
                st.tuples(st.just(inc), earlier),
                st.lists(earlier, max_size=4).map(lambda needs: (sum, needs)),
                st.tuples(st.just(operator.add), st.tuples(st.just(inc), earlier), earlier),
            )
        )
    order = draw(st.permutations(keys))
    return {key: graph[key] for key in order}


@given(graphs(), st.data())
def test_any_graph_is_read_as_dask_reads_it(graph: dict[Any, Any], data: st.DataObject) -> None:
    import dask

    wanted = data.draw(st.lists(st.sampled_from(list(graph)), min_size=1, max_size=3))
    try:
        reading = read(graph, wanted)
    except CycleError:
        with pytest.raises((RuntimeError, KeyError, ValueError)):
            dask.get(graph, wanted)
        return
    assert [run(reading, key) for key in wanted] == list(dask.get(graph, wanted))
