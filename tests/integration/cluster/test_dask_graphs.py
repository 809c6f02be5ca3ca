"""Dask's collections and Dask's own tests, computed by `cluster.get` on real engines."""

from __future__ import annotations

import importlib
import inspect
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pandas as pd
import pytest
from dask.utils_test import GetFunctionTestMixin

from nbcluster import AsyncCluster, Cluster, current_cluster
from nbcluster.errors import CycleError, NotSerializable, UnknownKey
from nbcluster.testing.waiting import wait_until

DEADLINE = 20.0


@pytest.fixture(autouse=True)
def no_string_dtype_of_arrow() -> Iterator[None]:
    """Have frames of Dask as pandas has them, with or without pyarrow."""
    with dask.config.set({"dataframe.convert-string": False}):
        yield


class TestGet(GetFunctionTestMixin):
    """Dask's specification of a scheduler, as its tests have it."""

    @pytest.fixture(autouse=True)
    def get_of_a_cluster(self, shared: Cluster) -> None:
        self.get = shared.get


_SHARES_MEMORY = "its tasks write to objects of this process, which only threads can"
_LOCAL = "asks for what only the schedulers of one process have: callbacks, warnings, the same object back"

EXCLUDED = {
    "dask.tests.test_threaded": {"test_broken_callback": _LOCAL},
    "dask.tests.test_delayed": {"test_traverse_false": _LOCAL},
    "dask.bag.tests.test_bag": {},
    "dask.array.tests.test_overlap": {},
    "dask.array.tests.test_array_core": {
        "test_store_delayed_target": _SHARES_MEMORY,
        "test_store": _SHARES_MEMORY,
        "test_store_regions": _SHARES_MEMORY,
        "test_store_compute_false": _SHARES_MEMORY,
        "test_memmap": _SHARES_MEMORY,
    },
}
"""Modules of Dask's tests, of which all are run that need no fixture and no mark; what is left out, and why."""

LEAST = {
    "dask.tests.test_threaded": 5,
    "dask.tests.test_delayed": 30,
    "dask.bag.tests.test_bag": 80,
    "dask.array.tests.test_overlap": 25,
    "dask.array.tests.test_array_core": 180,
}
"""So many of each module are run at least: what a new version of Dask leaves of them is to be noticed."""


def plain_tests(module: Any) -> dict[str, Callable[[], object]]:
    """Return the tests of a module that are functions without fixtures and marks."""
    return {
        name: test
        for name, test in vars(module).items()
        if name.startswith("test_")
        and inspect.isfunction(test)
        and not inspect.signature(test).parameters
        and not getattr(test, "pytestmark", ())
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", EXCLUDED)
def test_dasks_own_tests(
    name: str, shared: Cluster, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    gets = 0
    for mark in ("slow", "network", "gpu", "array_expr", "normal_and_array_expr"):
        request.config.addinivalue_line("markers", f"{mark}: of Dask's tests")

    def get(dsk: Any, keys: Any, **options: Any) -> Any:
        nonlocal gets
        gets += 1
        return shared.get(dsk, keys, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip(name, reason="this Dask comes without its tests")
    tests = plain_tests(module)
    if hasattr(module, "get"):
        monkeypatch.setattr(module, "get", get)
    assert EXCLUDED[name].keys() <= tests.keys()
    failed, passed = {}, 0
    for each, test in tests.items():
        if each in EXCLUDED[name]:
            continue
        with dask.config.set(scheduler=get), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                test()
            except pytest.skip.Exception:
                continue
            except Exception as error:
                failed[each] = error
            else:
                passed += 1
    assert failed == {}
    assert passed >= LEAST[name]
    assert gets > 0


# -- collections ------------------------------------------------------------------------------


def test_arrays(shared: Cluster) -> None:
    x = da.random.default_rng(1).random((400, 400), chunks=(100, 100))
    asked = (x @ x.T + x.mean(axis=0)).sum()
    assert np.isclose(asked.compute(scheduler=shared.get), asked.compute(scheduler="sync"))
    mine = np.arange(250_000.0).reshape(500, 500)
    assert (da.from_array(mine, chunks=(50, 500)) + 1).sum().compute(scheduler=shared.get) == (mine + 1).sum()


def test_frames(shared: Cluster) -> None:
    import dask.dataframe as dd

    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"kind": rng.choice(list("abc"), 1000), "value": rng.normal(size=1000)})
    names = pd.DataFrame({"kind": list("abc"), "name": ["one", "two", "three"]})
    asked = (
        dd.from_pandas(frame, npartitions=7)
        .merge(names, on="kind")
        .groupby("name")
        .value.agg(["mean", "size"])
    )
    with dask.config.set(scheduler=shared.get):
        found = asked.compute().sort_index()
    expected = frame.merge(names, on="kind").groupby("name").value.agg(["mean", "size"]).sort_index()
    pd.testing.assert_frame_equal(found, expected, check_index_type=False, check_names=False)


def test_bags_and_delayed_functions_of_a_notebook(shared: Cluster) -> None:
    counted = db.from_sequence(["a", "b", "a", "c", "a"], npartitions=3).frequencies()
    assert dict(counted.compute(scheduler=shared.get)) == {"a": 3, "b": 1, "c": 1}
    factor = 3
    parts = [dask.delayed(lambda number: number * factor)(number) for number in range(5)]
    total = dask.delayed(sum)(parts)
    assert dask.compute(total, parts[1], scheduler=shared.get) == (30, 3)


def test_a_collection_that_is_kept_here_is_computed_from(shared: Cluster) -> None:
    kept = (da.arange(100, chunks=10) ** 2).persist(scheduler=shared.get)
    assert kept.sum().compute(scheduler=shared.get) == (np.arange(100) ** 2).sum()


# -- what is kept, nested, refused ------------------------------------------------------------


def kept_values() -> int:
    """How many values this engine keeps for calls."""
    import gc

    from nbcluster.engine.store import Store

    return sum(len(thing) for thing in gc.get_objects() if type(thing) is Store)


def large(number: int) -> np.ndarray[Any, Any]:
    return np.full(50_000, number)


def test_values_between_do_not_stay(shared: Cluster) -> None:
    before = sum(shared[:].apply(kept_values).values())
    graph: dict[Any, Any] = {("x", number): (large, number) for number in range(20)}
    graph |= {("y", number): (np.add, ("x", number), ("x", (number + 1) % 20)) for number in range(20)}
    graph["sum"] = (sum, [(np.sum, ("y", number)) for number in range(20)])
    assert shared.get(graph, "sum") == 2 * 50_000 * sum(range(20))
    kept = shared.submit(large, 1)
    kept.result(DEADLINE)
    wait_until(
        lambda: sum(shared[:].apply(kept_values).values()) == before + 1, DEADLINE, "values to be let go"
    )


def test_a_graph_within_a_task_of_a_graph(shared: Cluster) -> None:
    def inner(number: int) -> int:
        graph = {"x": number, "y": (abs, "x"), "z": (sum, ["x", "y", 1])}
        return int(current_cluster().get(graph, "z"))

    graph: dict[Any, Any] = {("i", number): (inner, number) for number in range(6)}
    graph["sum"] = (sum, [("i", number) for number in range(6)])
    assert shared.get(graph, "sum") == sum(2 * number + 1 for number in range(6))


def test_what_cannot_be_run_is_refused_by_name(shared: Cluster) -> None:
    with pytest.raises(CycleError, match=r"'x' needs 'y' needs 'x'|'y' needs 'x' needs 'y'"):
        shared.get({"x": (abs, "y"), "y": (abs, "x")}, "x")
    with pytest.raises(UnknownKey, match="'nope'"):
        shared.get({"x": 1}, ["x", "nope"])
    lock = threading.Lock()
    with pytest.raises(NotSerializable, match="lock"):
        shared.get({"x": (lambda: lock,)}, "x")


def test_an_error_is_the_tasks_own_and_what_waits_is_cancelled(shared: Cluster) -> None:
    def fail(number: int) -> None:
        raise ArithmeticError(f"no luck with {number}")

    graph: dict[Any, Any] = {"x": (large, 1), "bad": (fail, 7), "sum": (np.add, "x", "bad")}
    with pytest.raises(ArithmeticError, match="no luck with 7"):
        shared.get(graph | {"last": (np.sum, "sum")}, "last")
    assert shared.get(graph, "x")[0] == 1


def test_an_asynchronous_program_computes_graphs(world: Any) -> None:
    import asyncio

    async def story() -> Any:
        async with AsyncCluster(1, name="dask") as cluster:
            return await cluster.get({"x": 4, "y": (pow, "x", 2)}, ["y", "x"])

    assert asyncio.run(story()) == (16, 4)


def test_importing_the_client_does_not_import_dask() -> None:
    assert importlib.util.find_spec("nbcluster.integrations.dask") is not None
    import subprocess
    import sys

    code = "import sys, nbcluster.client.cluster, nbcluster.integrations.nodes; print('dask' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.strip() == "False"
