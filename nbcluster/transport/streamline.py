"""A connection to a `streamdoor`: the rest of a value, received where it stays, or opened into there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from nbcluster.protocol.offers import Offer, RestFollows, SealedUp, SealUp, SendRest
from nbcluster.transport.conversations import Conversation, Plain
from nbcluster.transport.framing import Malformed
from nbcluster.transport.landing import Broken, Landing, NotFetched, Unwanted
from nbcluster.transport.plainsockets import connect, limit_waits, watch_for_cuts
from nbcluster.transport.valueline import CONNECTING, LOOK, Line

LARGEST_REPLY = 65_536
"""Bytes of a reply that are taken."""

SILENCE = 10.0
"""Seconds in which something must come; what has come is not asked for again."""

SEALED_SILENCE = 60.0
"""The same where values are sealed: for each record the other end needs its interpreter, which C code may hold. The
network is watched by the system meanwhile."""


class StreamLine(Line):
    """See Line.

    Raises
    ------
    Broken
        When nobody listens there.
    """

    def __init__(self, offer: Offer, is_wanted: Callable[[], bool]) -> None:
        super().__init__(offer, is_wanted, remember=2)
        if not is_wanted():
            raise Unwanted
        try:
            self._socket = connect(offer.url, CONNECTING)
        except OSError as error:
            raise Broken(f"the connection cannot be made ({error})") from error
        except ValueError as error:
            raise NotFetched(f"{offer.url} is no address: {error}") from error
        limit_waits(self._socket, receive=LOOK, send=CONNECTING)
        if offer.is_sealed:
            watch_for_cuts(self._socket)

    def bring(self, landing: Landing) -> None:
        """Bring what has not come yet; may raise Broken at any byte."""
        try:
            talk: Conversation = Plain(self._socket, self._wait)
            if self._offer.is_sealed:
                talk = self._seal(talk)
            talk.send(self._request(SendRest(self._nonce, landing.at)))
            reply = self._check(talk.receive(LARGEST_REPLY))
            if not isinstance(reply, RestFollows):
                raise NotFetched(f"no value came from {self._offer.url}, but {type(reply).__name__}")
            if reply.nbytes != landing.missing:
                raise NotFetched(f"{reply.nbytes} bytes would come, where {landing.missing} were due")
            talk.take(landing)
        except Malformed as error:
            raise NotFetched(f"{self._offer.url} does not hold the ticket of its offer: {error}") from error
        except OSError as error:
            raise Broken(str(error)) from error

    def _seal(self, talk: Conversation) -> Conversation:
        """Agree on keys; return what goes on under them."""
        # Imported here: it takes its time, and within a host nobody needs it.
        from nbcluster.transport import sealing
        from nbcluster.transport.sealedtalk import Sealed

        pair = sealing.KeyPair()
        talk.send(self._request(SealUp(self._nonce, pair.public)))
        reply = self._check(talk.receive(LARGEST_REPLY))
        if not isinstance(reply, SealedUp):
            raise NotFetched(f"no key came from {self._offer.url}, but {type(reply).__name__}")
        told = sealing.told(self._offer.task, self._nonce, pair.public, reply.key)
        ours, theirs = pair.keys(reply.key, self._offer.ticket, told)
        return Sealed(self._socket, sealing.Sealer(ours), sealing.Opener(theirs), self._wait)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _wait(self) -> None:
        """Wait until something is there."""
        limit = SEALED_SILENCE if self._offer.is_sealed else SILENCE
        until = time.monotonic() + limit
        while True:
            if not self._is_wanted():
                raise Unwanted
            try:
                self._socket.recv(1, socket.MSG_PEEK)  # nothing is there at its end as well
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Broken(f"nothing has come for {limit:g} s") from None
