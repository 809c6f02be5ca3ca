"""Copies bytes as quickly as it can be done here. Knows no values."""

from __future__ import annotations

import sys
from typing import Any


def copied(buffer: Any) -> memoryview:
    """Return a copy of contiguous bytes that can be written to.

    By numpy where it is loaded: into large pages, which takes a quarter of the time, and while other threads run.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or not memoryview(buffer).nbytes:
        return memoryview(bytearray(buffer))
    return memoryview(numpy.frombuffer(buffer, "u1").copy())
