"""Sees to it that a cell which has ended is known to have ended. Knows nothing of what cells mean.

A reply can be stuck in a kernel whose thread for the shell channel missed a wake-up (zmq's are edge-triggered; see
ipykernel's issue 1554), until the next message on that channel. So a question is sent behind a cell that has not
answered for a while, and again at growing intervals. It waits its turn like a cell; its answer, when it comes first,
says that the cell's own is lost.
"""

from __future__ import annotations

import asyncio

from nbcluster.controller.pool import EngineProcess

FIRST_QUESTION = 1.0
"""Seconds that a cell may take before the first question is sent behind it."""

LONGEST_PAUSE = 60.0
"""Seconds between questions at the most; each is twice as long after the one before."""


class Watch:
    """One timer for each engine that runs something, none for the others."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers: dict[EngineProcess, asyncio.TimerHandle] = {}

    def begin(self, engine: EngineProcess) -> None:
        """Watch an engine that was sent a cell just now, until it has answered."""
        earlier = self._timers.pop(engine, None)
        if earlier is not None:
            earlier.cancel()
        self._wait(engine, FIRST_QUESTION)

    def _wait(self, engine: EngineProcess, pause: float) -> None:
        self._timers[engine] = self._loop.call_later(pause, self._look, engine, pause)

    def _look(self, engine: EngineProcess, pause: float) -> None:
        waiting = engine.executions.waiting()
        if waiting is None or engine.ended or engine.link is None:
            del self._timers[engine]
            return
        question = engine.link.request("shell", "kernel_info_request", {})
        engine.executions.asked_after(question, waiting)
        self._wait(engine, min(2 * pause, LONGEST_PAUSE))
