"""Keeps a picture of a client's work true while somebody sees it: `cluster.ui()` in a page. Draws nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from html import escape
from typing import Any

from nbcluster.client.worknow import WorkNow
from nbcluster.core.board import Board
from nbcluster.drawing.picture import Picture
from nbcluster.errors import NBClusterError
from nbcluster.notebook.audience import GRACE, Audience
from nbcluster.notebook.panelorders import read_see

WORK_TYPES = (("nbcluster.client.worknow", "WorkNow"),)

BYTES = 100_000
"""Of the task stream, a second; a large one is sent more seldom."""


class WorkDesk:
    """Watches the work of one client while its panel is seen. On the client's I/O loop.

    Parameters
    ----------
    work : WorkNow
    show : callable
        Called with the HTML of each part by name.
    """

    def __init__(self, work: WorkNow, show: Callable[[dict[str, str]], None]) -> None:
        self._of, self._show, self._board = work.of, show, work.board
        self._loop = asyncio.get_running_loop()
        self._audience = Audience()
        self._is_watched = False
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stream, self._stream_at = "", float("-inf")

    def open(self) -> None:
        """It is displayed."""
        self._audience.expect(self._loop.time())
        self._loop.call_later(GRACE, self._begin)
        self._draw("")
        self._begin()

    def take(self, content: dict[str, Any]) -> None:
        """Hear whether a view is seen; nothing else can be done there."""
        see = read_see(content)
        if see is not None:
            self._audience.hear(see.view, see.on)
            self._begin()

    async def close(self) -> None:
        """Watch no more."""
        self._audience.leave()
        await self._settle()

    def _begin(self) -> None:
        task = self._loop.create_task(self._settle())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self) -> None:
        """Watch when somebody sees it, and not otherwise."""
        async with self._turn:
            wanted = self._audience.is_there(self._loop.time())
            if wanted == self._is_watched:
                return
            self._is_watched = wanted
            try:
                if wanted:
                    await self._of.watch(self._told)
                else:
                    await self._of.unwatch(self._told)
            except (NBClusterError, TimeoutError) as error:
                self._is_watched = False
                if wanted:
                    self._draw(f"as it was last; {error}")

    def _told(self, board: Board) -> None:
        self._board = board
        if board.ended:
            self._is_watched = False
        self._draw(f"as it was last; {board.ended}" if board.ended else "live")

    def _draw(self, note: str) -> None:
        picture = Picture(self._board, is_now=True)
        parts, now = picture.parts(), self._loop.time()
        if now - self._stream_at >= len(self._stream) / BYTES:
            self._stream, self._stream_at = picture.stream(), now
        name = escape(self._of.name)
        head = f'<b>Work on “{name}”</b> <span class="nbc-dim">{escape(note)}</span>'
        slots = "".join(
            f'<div data-part="{part}"></div>' for part in ("bars", "engines", "curves", "stream", "errors")
        )
        root = (
            f'<section class="nbc-panel" aria-label="work on {name}"><div class="nbc-head" role="status" '
            f'data-part="head"></div>{slots}</section>'
        )
        shown = {part: parts[part] for part in ("bars", "engines", "curves", "errors")}
        self._show({"root": root, **shown, "head": head, "stream": self._stream})
