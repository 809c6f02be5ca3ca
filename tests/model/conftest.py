"""Searches take the time that they take: on a busy machine several times what they take on an idle one."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIMIT = 900
"""Seconds, in place of the limit of other tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give what is here its own limit."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.timeout(LIMIT))
