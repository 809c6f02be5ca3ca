"""A connection to a `streamdoor`: the rest of a value, received where it stays."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from nbcluster.protocol.offers import Offer, RestFollows, SendRest
from nbcluster.transport.framing import Malformed
from nbcluster.transport.landing import Broken, Landing, NotFetched, Unwanted
from nbcluster.transport.plainsockets import connect, limit_waits, receive_message, send_message
from nbcluster.transport.valueline import CONNECTING, LOOK, Line

PIECE = 16 << 20
"""Bytes received in one go: between two of them it is looked whether the value is still wanted."""

LARGEST_REPLY = 65_536
"""Bytes of a reply that are taken."""

SILENCE = 10.0
"""Seconds in which something must come; what has come is not asked for again."""


class StreamLine(Line):
    """See Line.

    Raises
    ------
    Broken
        When nobody listens there.
    """

    def __init__(self, offer: Offer, is_wanted: Callable[[], bool]) -> None:
        super().__init__(offer, is_wanted, remember=1)
        if not is_wanted():
            raise Unwanted
        try:
            self._socket = connect(offer.url, CONNECTING)
        except OSError as error:
            raise Broken(f"the connection cannot be made ({error})") from error
        except ValueError as error:
            raise NotFetched(f"{offer.url} is no address: {error}") from error
        limit_waits(self._socket, receive=LOOK, send=CONNECTING)

    def bring(self, landing: Landing) -> None:
        """Bring what has not come yet; may raise Broken at any byte."""
        try:
            send_message(self._socket, self._request(SendRest(self._nonce, landing.at)))
            self._wait()
            reply = self._check(receive_message(self._socket, LARGEST_REPLY))
            if not isinstance(reply, RestFollows):
                raise NotFetched(f"no value came from {self._offer.url}, but {type(reply).__name__}")
            if reply.nbytes != landing.missing:
                raise NotFetched(f"{reply.nbytes} bytes would come, where {landing.missing} were due")
            while landing.missing:
                self._wait()
                room = landing.room[:PIECE]
                count = self._socket.recv_into(room, len(room), socket.MSG_WAITALL)
                if not count:
                    raise Broken("the connection ended")
                landing.took(count)
        except Malformed as error:
            raise NotFetched(f"{self._offer.url} does not hold the ticket of its offer: {error}") from error
        except OSError as error:
            raise Broken(str(error)) from error

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _wait(self) -> None:
        """Wait until something is there."""
        until = time.monotonic() + SILENCE
        while True:
            if not self._is_wanted():
                raise Unwanted
            try:
                self._socket.recv(1, socket.MSG_PEEK)  # nothing is there at its end as well
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Broken(f"nothing has come for {SILENCE:g} s") from None
