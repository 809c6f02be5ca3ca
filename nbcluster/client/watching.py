"""What a client is told of its own work while somebody looks: the board, and who hears of a new one. Draws nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from nbcluster.core.board import Board
from nbcluster.errors import NBClusterError
from nbcluster.protocol.feed import WatchWork, WorkTold

Listener = Callable[[Board], None]


class Watching:
    """The feed of one connected client, shared by all who look at it. On the client's loop.

    Parameters
    ----------
    ask : callable
        Sends a WatchWork and returns when the controller has answered.
    tell : callable
        Sends one without waiting.
    """

    def __init__(
        self, ask: Callable[[WatchWork], Awaitable[object]], tell: Callable[[WatchWork], None]
    ) -> None:
        self._ask, self._tell = ask, tell
        self._listeners: list[Listener] = []
        self._is_asked = False
        self.board = Board()
        """As last told."""

    async def begin(self, listener: Listener) -> None:
        """Tell a listener of each new board, from now on; it must not wait."""
        self._listeners.append(listener)
        try:
            await self._ask(WatchWork())
        except BaseException:
            self._listeners.remove(listener)
            raise

    async def end(self, listener: Listener) -> Board:
        """Tell a listener no more; return the board as it is now. Without listeners the feed ends."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            with suppress(NBClusterError, TimeoutError):  # the board is what was told before that
                await self._ask(WatchWork(on=bool(self._listeners)))
        return self.board

    def close(self, why: str) -> None:
        """Nothing more will be told: who looks hears why."""
        self.board = self.board.end(why)
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(self.board)

    def handle(self, told: WorkTold) -> None:
        """Take a message of the feed. When one is missing, everything is asked for again."""
        self.board = self.board.apply(told)
        if not self.board.is_behind:
            self._is_asked = False
        elif not self._is_asked:
            self._is_asked = True
            self._tell(WatchWork())
        for listener in list(self._listeners):
            listener(self.board)
