"""Knows which engines live and do not answer. Ends none of them: what they compute may hold the interpreter.

An engine of ours answers on its control channel also while a cell runs. One that is stopped, or is in C code that
never lets go, does not. Kernels without that channel's thread are judged by the end of their process alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from nbcluster.controller.pool import EngineProcess
from nbcluster.transport.kernel import EngineLink

LOOK_EVERY = 10.0
"""Seconds between two questions to every engine, while somebody is connected."""

PATIENCE = 3.0
"""Seconds that an answer may take on a machine that is full."""


class Silence:
    """One question at a time is open with each engine.

    Parameters
    ----------
    engines : callable
        Gives the engines that there are.
    is_watched : callable
        Whether anybody is there who would be told.
    """

    def __init__(
        self, engines: Callable[[], Iterable[EngineProcess]], is_watched: Callable[[], bool]
    ) -> None:
        self._engines, self._is_watched = engines, is_watched
        self._loop = asyncio.get_running_loop()
        self._asked: dict[EngineProcess, tuple[float, asyncio.Task[None]]] = {}
        self._loop.call_later(LOOK_EVERY, self._look_again)

    def look(self) -> None:
        """Ask every engine that owes no answer."""
        for engine, (_, task) in list(self._asked.items()):
            if engine.ended:
                task.cancel()
                del self._asked[engine]
        for engine in self._engines():
            if engine.link is not None and engine.ready and engine.can_call and engine not in self._asked:
                task = self._loop.create_task(self._ask(engine, engine.link))
                self._asked[engine] = (time.time(), task)

    def since(self, engine: EngineProcess) -> float | None:
        """Return the epoch second since which an engine is silent; None when it is not."""
        asked = self._asked.get(engine)
        return asked[0] if asked is not None and time.time() - asked[0] > PATIENCE else None

    async def _ask(self, engine: EngineProcess, link: EngineLink) -> None:
        await link.ask("control", "kernel_info_request", {})
        self._asked.pop(engine, None)

    def _look_again(self) -> None:
        if self._is_watched():
            self.look()
        self._loop.call_later(LOOK_EVERY, self._look_again)
