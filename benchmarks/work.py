"""The functions that the systems run: importable by name, so that every system sends them by reference."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any


def nothing() -> None:
    """Do nothing."""


def square(number: int) -> int:
    """Return the square: an item of a map whose own work is next to nothing."""
    return number * number


def plus_one(number: int) -> int:
    """Return the next number: a link of a chain."""
    return number + 1


def add(one: int, other: int) -> int:
    """Return the sum: a node of a tree."""
    return one + other


def mix(*numbers: int) -> int:
    """Return a number that depends on all: a node of a graph."""
    return (sum(numbers) * 31 + 7) % 1_000_003


def nap(seconds: float) -> int:
    """Sleep; return the process in which this ran, so that the caller can count and kill."""
    time.sleep(seconds)
    return os.getpid()


def hold(path: str) -> int:
    """Occupy a worker until a file exists; say by a file of one's own that it has begun."""
    Path(f"{path}.{os.getpid()}").touch()
    while not Path(path).exists():
        time.sleep(0.002)
    return os.getpid()


def spin(path: str) -> None:
    """Compute for ever in pure Python; a file says when that has begun."""
    Path(path).touch()
    number = 0
    while True:
        number += 1


def make(items: int) -> object:
    """Make an array of ones."""
    import numpy

    return numpy.ones(items)


def last(array: object) -> float:
    """Look at the last item of an array."""
    return float(array[-1])  # type: ignore[index]


def array_of_chunks(rows: int, columns: int) -> Any:
    """Return a computation of Dask on an array of so many chunks of 80 kB, each of which is needed twice."""
    import dask.array as da

    x = da.random.default_rng(1).random((100 * rows, 100 * columns), chunks=(100, 100))
    return (x - x.mean(axis=0)).std()


def search() -> float:
    """Search a small grid with scikit-learn, in whatever joblib is told to run it; return the best score."""
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    X, y = make_classification(3000, 60, n_informative=20, random_state=1)
    grid = {"C": [10.0**power for power in range(-5, 3)]}
    return float(GridSearchCV(LogisticRegression(max_iter=300), grid, cv=5).fit(X, y).best_score_)
