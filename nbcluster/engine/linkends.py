"""What an engine's task channel goes over: a local stream, or zmq. Knows no messages.

One thread waits and receives, any thread sends, all behind one lock; nothing here waits.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import zmq
from zmq.utils.monitor import recv_monitor_message

from nbcluster.transport.frames import Buffer
from nbcluster.transport.framing import Assembler, Malformed, chunks_of
from nbcluster.transport.ports import MAX_MESSAGE
from nbcluster.transport.streams import SCHEME, connect, write

COPIED = 65_536
"""Bytes of a frame that is copied rather than handed to zmq's I/O thread."""

AT_ONCE = 64
"""Messages that are received before they are looked at, so that an interrupt does not wait for all of a flood."""

SPACE = 262_144
"""Bytes that are received in one call."""


class End(Protocol):
    """One end of a connection."""

    def send(self, frames: list[Buffer]) -> bool:
        """Take a message to be sent; False when it must be given again later."""

    def receive(self) -> tuple[list[list[Buffer]], bool]:
        """Return messages that have come, and whether more may be there."""

    def register(self, poll: select.poll) -> None:
        """Have a poll wake up when there is something to receive, or room to send what was taken."""

    def is_to_be_looked_at(self) -> bool:
        """Whether the poll would miss something that sending has brought about."""

    def has_reconnected(self) -> bool:
        """Whether the connection was made anew since this was last asked."""

    def close(self) -> None:
        """End the connection."""


def open_end(url: str, identity: bytes) -> End:
    """Connect to a hub; after a space, the url has its public Curve key.

    Raises
    ------
    OSError
        When nobody listens at a local address.
    """
    if url.startswith(SCHEME):
        return StreamEnd(url, identity)
    address, _, curve = url.partition(" ")
    return ZmqEnd(address, identity, curve)


class StreamEnd:
    """A local stream. It ends with the controller, and this process soon after."""

    def __init__(self, url: str, identity: bytes) -> None:
        self._socket = connect(url, identity)
        self._socket.setblocking(False)
        self._descriptor = self._socket.fileno()
        self._unsent: deque[memoryview] = deque()
        self._assembler = Assembler(MAX_MESSAGE)
        self._space = memoryview(bytearray(SPACE))
        self._registered = 0
        self._is_over = False

    def send(self, frames: list[Buffer]) -> bool:
        """Take a message to be sent."""
        if not self._is_over:
            self._write(chunks_of(frames))
        return True

    def receive(self) -> tuple[list[list[Buffer]], bool]:
        """Return messages that have come."""
        if self._unsent:
            self._write()
        if self._is_over:
            return [], False
        try:
            messages = self._assembler.receive_from(self._socket.recv_into, self._space)
        except BlockingIOError:
            return [], False
        except (OSError, Malformed):
            messages = None
        if messages is not None:
            return messages, False
        self._is_over = True
        self._unsent.clear()
        return [], False

    def register(self, poll: select.poll) -> None:
        """Have a poll wake up when there is something to receive, or room to send."""
        wanted = 0 if self._is_over else select.POLLIN | (select.POLLOUT if self._unsent else 0)
        if wanted == self._registered:
            return
        if wanted:
            poll.register(self._descriptor, wanted)
        else:
            poll.unregister(self._descriptor)
        self._registered = wanted

    def is_to_be_looked_at(self) -> bool:
        """Whether the poll does not know yet that something is left to be sent."""
        return bool(self._unsent) and not self._registered & select.POLLOUT

    def has_reconnected(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _write(self, chunks: Sequence[Buffer] = ()) -> None:
        try:
            write(self._socket, self._unsent, chunks)
        except OSError:
            self._unsent.clear()  # the controller has gone; reading tells


class ZmqEnd:
    """A DEALER, which connects again by itself.

    A zmq socket may change threads behind a lock, but not be waited for in one while another uses it: so the agent
    waits for the socket's descriptor, which tells of changes alone, and every user of the socket looks after its turn
    whether something has come meanwhile.
    """

    def __init__(self, address: str, identity: bytes, curve: str) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, identity)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)  # the controller bounds what it has sent and not heard of
        if curve:
            public, secret = zmq.curve_keypair()
            self._socket.curve_publickey, self._socket.curve_secretkey = public, secret
            self._socket.curve_serverkey = curve.encode("ascii")
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._handshakes = 0
        self._is_registered = False
        self._socket.connect(address)

    def send(self, frames: list[Buffer]) -> bool:
        """Send a message; False when zmq's queue is full."""
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=all(len(f) < COPIED for f in frames))
        except zmq.Again:
            return False
        return True

    def receive(self) -> tuple[list[list[Buffer]], bool]:
        """Return messages that have come, and whether more may be there."""
        received: list[list[Buffer]] = []
        try:
            while len(received) < AT_ONCE:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
                received.append([frame.buffer if len(frame) >= COPIED else frame.bytes for frame in frames])
        except zmq.Again:
            return received, False
        return received, True

    def register(self, poll: select.poll) -> None:
        """Have a poll wake up when something has changed."""
        if not self._is_registered:
            self._is_registered = True
            poll.register(self._socket.fileno(), select.POLLIN)
            poll.register(self._monitor.fileno(), select.POLLIN)

    def is_to_be_looked_at(self) -> bool:
        """Whether something has come that the descriptor has told of already."""
        return bool(int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN)

    def has_reconnected(self) -> bool:
        """Whether the connection was made anew since this was last asked."""
        before = self._handshakes
        with suppress(zmq.Again):
            while True:
                recv_monitor_message(self._monitor, zmq.NOBLOCK)
                self._handshakes += 1
        return self._handshakes > max(before, 1)  # the first one may be told together with the next

    def close(self) -> None:
        """End the connection."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        self._context.term()
