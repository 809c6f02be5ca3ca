"""The Future of what another Future brings, put together in another form. Knows nothing of what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nbcluster.client.futures import Future

_UNMADE: Any = object()


class JoinedFuture(Future):
    """A Future whose result is made of another one's, when it is asked for.

    Parameters
    ----------
    source : Future
    make : callable
        Makes the result of the source's.
    """

    def __init__(self, source: Future, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.source, self._make = source, make
        self._made: Any = _UNMADE
        source.tell_when_done(lambda _: self._finish(failed=source._error() is not None))

    @property
    def what(self) -> str:
        """What it is the Future of, in a few words."""
        return self.source.what

    @property
    def status(self) -> str:
        """queued, running, stopping, done, failed or cancelled."""
        return self.source.status

    @property
    def engine(self) -> Any:
        """The engine or engines that it comes from."""
        return getattr(self.source, "engine", None)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that completes it, and on which it cannot be waited for."""
        return self.source.loop

    def ask_to_stop(self, reason: str, *, force: bool = False) -> None:
        """Ask that it be withdrawn or interrupted; does not wait."""
        self.source.ask_to_stop(reason, force=force)

    def _error(self) -> BaseException | None:
        return self.source._error()

    def _value(self, until: float | None) -> Any:
        if self._made is _UNMADE:
            self._made = self._make(self.source._value(until))
        return self._made

    async def _bring(self) -> None:
        await self.source._bring()
