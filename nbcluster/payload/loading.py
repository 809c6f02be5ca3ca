"""Says for whom bytes are being unpickled: the functions that pickles call look here. Knows no pickles."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import local
from typing import Any

from nbcluster.payload.scopes import Scope

Find = Callable[[str, bytes, dict[str, Any]], Any]
"""Returns the function or class of a digest and its bytes, for a namespace."""


@dataclass(slots=True)
class Loading:
    """One pickle that is being read."""

    namespace: dict[str, Any]
    find: Find
    digest: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    where: str = "here"
    scopes: dict[int, Scope] = field(default_factory=dict)

    def scope(self, number: int) -> Scope:
        """Return the scope of that number in this pickle."""
        if number not in self.scopes:
            self.scopes[number] = Scope(self.namespace)
        return self.scopes[number]


class _Now(local):
    loading: Loading | None = None


_now = _Now()


def home() -> dict[str, Any]:
    """Return the namespace that things belong to when none is named."""
    return vars(sys.modules["__main__"])


def now() -> Loading:
    """Return what is being read in this thread.

    Raises
    ------
    RuntimeError
        When a pickle of ours is read by something else.
    """
    if _now.loading is None:
        raise RuntimeError("these bytes are nbcluster's: read them with nbcluster.payload, not with pickle")
    return _now.loading


@contextmanager
def reading(loading: Loading) -> Iterator[Loading]:
    """What is unpickled in this block is for `loading`."""
    before = _now.loading
    _now.loading = loading
    try:
        yield loading
    finally:
        _now.loading = before
