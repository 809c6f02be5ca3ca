"""Keeps the memory of a result as it is where nobody else can change it, and a copy elsewhere. Knows no tasks.

Who has a reference could write through it, so they are counted: an array that a call made and returned is let go of
with the call's frame, and then its buffer alone holds it.
"""

from __future__ import annotations

import sys
import weakref
from functools import lru_cache
from operator import le
from pickle import PickleBuffer
from typing import Any

from nbcluster.payload.copies import copied

WASTE = 1.25
"""Times the size of a buffer that the memory may have that is kept for it: of an array a small part may be returned."""


def kept(buffer: PickleBuffer) -> memoryview:
    """Return the bytes of a buffer, which nobody changes and nobody can write to through what is returned."""
    if is_alone(buffer):
        return buffer.raw().toreadonly()
    return copied(buffer.raw()).toreadonly()


def is_alone(buffer: PickleBuffer) -> bool:
    """Whether nobody but a buffer has what its bytes belong to: an array with memory of its own, or a part of one."""
    with buffer.raw() as raw:
        if type(raw.obj) is bytes:
            return True
        found = _references(raw.obj, raw.nbytes)
        return bool(found) and all(map(le, found, _references_of_one()))


def _references(owner: Any, nbytes: int) -> list[int]:
    """Count the references to an array, and to that of which it is a part; none where that does not tell."""
    numpy = sys.modules.get("numpy")
    counted = []
    while numpy is not None and type(owner) is numpy.ndarray and not weakref.getweakrefcount(owner):
        counted.append(sys.getrefcount(owner))
        if owner.base is None:
            return counted if owner.flags.owndata and owner.nbytes <= WASTE * nbytes else []
        owner = owner.base
    return []


@lru_cache(maxsize=1)
def _references_of_one() -> tuple[int, ...]:
    """Count them where there is surely no other: what the counting itself holds differs between Pythons."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return (0, 0)
    part = PickleBuffer(sys.modules["numpy"].empty(8, "u1")[:7])
    with part.raw() as raw:
        return tuple(_references(raw.obj, raw.nbytes))
