"""Large values that go straight from engine to engine: offered here, and fetched from others. Knows no calls.

The door is opened with the first offer. Values that lie in shared memory are read where they are mapped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from nbcluster.engine.sharing import Sharing
from nbcluster.engine.store import Buffer, Kept, Store
from nbcluster.errors import NBClusterError
from nbcluster.ids import TaskId
from nbcluster.protocol.offers import SHIPPED_FROM, SHIPPING, Offer
from nbcluster.transport.landing import NotFetched, Unwanted
from nbcluster.transport.streamdoor import StreamDoor
from nbcluster.transport.valuefetch import Fetcher

CameStraight = Callable[[Kept | NBClusterError | None], None]
"""Told the value, why it cannot be had at all, or None: it did not come this way."""


class Shipping:
    """What this engine gives to others and takes from them without the controller.

    Parameters
    ----------
    url : str
        Where to listen, see `StreamDoor`; "" for nowhere.
    store, sharing : Store, Sharing
        Where the values are.
    complain : callable
        Told in a sentence of what goes wrong.
    """

    def __init__(self, url: str, store: Store, sharing: Sharing, complain: Callable[[str], None]) -> None:
        self._url = url
        self._store = store
        self._sharing = sharing
        self._complain = complain
        self._door: StreamDoor | None = None
        self._fetcher = Fetcher()

    @classmethod
    def from_environment(cls, store: Store, sharing: Sharing, complain: Callable[[str], None]) -> Shipping:
        """Listen where the environment says; the variable is taken out of it."""
        return cls(os.environ.pop(SHIPPING, ""), store, sharing, complain)

    def offer(self, task: TaskId, kept: Kept) -> Offer | None:
        """Offer a value; None when it is small, or nobody could fetch it here."""
        if not self._url or kept.nbytes < SHIPPED_FROM:
            return None
        if self._door is None:
            try:
                self._door = StreamDoor(self._url, self._look_up, self._complain)
            except OSError as error:
                self._complain(
                    f"this engine cannot listen at {self._url} ({error}): its values go through the controller"
                )
                self._url = ""
                return None
            self._door.start()
        payload, buffers = self._sharing.send(kept, whole=True)
        return self._door.offer(task, [len(payload), *map(len, buffers)])

    def fetch(self, offer: Offer, is_wanted: Callable[[], bool], then: CameStraight) -> None:
        """Fetch a value; `then` is told on another thread, unless it is not wanted any more."""

        def came(outcome: tuple[bytes, Sequence[Buffer]] | Exception) -> None:
            if isinstance(outcome, tuple):
                then(Kept(outcome[0], tuple(outcome[1])))
            elif isinstance(outcome, NBClusterError):
                then(outcome)
            elif not isinstance(outcome, Unwanted):
                assert isinstance(outcome, NotFetched), outcome
                self._complain(f"{offer.task} is asked of the controller: {outcome}")
                then(None)

        self._fetcher.fetch(offer, is_wanted, came)

    def relieve(self) -> None:
        """Let go of memory that is kept for what comes next."""
        self._fetcher.relieve()

    def close(self) -> None:
        """Listen no more, and give up what is under way."""
        self._fetcher.close()
        if self._door is not None:
            self._door.close()

    def _look_up(self, task: str) -> tuple[bytes, Sequence[Buffer]] | None:
        kept = self._store.get(task)
        return None if kept is None else self._sharing.send(kept, whole=True)
