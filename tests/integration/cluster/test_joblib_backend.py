"""joblib and scikit-learn on real engines, through the backend "nbcluster"."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_backend, parallel_config
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.svm import SVC

from nbcluster import Cluster
from nbcluster.client import current
from nbcluster.errors import NotSerializable, UsageError
from nbcluster.testing.waiting import wait_until
from nbcluster.transport.rendezvous import read_connection_file

importlib.import_module("nbcluster.integrations.joblib")  # that makes the name known

DEADLINE = 20.0


@pytest.fixture
def on_cluster(shared: Cluster) -> Iterator[Cluster]:
    """Have joblib use the cluster."""
    with parallel_config("nbcluster", cluster=shared):
        yield shared


def pids(cluster: Cluster) -> set[int]:
    return set(cluster[:].apply(os.getpid).values())


def test_calls_run_on_all_engines_and_come_in_order(on_cluster: Cluster) -> None:
    def who(number: int) -> tuple[int, int]:
        time.sleep(0.05)
        return number, os.getpid()

    found = Parallel(batch_size=1)(delayed(who)(number) for number in range(8))
    assert [number for number, _ in found] == list(range(8))
    assert {pid for _, pid in found} == pids(on_cluster)


def test_the_ways_to_ask_for_it(shared: Cluster) -> None:
    here = os.getpid()
    current.use(shared)
    with parallel_backend("nbcluster"):  # the current cluster
        assert here not in Parallel()(delayed(os.getpid)() for _ in range(4))
    with shared.joblib(priority=3, label="by hand"):
        assert here not in Parallel()(delayed(os.getpid)() for _ in range(4))
    assert shared.history(label="by hand")
    assert here not in Parallel(n_jobs=2, backend="nbcluster")(delayed(os.getpid)() for _ in range(4))
    with shared.joblib(n_jobs=1):
        assert Parallel()(delayed(os.getpid)() for _ in range(2)) == [here, here]


def test_many_small_calls_are_batched(on_cluster: Cluster) -> None:
    before = len(on_cluster.history())
    assert Parallel()(delayed(abs)(-number) for number in range(3000)) == list(range(3000))
    assert len(on_cluster.history()) - before < 1500


@pytest.mark.parametrize("return_as", ["generator", "generator_unordered"])
def test_results_as_they_come(on_cluster: Cluster, return_as: str) -> None:
    results = Parallel(return_as=return_as)(delayed(pow)(number, 2) for number in range(50))
    assert sorted(results) == [number**2 for number in range(50)]


def test_the_first_error_is_raised_and_the_rest_withdrawn(on_cluster: Cluster) -> None:
    def work(number: int) -> int:
        if number == 1:
            raise ArithmeticError("no luck with 1")
        time.sleep(60 if number > 1 else 0)
        return number

    begun = time.monotonic()
    with pytest.raises(ArithmeticError, match="no luck with 1"):
        Parallel(batch_size=1, pre_dispatch="all")(delayed(work)(number) for number in range(6))
    assert time.monotonic() - begun < 30
    assert Parallel()(delayed(abs)(-1) for _ in range(2)) == [1, 1]


def test_a_timeout_is_a_timeout(on_cluster: Cluster) -> None:
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.3)(delayed(time.sleep)(30) for _ in range(2))


def test_what_cannot_be_is_refused(on_cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0)(delayed(abs)(1) for _ in range(2))
    with pytest.raises(UsageError, match="key"), on_cluster.joblib(key="mine"):
        pass
    with pytest.raises(UsageError, match="retries"), on_cluster.joblib(retries=-1):
        Parallel()(delayed(abs)(1) for _ in range(2))
    with pytest.raises(NotSerializable, match="generator"):
        Parallel()(delayed(len)(number for number in range(2)) for _ in range(2))


# -- arrays -----------------------------------------------------------------------------------


def kind_of(array: Any, at: int = 0) -> tuple[str, bool, float]:
    return type(array).__name__, bool(array.flags.writeable), float(array[at])


def leftovers() -> list[Path]:
    return [path for place in ("/dev/shm", "/tmp") for path in Path(place).glob("nbcluster-joblib-*")]


def test_a_large_array_is_one_file_for_all_tasks(on_cluster: Cluster) -> None:
    array = np.arange(400_000.0)
    found = Parallel(batch_size=1)(delayed(kind_of)(array, at) for at in range(6))
    assert found == [("memmap", False, float(at)) for at in range(6)]
    small = Parallel(batch_size=1)(delayed(kind_of)(array[:10], at) for at in range(2))
    assert {kind for kind, *_ in small} == {"ndarray"}
    copies = Parallel(batch_size=1, mmap_mode="c")(delayed(kind_of)(array, at) for at in range(2))
    assert copies == [("memmap", True, 0.0), ("memmap", True, 1.0)]
    assert leftovers() == []


CLIENT = """
import sys, time
import joblib, numpy as np
from nbcluster import Cluster
cluster = Cluster.connect(sys.argv[1])
with cluster.joblib():
    joblib.Parallel(n_jobs=2)(joblib.delayed(lambda a: time.sleep(0.5))(np.zeros(400_000)) for _ in range(100))
"""


def test_a_killed_client_leaves_no_file_for_long(shared: Cluster) -> None:
    place = Path(read_connection_file(Path(shared._twin.calls.address[1])).shared)
    before = set(place.iterdir())
    client = subprocess.Popen([sys.executable, "-c", CLIENT, shared._twin.calls.address[1]])
    try:
        wait_until(lambda: set(place.iterdir()) - before, DEADLINE, "the file of the array")
        files = set(place.iterdir()) - before
        assert all(file.name.startswith("c") for file in files)
    finally:
        client.kill()
        client.wait()
    wait_until(lambda: not any(file.exists() for file in files), 3 * DEADLINE, "the files to be gone")
    assert leftovers() == []


def test_an_array_within_lists_and_dicts_too_and_never_with_max_nbytes_none(on_cluster: Cluster) -> None:
    array = np.ones(400_000)
    nested = Parallel(batch_size=1)(
        delayed(lambda these: kind_of(these["x"][0])[0])({"x": [array]}) for _ in range(2)
    )
    assert nested == ["memmap", "memmap"]
    plain = Parallel(batch_size=1, max_nbytes=None)(delayed(kind_of)(array) for _ in range(2))
    assert {kind for kind, *_ in plain} == {"ndarray"}


def test_an_array_that_is_mapped_already_is_mapped_there(on_cluster: Cluster, tmp_path: Path) -> None:
    def fill(part: Any, value: float) -> None:
        part[:] = value

    shared = np.memmap(tmp_path / "all", dtype=float, mode="w+", shape=(4, 200_000))
    Parallel(batch_size=1)(delayed(fill)(shared[row], row + 1.0) for row in range(4))
    assert shared[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert shared[:, -1].tolist() == [1.0, 2.0, 3.0, 4.0]


# -- nested -----------------------------------------------------------------------------------


def test_a_parallel_within_a_parallel_uses_the_cluster_too(on_cluster: Cluster) -> None:
    def inner(number: int) -> int:
        time.sleep(0.01)
        return number * 10

    def outer(number: int) -> tuple[int, str]:
        from joblib.parallel import get_active_backend

        total = sum(Parallel(n_jobs=2, batch_size=1)(delayed(inner)(number + n) for n in range(4)))
        return total, type(get_active_backend()[0]).__name__

    found = Parallel(batch_size=1)(delayed(outer)(number) for number in range(4))
    assert found == [(sum(10 * (number + n) for n in range(4)), "NBClusterBackend") for number in range(4)]


# -- scikit-learn -----------------------------------------------------------------------------


def test_cross_val_score(on_cluster: Cluster) -> None:
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500)
    there = cross_val_score(model, X, y, cv=5, n_jobs=-1)
    with parallel_config("sequential"):
        here = cross_val_score(model, X, y, cv=5)
    assert np.allclose(there, here)


def test_grid_search(on_cluster: Cluster) -> None:
    X, y = make_classification(2000, 100, random_state=0)  # 1.6 MB: a file for all
    grid = {"C": [0.1, 1.0, 10.0], "kernel": ["linear", "rbf"]}
    search = GridSearchCV(SVC(), grid, cv=3, n_jobs=-1).fit(X[:300], y[:300])
    with parallel_config("sequential"):
        alone = GridSearchCV(SVC(), grid, cv=3).fit(X[:300], y[:300])
    assert search.best_params_ == alone.best_params_
    assert np.allclose(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    forest = RandomForestClassifier(10, random_state=0, n_jobs=2)
    nested = GridSearchCV(forest, {"max_depth": [2, 4]}, cv=2, n_jobs=-1).fit(X, y)
    assert nested.best_score_ > 0.6


def test_the_name_is_unknown_until_it_is_imported() -> None:
    code = (
        "import joblib, nbcluster.client.cluster\n"
        "try:\n"
        "    joblib.parallel_config('nbcluster')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "import nbcluster.integrations.joblib\n"
        "joblib.parallel_config('nbcluster')\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Invalid backend: nbcluster" in said.stdout
