"""Large values that come straight from the engine that made them. Knows offers; the controller is the caller's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from nbcluster.protocol.offers import Offer
from nbcluster.transport.frames import Buffer
from nbcluster.transport.landing import NotFetched, Unwanted
from nbcluster.transport.valuefetch import Fetcher

log = logging.getLogger(__name__)

Value = tuple[bytes, Sequence[Buffer]]


class Straight:
    """What one client fetches without its controller."""

    def __init__(self) -> None:
        self._fetcher = Fetcher()

    async def fetch(self, offer: Offer, is_wanted: Callable[[], bool]) -> Value | None:
        """Fetch a value; None when it cannot be had this way, or is not wanted any more.

        Raises
        ------
        NBClusterError
            When there is no memory for it here.
        """
        loop = asyncio.get_running_loop()
        arrival: asyncio.Future[Value | None] = loop.create_future()

        def came(outcome: Value | Exception) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, arrival, outcome)

        self._fetcher.fetch(offer, lambda: is_wanted() and not arrival.done(), came)
        return await arrival

    def close(self) -> None:
        """Give up what is under way."""
        self._fetcher.close()


def _settle(arrival: asyncio.Future[Any], outcome: Value | Exception) -> None:
    if arrival.done():
        return
    if isinstance(outcome, NotFetched | Unwanted):
        log.info("a value is asked of the controller: %s", outcome)
        arrival.set_result(None)
    elif isinstance(outcome, Exception):
        arrival.set_exception(outcome)
    else:
        arrival.set_result(outcome)
