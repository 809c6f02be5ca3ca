"""The client channel: typed messages as signed frames over one socket. Knows no meanings.

The controller's end is a ROUTER, the client's a DEALER. Frames that do not check are dropped, counted and logged,
and do no harm to the others.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import zmq

from nbcluster.errors import AuthenticationError, VersionMismatch
from nbcluster.protocol import codec
from nbcluster.protocol.messages import FromController, Request
from nbcluster.transport.frames import Buffer, Frames
from nbcluster.transport.loopsocket import LoopSocket

log = logging.getLogger(__name__)

MAX_MESSAGE = 1 << 30
"""Bytes of one frame; a peer that sends a larger one is disconnected by zmq (ZMQ_MAXMSGSIZE)."""

Received = TypeVar("Received", Request, FromController)


@dataclass(frozen=True, slots=True)
class Curve:
    """Keys of an encrypted socket, Z85. A client has `server` and keys of its own; a server only its own."""

    public: bytes
    secret: bytes
    server: bytes = b""


@dataclass(frozen=True, slots=True)
class Arrival(Generic[Received]):
    """A message that came: from whom, under which id, in answer to which."""

    ident: bytes
    msg_id: str
    parent_id: str
    message: Received
    buffers: Sequence[Buffer]


class Wire(Generic[Received]):
    """One end of the client channel, on the running loop.

    Parameters
    ----------
    socket : zmq.Socket
        Bound or connected; owned from now on.
    key : bytes
        The cluster's key.
    decode : callable
        `codec.decode_request` for the controller, `codec.decode_from_controller` for a client.
    on_arrival : callable
        Called with each message that checks.
    on_unreadable : callable, optional
        Called with identity, message id and error for a message that is authentic and cannot be read.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        key: bytes,
        decode: Callable[[bytes], Received],
        on_arrival: Callable[[Arrival[Received]], None],
        on_unreadable: Callable[[bytes, str, VersionMismatch], None] | None = None,
    ) -> None:
        self._frames = Frames(key)
        self._decode: Callable[[bytes], Received] = decode
        self._on_arrival: Callable[[Arrival[Received]], None] = on_arrival
        self._on_unreadable = on_unreadable
        self.refused = 0
        """How many messages were dropped because they did not check."""
        self._socket = LoopSocket(socket, self._on_frames)

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The zmq socket, for a monitor."""
        return self._socket.socket

    def send(
        self,
        message: Request | FromController,
        *,
        ident: bytes = b"",
        msg_id: str = "",
        parent_id: str = "",
        buffers: Sequence[Buffer] = (),
    ) -> bool:
        """Send a message; False when the peer is gone or takes no more."""
        msg_type, content = codec.encode(message)
        parent = b'{"msg_id":"%s"}' % parent_id.encode() if parent_id else b"{}"
        _, frames = self._frames.pack(
            msg_type,
            content,
            msg_id=msg_id,
            parent=parent,
            idents=(ident,) if ident else (),
            buffers=buffers,
        )
        return self._socket.send(frames)

    def new_id(self) -> str:
        """An id for a request."""
        return self._frames.new_id()

    def close(self) -> None:
        """Close the socket; last words are given a moment to leave."""
        self._socket.close(linger=200)

    def _on_frames(self, frames: list[bytes]) -> None:
        try:
            came = self._frames.unpack(frames)
        except AuthenticationError as error:
            self.refused += 1
            if self.refused & (self.refused - 1) == 0:  # at 1, 2, 4, 8, …: a flood does not fill the log
                log.warning("%s (%d so far)", error, self.refused)
            return
        ident = came.idents[0] if came.idents else b""
        try:
            message = self._decode(came.content)
        except VersionMismatch as error:
            log.warning("%s", error)
            if self._on_unreadable is not None:
                self._on_unreadable(ident, came.header.msg_id, error)
            return
        self._on_arrival(Arrival(ident, came.header.msg_id, came.parent_id, message, came.buffers))


def bind_router(
    context: zmq.Context[zmq.Socket[bytes]], url: str, curve: Curve | None, *, takeover: bool = True
) -> tuple[zmq.Socket[bytes], str]:
    """Bind the controller's end; return it and the url to connect to.

    With `takeover` a peer may come back under its identity over a new connection, and silent connections are cut;
    without it the first that has an identity keeps it as long as it is connected.

    Raises
    ------
    zmq.ZMQError
        When the address cannot be bound.
    """
    socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.SNDHWM, 0)  # accounted by the controller, per client
    socket.setsockopt(zmq.RCVHWM, 1000)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.ROUTER_HANDOVER, int(takeover))
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
    if curve is not None:
        socket.curve_server = True
        socket.curve_publickey = curve.public
        socket.curve_secretkey = curve.secret
    if url.startswith("tcp:"):
        if takeover:
            socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
        port = socket.bind_to_random_port(url)
        return socket, f"{url}:{port}"
    previous = os.umask(0o177)
    try:
        socket.bind(url)
    finally:
        os.umask(previous)
    return socket, url


def connect_dealer(
    context: zmq.Context[zmq.Socket[bytes]], url: str, identity: bytes, curve: Curve | None
) -> zmq.Socket[bytes]:
    """Connect a client's end."""
    socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.IDENTITY, identity)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    if curve is not None:
        socket.curve_serverkey = curve.server
        socket.curve_publickey = curve.public
        socket.curve_secretkey = curve.secret
    if url.startswith("tcp:"):
        socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
    socket.connect(url)
    return socket
