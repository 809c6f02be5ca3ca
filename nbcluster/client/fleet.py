"""The engines of a cluster as this client was told of them, and waits for what they become. Sends nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from nbcluster.errors import LauncherError, NBClusterError
from nbcluster.ids import EngineNumber
from nbcluster.protocol import messages as m

READY = ("idle", "busy")

ReadLog = Callable[[int, int], Awaitable[str]]
"""Reads the last lines of an engine's log."""


def is_ready(engine: m.EngineStatus) -> bool:
    """Whether it has answered and lives."""
    return engine.state in READY


class Fleet:
    """What is known of the engines, kept by notices; every wait ends with the loss of the controller too."""

    def __init__(self) -> None:
        self.by_number: dict[EngineNumber, m.EngineStatus] = {}
        self.version = 0
        """Changes whenever other engines may be meant or able than before."""
        self._changed = asyncio.Event()
        self._lost: NBClusterError | None = None

    @property
    def engines(self) -> list[m.EngineStatus]:
        """The engines, by number."""
        return [self.by_number[number] for number in sorted(self.by_number)]

    def replace(self, engines: Sequence[m.EngineStatus]) -> None:
        """Take a full account."""
        self.by_number = {engine.number: engine for engine in engines}
        self.version += 1
        self._changed.set()

    def changed(self, engine: m.EngineStatus, *, gone: bool) -> None:
        """Take the news of one engine."""
        before = self.by_number.get(engine.number)
        if gone:
            self.by_number.pop(engine.number, None)
        else:
            self.by_number[engine.number] = engine
        if gone or before is None or _place_of(before) != _place_of(engine):
            self.version += 1
        self._changed.set()

    def lose(self, error: NBClusterError) -> None:
        """End every wait with an error."""
        self._lost = error
        self._changed.set()

    async def wait_for(self, n: int, timeout: float) -> list[m.EngineStatus]:
        """Wait until n engines are ready."""
        deadline = time.monotonic() + timeout
        while len(ready := [engine for engine in self.engines if is_ready(engine)]) < n:
            if not await self._wait_change(deadline - time.monotonic()):
                states = ", ".join(f"{engine.number} {engine.state}" for engine in self.engines) or "none"
                raise TimeoutError(f"{len(ready)} of {n} engines were ready after {timeout:g} s ({states})")
        return ready

    async def _wait_change(self, seconds: float) -> bool:
        if self._lost is not None:
            raise self._lost
        self._changed.clear()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._changed.wait()
        except TimeoutError:
            return False
        if self._lost is not None:
            raise self._lost
        return True

    async def wait_ready(
        self,
        numbers: Sequence[int],
        timeout: float,
        read_log: ReadLog,
        after: Mapping[EngineNumber, int] | None = None,
    ) -> None:
        """Wait until engines answer; those of `after` in a later incarnation than there.

        Raises
        ------
        LauncherError
            When one fails or does not answer in time; the message holds its last words.
        """
        deadline = time.monotonic() + timeout
        while True:
            waiting = []
            for number in map(EngineNumber, numbers):
                engine = self.by_number.get(number)
                fresh = engine is not None and (after is None or engine.incarnation != after.get(number))
                if engine is not None and fresh and engine.state == "failed":
                    raise LauncherError(f"engine {number} did not start: {engine.note}")
                if engine is None or not is_ready(engine) or not fresh:
                    waiting.append(number)
            if not waiting:
                return
            if not await self._wait_change(deadline - time.monotonic()):
                words = await read_log(waiting[0], 20)
                raise LauncherError(
                    f"engines {', '.join(map(str, waiting))} did not answer within {timeout:g} s"
                    + (f"; the log of engine {waiting[0]} ends:\n{words}" if words else "")
                )

    async def wait_gone(self, numbers: Sequence[int], timeout: float) -> None:
        """Wait until engines have left."""
        deadline = time.monotonic() + timeout
        while left := [number for number in numbers if EngineNumber(number) in self.by_number]:
            if not await self._wait_change(deadline - time.monotonic()):
                raise LauncherError(f"engines {left} did not end within {timeout:g} s")


def _place_of(engine: m.EngineStatus) -> tuple[object, ...]:
    """What decides whether work may go there; whether it is busy does not."""
    state = "ready" if is_ready(engine) else engine.state
    kernel = (engine.kernel, engine.language, engine.can_call, engine.python)
    return engine.incarnation, state, kernel, engine.host, engine.tags, engine.resources
