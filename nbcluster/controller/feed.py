"""Tells clients that watch how their work goes: a few times a second, what changed. Folds nothing itself.

A client that has said nothing for a while is told nothing, so what lies unread is bounded; when it is heard again it is
told everything.
"""

from __future__ import annotations

import asyncio
import time

from nbcluster.controller.clients import BEAT_INTERVAL, Clients
from nbcluster.controller.status import Picture
from nbcluster.controller.work import Work
from nbcluster.ids import ClientId

TELL_EVERY = 0.2
"""Seconds between two messages to a client."""

WHOLE_EVERY = 10
"""Every so many of them is a whole one: for a view that came late."""

PATIENCE = 2 * BEAT_INTERVAL
"""Seconds without a word of the client after which it is told nothing."""


class Feed:
    """Every client that watches, on the running loop.

    Parameters
    ----------
    work : Work
    clients : Clients
    picture : Picture
        Knows what engines are at.
    """

    def __init__(self, work: Work, clients: Clients, picture: Picture) -> None:
        self._work = work
        self._clients = clients
        self._picture = picture
        self._turns: dict[ClientId, int] = {}
        """Turns since each was told everything."""
        self._is_due = False

    def watch(self, client: ClientId, *, on: bool) -> None:
        """Tell a client everything now, and from now on what changes; or no more."""
        now = time.time()
        self._work.watch(client, now)
        self._tell(client, now, whole=True)
        if on:
            self._turns[client] = 0
            self._begin()
        else:
            self._turns.pop(client, None)
            self._work.unwatch(client)

    def stop_wanted(self, work: str) -> bool:
        """Tell all who watch that a wait is to be stopped; False when nobody watches."""
        for client in self._turns:
            self._work.watch(client, time.time()).stop_wanted(work)
        return bool(self._turns)

    def _begin(self) -> None:
        if not self._is_due and self._turns:
            self._is_due = True
            asyncio.get_running_loop().call_later(TELL_EVERY, self._turn)

    def _turn(self) -> None:
        self._is_due = False
        now, monotonic = time.time(), asyncio.get_running_loop().time()
        for client, turns in list(self._turns.items()):
            if client not in self._clients:
                del self._turns[client]
            elif self._clients.is_silent(client, monotonic, PATIENCE):
                self._turns[client] = WHOLE_EVERY
            else:
                whole = turns + 1 >= WHOLE_EVERY
                self._turns[client] = 0 if whole else turns + 1
                self._tell(client, now, whole=whole)
        self._begin()

    def _tell(self, client: ClientId, now: float, *, whole: bool) -> None:
        summary = self._work.watch(client, now)
        told = summary.tell(self._picture.loads(client, usage=summary.wants_sample(now)), now, whole=whole)
        if told is not None:
            self._clients.tell(client, told)
