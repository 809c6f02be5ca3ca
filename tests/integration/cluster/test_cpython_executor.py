"""CPython's own tests of executors, wait and as_completed, with bodies unmodified, run against `cluster.executor()`.

Their file is read from Debian's libpython3.11-testsuite. What is left out is in one table, with the reason.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nbcluster import Cluster

MODULE = "cpython_test_concurrent_futures"
LIBRARY = Path("/usr/lib/python3.11")
FILE = LIBRARY / "test/test_concurrent_futures.py"

MIXINS = ("ExecutorTest", "WaitTests", "AsCompletedTests", "ExecutorShutdownTest", "ProcessPoolExecutorTest")

_OWN_PROGRAM = "its program, a text, imports a pool of the standard library by name"
_PROCESS_POOL = "looks into ProcessPoolExecutor: its processes, locks, limits or exceptions"

EXCLUDED = {
    "ExecutorTest.test_max_workers_negative": "there are as many workers as engines, and no max_workers to refuse",
    "ExecutorShutdownTest.test_interpreter_shutdown": _OWN_PROGRAM,
    "ExecutorShutdownTest.test_submit_after_interpreter_shutdown": _OWN_PROGRAM,
    "ExecutorShutdownTest.test_hang_gh83386": _OWN_PROGRAM,
    "ProcessPoolExecutorTest.test_max_workers_too_large": _PROCESS_POOL,
    "ProcessPoolExecutorTest.test_killed_child": _PROCESS_POOL,
    "ProcessPoolExecutorTest.test_traceback": _PROCESS_POOL,
    "ProcessPoolExecutorTest.test_ressources_gced_in_workers": _PROCESS_POOL,
    "ProcessPoolExecutorTest.test_saturation": _PROCESS_POOL,
    "ProcessPoolExecutorTest.test_idle_process_reuse_one": _PROCESS_POOL,
    "ProcessPoolExecutorTest.test_idle_process_reuse_multiple": _PROCESS_POOL,
    "ProcessPoolExecutorTest.test_max_tasks_per_child": _PROCESS_POOL,
    "ProcessPoolExecutorTest.test_max_tasks_per_child_defaults_to_spawn_context": _PROCESS_POOL,
    "ProcessPoolExecutorTest.test_max_tasks_early_shutdown": _PROCESS_POOL,
}
"""What is not run, and why."""


def names_of_tests() -> list[str]:
    """Return the tests of the mixins, as `Mixin.test`, without importing them."""
    if not FILE.exists():
        return []
    return [
        f"{kind.name}.{function.name}"
        for kind in ast.parse(FILE.read_text()).body
        if isinstance(kind, ast.ClassDef) and kind.name in MIXINS
        for function in kind.body
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
    ]


NAMES = names_of_tests()


@pytest.fixture(scope="module")
def cpython(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Load CPython's file under a name that engines can import too."""
    directory = tmp_path_factory.mktemp("cpython")
    (directory / f"{MODULE}.py").symlink_to(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(directory)])
        if importlib.util.find_spec("test.support") is None:
            patch.setattr(sys, "path", [*sys.path, str(LIBRARY)])
        yield importlib.import_module(MODULE)
        del sys.modules[MODULE]


@pytest.fixture(scope="module")
def engines_that_know_it(cpython: ModuleType, shared_cluster: Cluster) -> Cluster:
    """Start the cluster after the path is set: engines look where their client does."""
    return shared_cluster


@pytest.mark.skipif(not NAMES, reason="needs CPython's tests (Debian: libpython3.11-testsuite)")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in EXCLUDED] or ["none"])
def test_cpythons_test(name: str, cpython: ModuleType, engines_that_know_it: Cluster) -> None:
    mixin, _, method = name.partition(".")

    def make_executor(max_workers: int) -> Any:
        return engines_that_know_it.executor()

    class Case(cpython.ExecutorMixin, getattr(cpython, mixin), cpython.BaseTestCase):  # type: ignore[misc]  # known when it runs
        executor_type = staticmethod(make_executor)

    result = unittest.TestResult()
    Case(method).run(result)
    assert result.testsRun == 1
    said = [text for _, text in (*result.errors, *result.failures)]
    assert said == []
    assert result.skipped == []


@pytest.mark.skipif(not NAMES, reason="needs CPython's tests (Debian: libpython3.11-testsuite)")
def test_what_is_left_out_exists_and_is_less_than_what_is_run() -> None:
    assert set(EXCLUDED) <= set(NAMES)
    assert len(NAMES) - len(EXCLUDED) >= 25
