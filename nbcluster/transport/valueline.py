"""A connection to a door: whom it believes. Knows no sockets."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from msgspec import DecodeError, msgpack

from nbcluster.errors import AuthenticationError
from nbcluster.protocol.offers import NotThere, Offer, ShippingReply, ShippingRequest
from nbcluster.transport.frames import Buffer, Frames
from nbcluster.transport.landing import Landing, NotFetched

CONNECTING = 3.0
"""Seconds that a connection may take until it stands."""

LOOK = 0.5
"""Seconds between two looks whether the value is still wanted."""

_replies = msgpack.Decoder(ShippingReply)
_encoder = msgpack.Encoder()


class Line(ABC):
    """One connection. It does not come back by itself: what is behind the address then might be another process.

    Parameters
    ----------
    offer : Offer
    is_wanted : callable
        Whether somebody still waits for the value.
    remember : int
        Replies among which a replay is noticed.
    """

    def __init__(self, offer: Offer, is_wanted: Callable[[], bool], *, remember: int) -> None:
        self._offer = offer
        self._is_wanted = is_wanted
        self._frames = Frames(offer.ticket, remember=remember)
        self._nonce = secrets.token_bytes(16)

    @abstractmethod
    def bring(self, landing: Landing) -> None:
        """Bring what has not come yet; may raise Broken at any place."""

    @abstractmethod
    def close(self) -> None:
        """End the connection."""

    def _request(self, request: ShippingRequest) -> list[Buffer]:
        """Return the frames of a request."""
        signed = self._frames.pack(type(request).__name__, _encoder.encode(request))[1]
        return [self._offer.task.encode(), *signed]

    def _check(self, frames: Sequence[bytes]) -> ShippingReply:
        """Return a reply that can be believed."""
        if len(frames) == 1:
            raise NotFetched(f"{self._offer.url} refused the ticket")
        try:
            reply: ShippingReply = _replies.decode(self._frames.unpack(frames).content)
        except (AuthenticationError, DecodeError) as error:
            raise NotFetched(f"{self._offer.url} does not hold the ticket of its offer: {error}") from error
        if reply.nonce != self._nonce:
            raise NotFetched(f"{self._offer.url} answers to another connection")
        if isinstance(reply, NotThere):
            raise NotFetched(reply.reason)
        return reply
