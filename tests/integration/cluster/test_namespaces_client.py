"""Names on engines: read, written, scattered, described while engines compute; by views and by namespaces."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from nbcluster import Cluster, Ref
from nbcluster.errors import NotSerializable, NotSupported, UnknownTarget, UsageError
from nbcluster.testing.waiting import wait_until

DEADLINE = 20.0


def of_a_notebook(code: str) -> Any:
    """The last function of code that runs as in a notebook: in `__main__`, which engines see as their own names."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(textwrap.dedent(code), space)
    return list(space.values())[-1]


def test_names_by_the_shape_of_the_targets(shared: Cluster) -> None:
    shared[:]["x"] = [1, 2]
    shared[0].push({"x": [3], "y": 4})
    assert shared[0]["x"] == [3]
    assert shared[:]["x"] == {0: [3], 1: [1, 2]}
    assert shared[[1]]["x"] == {1: [1, 2]}
    assert shared["any"]["x"] in ([3], [1, 2])
    assert shared[0].pull(["x", "y"]) == [[3], 4]
    assert shared[[0]].pull(["x", "y"]) == {0: [[3], 4]}
    del shared[:]["x"]
    for view in (shared[0], shared[:]):
        with pytest.raises(KeyError, match="'x'"):
            view["x"]
        with pytest.raises(KeyError, match="'x'"):
            del view["x"]


def test_a_name_that_only_some_engines_lack_is_an_error_that_tells_them(shared: Cluster) -> None:
    shared[0]["only"] = 1
    with pytest.raises(KeyError, match="only") as caught:
        shared[:]["only"]
    assert caught.value.__notes__ == ["not on engine 1"]


def test_cells_and_calls_share_the_names(shared: Cluster) -> None:
    shared[:]["x"] = 5
    assert shared[0].execute("x + 1").value == 6
    shared[0].execute("z = x * 2", check=True)
    assert shared[0]["z"] == 10
    assert shared[:].apply(lambda a, b: a + b, Ref("x"), 1) == {0: 6, 1: 6}
    with pytest.raises(NameError, match="name 'nope' is not defined on engine 0"):
        shared[0].apply(abs, Ref("nope"))


def test_a_future_is_pushed_as_its_value(shared: Cluster) -> None:
    value = shared.options(on=0).submit(list, range(5))
    shared[1].push({"from_other": value})
    assert shared[1].execute("from_other").value == [0, 1, 2, 3, 4]


def test_submit_on_a_view_is_one_future(shared: Cluster) -> None:
    many = shared[:].submit(lambda: 7)
    assert many.result(DEADLINE) == {0: 7, 1: 7}
    assert many.engine == (0, 1)  # type: ignore[attr-defined]
    assert many.status == "done"
    assert shared[1].submit(pow, 2, 3).result(DEADLINE) == 8
    assert shared["any"].submit(pow, 2, 3).result(DEADLINE) == 8
    waiting = shared[:].submit(time.sleep, 60)
    assert waiting.cancel() is True
    assert waiting.cancelled()
    argument = shared[:].submit(pow, 3, 2)
    assert shared.submit(lambda both: sum(both.values()), argument).result(DEADLINE) == 18


def test_only_identifiers_are_names_here_too(shared: Cluster) -> None:
    for name in ("a b", "1x", "", "class", 3):
        with pytest.raises(UsageError, match="is no identifier"):
            shared[0].push({name: 1})  # type: ignore[dict-item]
        with pytest.raises(UsageError, match="is no identifier"):
            shared[0].pull([name], live=True)  # type: ignore[list-item]


def test_what_cannot_be_sent_is_named_on_both_ways(shared: Cluster) -> None:
    import threading

    with pytest.raises(NotSerializable, match=r"the variable 'lock': cannot pickle .* nothing was sent"):
        shared[:].push({"fine": 1, "lock": threading.Lock()})
    assert "fine" not in shared.namespace().keys()[0]
    shared[0].execute("import threading; lock = threading.Lock()", check=True)
    with pytest.raises(NotSerializable, match="'lock' stays on engine 0: cannot pickle"):
        shared[0]["lock"]


# -- scatter and gather -----------------------------------------------------------------------


def test_lists_are_scattered_and_gathered(shared: Cluster) -> None:
    shared[:].scatter("part", range(5))
    assert shared[:]["part"] == {0: range(3), 1: range(3, 5)}
    assert shared[:].gather("part") == [0, 1, 2, 3, 4]
    shared[:].scatter("few", [1])
    assert shared[:].gather("few") == [1]


def test_arrays_are_scattered_along_an_axis(shared: Cluster) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(12).reshape(3, 4)
    shared[:].scatter("rows", array)
    shared[:].scatter("columns", array, axis=1)
    assert shared[:].apply(lambda part: part.shape, Ref("rows")) == {0: (2, 4), 1: (1, 4)}
    assert shared[:].apply(lambda part: part.shape, Ref("columns")) == {0: (3, 2), 1: (3, 2)}
    assert (shared[:].gather("rows") == array).all()
    assert (shared[:].gather("columns") == array).all()


def test_frames_are_scattered_by_rows(shared: Cluster) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": range(5), "b": list("vwxyz")}, index=list("abcde"))
    shared[:].scatter("frame", frame)
    assert shared[:].apply(len, Ref("frame")) == {0: 3, 1: 2}
    pandas.testing.assert_frame_equal(shared[:].gather("frame"), frame)
    with pytest.raises(UsageError, match="by rows"):
        shared[:].scatter("frame", frame, axis=1)


def test_gather_uses_the_engines_of_its_scatter(shared: Cluster) -> None:
    shared[:].scatter("part", [1, 2, 3, 4])
    shared.add(1)
    assert shared[:].gather("part") == [1, 2, 3, 4]  # engine 2 has no part
    assert shared[0].gather("part") == [1, 2, 3, 4]
    shared[:]["other"] = [0]
    assert shared[:].gather("other") == [0, 0, 0]


# -- beside what runs -------------------------------------------------------------------------


def test_live_reads_and_writes_do_not_wait(shared: Cluster) -> None:
    shared[:]["step"] = 0

    running = shared[:].submit(
        of_a_notebook(
            """
            import time

            def loop():
                global steps
                steps = 0
                while step == 0:
                    steps += 1
                    time.sleep(0.01)
                return step
            """
        )
    )
    deadline = time.monotonic() + DEADLINE
    while "steps" not in shared.namespace().keys()[1] or shared[1].pull("steps", live=True) < 3:
        assert time.monotonic() < deadline
    assert not running.done()
    described = shared.namespace().describe()
    assert {(row.name, row.engine, row.type) for row in described} >= {
        ("steps", 0, "int"),
        ("step", 1, "int"),
    }
    assert shared[:].pull(["step"], live=True) == {0: [0], 1: [0]}
    with pytest.raises(KeyError, match="nope"):
        shared[:].pull("nope", live=True)
    with pytest.raises(TimeoutError):
        shared[0].pull("step", timeout=0.1)  # behind the loop
    shared[:].push({"step": 42}, live=True)
    assert running.result(DEADLINE) == {0: 42, 1: 42}


def test_large_values_are_read_and_written_live(shared: Cluster) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000)
    shared[0].push({"array": array}, live=True)
    assert (shared[0].pull("array", live=True) == array).all()


# -- namespaces -------------------------------------------------------------------------------


def test_a_named_namespace_is_apart(shared: Cluster) -> None:
    shared[:]["x"] = "kernel's"
    add = of_a_notebook("def add(): return x + y")
    names = shared.namespace("exp1")
    names["x"] = 1
    names.push({"y": 2})
    assert names["x"] == {0: 1, 1: 1}
    assert shared[0]["x"] == "kernel's"
    assert names.keys() == {0: ["x", "y"], 1: ["x", "y"]}
    assert shared.namespace("exp1", on=0)["x"] == 1
    assert shared.namespace("exp1", on=0).keys() == ["x", "y"]
    assert shared.options(namespace="exp1", on=1).submit(add).result(DEADLINE) == 3
    del names["y"]
    assert names.keys()[0] == ["x"]
    names.clear()
    assert names.keys() == {0: [], 1: []}
    assert shared[0]["x"] == "kernel's"
    with pytest.raises(KeyError, match="'x'"):
        names["x"]


def test_what_engines_have_is_described_and_compared(shared: Cluster) -> None:
    shared[:]["same"] = [1, 2]
    shared[0]["only"] = 1.5
    shared[0]["unlike"] = "a"
    shared[1]["unlike"] = 2
    names = shared.namespace()
    described = names.describe()
    assert [(row.name, row.engine) for row in described if row.name == "same"] == [("same", 0), ("same", 1)]
    assert repr(described).splitlines()[0].split() == ["name", "engine", "type", "shape", "bytes", "value"]
    assert "<b>engine 1</b>" in described._repr_html_()
    different = dict(names.diff())
    assert set(different) == {"only", "unlike"}
    assert different["only"][1] == "missing"
    assert "engine 0" in repr(names.diff())
    shared[1]["only"] = 1.5
    del shared[:]["unlike"]
    assert repr(names.diff()).splitlines()[-1].startswith("every engine has the same names")


@pytest.mark.parametrize("name", ["a b", "1", "class", 3])
def test_a_namespace_has_a_name_that_can_be(shared: Cluster, name: Any) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a namespace"):
        shared.namespace(name)


def test_targets_that_do_not_exist_are_refused_at_once(shared: Cluster) -> None:
    with pytest.raises(UnknownTarget, match="there is no engine 9"):
        shared[9]["x"] = 1
    with pytest.raises(UnknownTarget):
        shared.namespace(on="gpu").keys()


def test_a_kernel_without_names_of_python_is_refused(bash_kernel: str) -> None:
    with Cluster(1, name="mixed") as cluster:
        cluster.add(1, kernel=bash_kernel)
        for attempt in (
            lambda: cluster[:].push({"x": 1}),
            lambda: cluster[1].apply(int),
            lambda: cluster.options(on=1).submit(int),
            lambda: cluster[1].scatter("x", [1]),
            lambda: cluster[1].pull("x", live=True),
        ):
            with pytest.raises(NotSupported, match=r"engine 1 runs the kernel 'bash' \(bash\)"):
                attempt()
        cluster.namespace()["x"] = 1  # all that run Python
        assert cluster["python"]["x"] == {0: 1}
        assert [cluster.submit(int).result(DEADLINE) for _ in range(5)] == [0] * 5


def test_small_values_never_overtake_what_was_sent_before(shared: Cluster) -> None:
    view = shared[0]
    view["x"] = 0
    for number in range(1, 50):
        view.execute(f"x = {number}; y = x", wait=False)
        assert view["x"] == number  # behind the cell, though that was not waited for
        view["x"] = -number
        future = view.submit(lambda: None)
        assert view.apply(lambda value: value, Ref("x")) == -number
        assert view["y"] == number
        future.result(DEADLINE)


def test_small_values_wait_behind_a_cell_of_another_client(cluster_of_one: Cluster) -> None:
    view = cluster_of_one[0]
    view["x"] = 0
    with Cluster.connect(cluster_of_one.name) as other:
        run = other[0].execute("import time; x = 1; time.sleep(0.5); x = 2", wait=False)
        wait_until(lambda: view.pull("x", live=True) == 1, DEADLINE, "the other's cell to run")
        assert view["x"] == 2
        run.result(DEADLINE)


@pytest.fixture
def cluster_of_one() -> Iterator[Cluster]:
    """Start a cluster that others can find."""
    with Cluster(1, name="of-one") as cluster:
        yield cluster


def test_every_value_comes_as_it_is_whichever_way_it_takes(shared: Cluster) -> None:
    view, names = shared[0], shared.namespace("exp1", on=0)
    for value in (1, "text", [1, (2,)], {"a": None}, {1}, np.arange(3.0), 1j, "x" * 200_000, len):
        for place in (view, names):
            place["x"] = value
            got = place["x"]
            assert type(got) is type(value)
            assert np.array_equal(got, value) if isinstance(value, np.ndarray) else got == value
            place["x"] = 5
            assert place["x"] == 5
    with pytest.raises(UsageError, match="no identifier"):
        view["1x"] = 1
    with pytest.raises(UsageError, match="no identifier"):
        view["1x"]


def test_small_values_reach_an_engine_that_was_restarted(shared: Cluster) -> None:
    shared[:]["x"] = 1
    shared.restart(0)
    with pytest.raises(KeyError, match="x"):
        shared[0]["x"]
    shared[0]["x"] = 2
    assert shared[:]["x"] == {0: 2, 1: 1}
