"""Large arrays among the arguments of a batch of joblib: one file for all tasks. Knows files and no cluster."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nbcluster.integrations.batches import Dumped, Mapped
from nbcluster.payload.sizes import approximate_size

OF_ARRAYS = frozenset(("numpy", "pandas", "scipy", "polars", "xarray"))
"""Packages whose objects are made of arrays, so that a file of them can be mapped."""

DEEPEST = 3
"""Lists, tuples and dicts in each other that are looked through."""


class Shelf:
    """Files of what the tasks of one call of Parallel share, until `clear`.

    Parameters
    ----------
    max_nbytes : int or None
        From how many bytes on a value gets a file; None is never.
    mmap_mode : str or None
        How arrays are mapped: "r", "c" (copy on write), "r+"; None reads them.
    folder : str or None
        Where files go; by default where the cluster shares memory, while there is room, then the temporary directory.
    new_path : callable
        Returns the path for a file of so many bytes there, None when there is no room.
    """

    def __init__(
        self,
        max_nbytes: int | None,
        mmap_mode: str | None,
        folder: str | None,
        new_path: Callable[[int], str | None] = lambda nbytes: None,
    ) -> None:
        self._max_nbytes = max_nbytes
        self._mmap_mode = mmap_mode
        self._folder = folder
        self._new_path = new_path
        self._made: list[Callable[[], object]] = []
        """Remove the files, each one."""
        self._known: dict[int, tuple[Any, Any]] = {}
        """By id, with the value itself, whose id is no other's as long as it is here."""
        self._lock = threading.Lock()

    def lighten(self, value: Any, depth: int = DEEPEST) -> Any:
        """Return what takes the place of an argument: itself, or what stands for its large parts."""
        kind = type(value)
        if depth and kind in (list, tuple):
            parts = [self.lighten(part, depth - 1) for part in value]
            same = all(part is known for part, known in zip(parts, value, strict=True))
            return value if same else kind(parts)
        if depth and kind is dict:
            changed = {key: self.lighten(part, depth - 1) for key, part in value.items()}
            return value if all(changed[key] is value[key] for key in value) else changed
        if kind.__module__.partition(".")[0] not in OF_ARRAYS:
            return value
        if self._max_nbytes is None or approximate_size(value) < self._max_nbytes:
            return value
        with self._lock:
            known = self._known.get(id(value))
            if known is None:
                known = self._known[id(value)] = value, self._stand_in(value)
            return known[1]

    def _stand_in(self, value: Any) -> Any:
        root = _root_of(value)
        if root is not None and (value.flags.c_contiguous or value.flags.f_contiguous):
            return Mapped(value, root)
        if getattr(getattr(value, "dtype", None), "hasobject", False):
            return value  # objects cannot be mapped
        import joblib

        path, remove = self._place(approximate_size(value))
        try:
            joblib.dump(value, path)
        except Exception:
            remove()  # it may yet be sent like any other argument; if not, that says why
            return value
        self._made.append(remove)
        return Dumped(path, self._mmap_mode)

    def _place(self, nbytes: int) -> tuple[str, Callable[[], object]]:
        """Return the path of a new file, and what removes it."""
        if self._folder is not None:
            os.makedirs(self._folder, exist_ok=True)
        elif (path := self._new_path(nbytes)) is not None:
            return path, partial(Path(path).unlink, missing_ok=True)
        directory = tempfile.TemporaryDirectory(
            prefix="nbcluster-joblib-", dir=self._folder, ignore_cleanup_errors=True
        )
        return os.path.join(directory.name, "value"), directory.cleanup

    def clear(self) -> None:
        """Remove the files; who has mapped one keeps it."""
        with self._lock:
            self._known.clear()
            while self._made:
                self._made.pop()()


def _root_of(value: Any) -> Any:
    """The memmap that an array is a part of, None when it is none."""
    import numpy as np

    root = None
    while isinstance(value, np.ndarray):
        if isinstance(value, np.memmap) and getattr(value, "_mmap", None) is not None and value.filename:
            root = value
        value = value.base
    return root
