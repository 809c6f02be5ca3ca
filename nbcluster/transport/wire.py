"""The client channel: typed messages as signed frames over one end of a channel. Knows no meanings and no sockets.

The controller's end is a hub, the client's a port. Frames that do not check are dropped, counted and logged, and do no
harm to the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from nbcluster.errors import AuthenticationError, VersionMismatch
from nbcluster.protocol import codec
from nbcluster.protocol.messages import FromController, Request
from nbcluster.transport.frames import Buffer, Frames
from nbcluster.transport.ports import Hub, Port

log = logging.getLogger(__name__)

Received = TypeVar("Received", Request, FromController)


def _nothing(*_: object) -> None:
    """Nobody wants to know."""


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
    end : Hub or Port
        Owned from now on.
    key : bytes
        The cluster's key.
    decode : callable
        `codec.decode_request` for the controller, `codec.decode_from_controller` for a client.
    on_arrival : callable
        Called with each message that checks.
    on_unreadable : callable, optional
        Called with identity, message id and error for a message that is authentic and cannot be read.
    on_gone : callable, optional
        Called when a connection breaks, by a hub with the identity of its peer.
    """

    def __init__(
        self,
        end: Hub | Port,
        key: bytes,
        decode: Callable[[bytes], Received],
        on_arrival: Callable[[Arrival[Received]], None],
        on_unreadable: Callable[[bytes, str, VersionMismatch], None] | None = None,
        on_gone: Callable[..., object] = _nothing,
    ) -> None:
        self._frames = Frames(key)
        self._decode: Callable[[bytes], Received] = decode
        self._on_arrival: Callable[[Arrival[Received]], None] = on_arrival
        self._on_unreadable = on_unreadable
        self.refused = 0
        """How many messages were dropped because they did not check."""
        self._end = end
        end.listen(self._on_frames, on_gone)

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
        return self._end.send(frames)

    def new_id(self) -> str:
        """An id for a request."""
        return self._frames.new_id()

    def close(self) -> None:
        """Close; last words are given a moment to leave."""
        self._end.close(linger=200)

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
