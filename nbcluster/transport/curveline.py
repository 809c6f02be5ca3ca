"""A connection to a `curvedoor`: chunks over zmq, encrypted with CurveZMQ."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import zmq
from zmq.utils.monitor import parse_monitor_message

from nbcluster.protocol.offers import CHUNK, ChunkSent, Offer, SendChunks
from nbcluster.transport.landing import Broken, Landing, NotFetched, Unwanted
from nbcluster.transport.valueline import CONNECTING, LOOK, Line

BATCH = 8
"""Chunks in one request: an engine that computes gets to it only every few milliseconds."""

WINDOW = 2 * BATCH
"""Chunks that are on their way at most, for each value."""

BEAT = 1000
SILENCE = 5000
"""Milliseconds between heartbeats, and without one after which a network counts as cut; they need no interpreter."""

OVERHEAD = 1024
"""Bytes that encryption and headers add to a frame at most."""

Context = zmq.Context[zmq.Socket[bytes]]

_ENDS = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class CurveLine(Line):
    """See Line.

    Raises
    ------
    NotFetched
        When the address is none.
    """

    def __init__(self, context: Context, offer: Offer, is_wanted: Callable[[], bool]) -> None:
        super().__init__(offer, is_wanted, remember=WINDOW)
        dealer = self._dealer = context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.RECONNECT_IVL, -1)
        dealer.setsockopt(zmq.CONNECT_TIMEOUT, int(CONNECTING * 1000))
        dealer.setsockopt(zmq.HANDSHAKE_IVL, int(CONNECTING * 1000))
        dealer.setsockopt(zmq.HEARTBEAT_IVL, BEAT)
        dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, SILENCE)
        dealer.setsockopt(zmq.RCVHWM, 2 * WINDOW)
        dealer.setsockopt(zmq.MAXMSGSIZE, CHUNK + OVERHEAD)
        dealer.curve_publickey, dealer.curve_secretkey = zmq.curve_keypair()
        dealer.curve_serverkey = offer.curve.encode()
        self._monitor = dealer.get_monitor_socket(_ENDS)
        self._poller = zmq.Poller()
        self._poller.register(dealer, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            dealer.connect(offer.url)
        except zmq.ZMQError as error:
            self.close()
            raise NotFetched(f"{offer.url} is no address that can be reached from here: {error}") from error

    def bring(self, landing: Landing) -> None:
        """Bring what has not come yet; may raise Broken at any chunk."""
        asked = landing.next
        while landing.missing:
            while asked < landing.chunks and asked - landing.next <= WINDOW - BATCH:
                count = min(BATCH, landing.chunks - asked)
                self._ask(SendChunks(self._nonce, asked, count))
                asked += count
            frames = self._receive()
            reply = self._check([frame.bytes for frame in frames[:6]])
            if not isinstance(reply, ChunkSent) or len(frames) != 7:
                raise NotFetched(f"no chunk came from {self._offer.url}, but {type(reply).__name__}")
            landing.put(reply.index, frames[6].buffer)

    def close(self) -> None:
        """End the connection."""
        self._dealer.disable_monitor()
        self._monitor.close(0)
        self._dealer.close(0)

    def _ask(self, request: SendChunks) -> None:
        try:
            self._dealer.send_multipart(self._request(request), zmq.NOBLOCK)
        except zmq.Again:
            raise Broken("the connection takes no request") from None

    def _receive(self) -> list[zmq.Frame]:
        ended = ""
        while True:
            # What came before the end is read first. A message of which the end cut off a part never comes, though zmq
            # says then for ever that something is there.
            with suppress(zmq.Again):
                return self._dealer.recv_multipart(zmq.NOBLOCK, copy=False)
            if ended:
                raise Broken(ended)
            ready = dict(self._poller.poll(int(LOOK * 1000)))
            if not self._is_wanted():
                raise Unwanted
            if self._monitor in ready:
                told = parse_monitor_message(self._monitor.recv_multipart())
                ended = f"the connection ended ({told['event']!r})"
