"""A controller in memory, as the tests of the client have it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def memory_peer() -> Any:
    """Load what the tests of the client share, once."""
    if "memory_peer" not in sys.modules:
        file = Path(__file__).parent.parent / "client/memory_peer.py"
        spec = importlib.util.spec_from_file_location("memory_peer", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["memory_peer"] = module
        spec.loader.exec_module(module)
    return sys.modules["memory_peer"]


@pytest.fixture
def memory() -> Iterator[Any]:
    """Run a loop with a controller in memory, and end it with the test."""
    made = memory_peer().Loop()
    yield made
    made.close()
