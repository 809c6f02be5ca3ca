"""A client's work as it was at a moment, which knows whose it is: a notebook shows it live. Draws nothing itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from nbcluster.core.board import Board
from nbcluster.drawing.picture import Picture


class Watchable(Protocol):
    """The part of a client that is watched, on its loop."""

    @property
    def name(self) -> str:
        """The name of its cluster."""

    def watch(self, listener: Callable[[Board], None]) -> Awaitable[None]:
        """Give each new board to a callback."""

    def unwatch(self, listener: Callable[[Board], None]) -> Awaitable[Board]:
        """Give it no more."""


class WorkNow(Picture):
    """What `cluster.ui()` returns: bars, engines and the task stream, shown live in a page and as text elsewhere.

    Parameters
    ----------
    board : Board
    of : Watchable
        Whose work it is.
    """

    def __init__(self, board: Board, of: Watchable) -> None:
        super().__init__(board, is_now=True)
        self.of = of
