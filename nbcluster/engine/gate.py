"""Says whether a cell runs on this engine. Knows no kernel, no calls and no time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Closed while a cell runs, also while it is suspended in an `await`; cells may nest."""

    def __init__(self) -> None:
        self._cells = 0

    @property
    def closed(self) -> bool:
        """Whether a cell runs now."""
        return self._cells > 0

    @contextmanager
    def cell(self) -> Iterator[None]:
        """Keep the gate closed for the length of a cell."""
        self._cells += 1
        try:
            yield
        finally:
            self._cells -= 1
