"""What runs a batch of joblib, and finds its arrays. It is read on engines too: importing this loads nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class RunBatch:
    """Runs a batch of joblib: there is one for each function, so that the scheduler learns how long it takes.

    Parameters
    ----------
    kind : str
        The name of the function.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, batch: Callable[[], list[Any]]) -> list[Any]:
        """Return the results of all calls of a batch."""
        return batch()


class Dumped:
    """Stands for a value that joblib has dumped to a file of this host: unpickles as that value, its arrays mapped."""

    def __init__(self, path: str, mmap_mode: str | None) -> None:
        self.path, self.mmap_mode = path, mmap_mode

    def __reduce__(self) -> Any:
        return load_dumped, (self.path, self.mmap_mode)


def load_dumped(path: str, mmap_mode: str | None) -> Any:
    """Return what is in a file of joblib."""
    import joblib

    return joblib.load(path, mmap_mode=mmap_mode)


class Mapped:
    """Stands for an array that is mapped from a file of this host: unpickles as the same part of that file."""

    def __init__(self, array: Any, root: Any) -> None:
        start = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        mode = "r+" if root.mode in ("w+", "r+") else root.mode
        self._place = str(root.filename), array.dtype, mode, root.offset + start, array.shape, order

    def __reduce__(self) -> Any:
        return load_mapped, self._place


def load_mapped(path: str, dtype: Any, mode: Any, offset: int, shape: tuple[int, ...], order: Any) -> Any:
    """Map a part of a file."""
    import numpy as np

    return np.memmap(path, dtype=dtype, mode=mode, offset=offset, shape=shape, order=order)
