"""A loop on a thread of its own, with a controller in memory."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def _load(name: str) -> Any:
    # Test directories are no packages; what tests share is loaded by its file, once.
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


_load("memory_peer")


@pytest.fixture
def memory() -> Iterator[Any]:
    """Run a loop with a controller in memory, and end it with the test."""
    made = sys.modules["memory_peer"].Loop()
    yield made
    made.close()
