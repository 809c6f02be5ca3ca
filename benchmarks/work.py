"""The functions that the systems run: importable by name, so that every system sends them by reference."""

from __future__ import annotations

import os
import time
from pathlib import Path


def nothing() -> None:
    """Do nothing."""


def square(number: int) -> int:
    """Return the square: an item of a map whose own work is next to nothing."""
    return number * number


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
