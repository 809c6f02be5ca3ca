"""An engine's end of the task channel: signed frames to the controller and back. Knows no calls.

The agent's thread receives; any thread sends. A zmq socket may change threads behind a lock, but not be waited for
in one while another uses it: so the agent waits for the socket's descriptor, which tells of changes alone, and every
user of the socket looks after its turn whether something has come meanwhile.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import zmq
from zmq.utils.monitor import recv_monitor_message

from nbcluster.errors import AuthenticationError, VersionMismatch
from nbcluster.protocol.codec import decode_to_engine, encode_task
from nbcluster.protocol.tasks import FromEngine, ToEngine
from nbcluster.transport.frames import Buffer, Frames

REMEMBERED = 8_192
"""Signatures that are remembered against replays; each takes 200 bytes."""

COPIED = 65_536
"""Bytes of a frame that is copied rather than handed to zmq's I/O thread."""

AT_ONCE = 64
"""Messages that are received before they are looked at, so that an interrupt does not wait for all of a flood."""


class TaskLink:
    """A connection to the controller's task channel, from its making on.

    Parameters
    ----------
    url : str
        Of the controller's ROUTER; after a space, its public Curve key.
    identity : bytes
        The engine's identity there.
    key : bytes
        The key of the engine's connection file, which signs both directions.
    complain : callable
        Told in a sentence of messages that cannot be read.
    """

    def __init__(self, url: str, identity: bytes, key: bytes, complain: Callable[[str], None]) -> None:
        self.lock = threading.RLock()
        """Held for whatever must not come between a look and a message; sending takes it anyway."""
        self._complain = complain
        self._frames = Frames(key, remember=REMEMBERED)
        self._unsent: deque[list[Buffer]] = deque()
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, identity)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)  # the controller bounds what it has sent and not heard of
        address, _, curve = url.partition(" ")
        if curve:
            public, secret = zmq.curve_keypair()
            self._socket.curve_publickey, self._socket.curve_secretkey = public, secret
            self._socket.curve_serverkey = curve.encode("ascii")
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._handshakes = 0
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poll = select.poll()
        for fd in (self._socket.fileno(), self._monitor.fileno(), self._wake_read):
            self._poll.register(fd, select.POLLIN)
        self._socket.connect(address)

    # -- on any thread -----------------------------------------------------------------------

    def send(self, message: FromEngine, buffers: Sequence[Buffer] = ()) -> None:
        """Send a message, or keep it until the controller takes it. Never waits."""
        with self.lock:
            if self._socket.closed:
                return
            msg_type, content = encode_task(message)
            _, frames = self._frames.pack(msg_type, content, buffers=buffers)
            if self._unsent or not self._try(frames):
                self._unsent.append(frames)
            has_come = int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN
        if has_come:
            self.wake()

    @property
    def is_stuck(self) -> bool:
        """Whether messages wait for the controller to take them."""
        return bool(self._unsent)

    def wake(self) -> None:
        """Have `wait` return."""
        with suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    # -- on the agent's thread ---------------------------------------------------------------

    def wait(self, seconds: float | None) -> None:
        """Return when something may have come, someone has called `wake`, or the time is over.

        Only what comes after a look (`receive`, `has_reconnected`) is noticed, so look first.
        """
        self._poll.poll(None if seconds is None else seconds * 1000)
        with suppress(BlockingIOError):
            while len(os.read(self._wake_read, 4096)) == 4096:
                pass

    def has_reconnected(self) -> bool:
        """Whether the connection was made anew since this was last asked."""
        before = self._handshakes
        with suppress(zmq.Again):
            while True:
                recv_monitor_message(self._monitor, zmq.NOBLOCK)
                self._handshakes += 1
        return self._handshakes > max(before, 1)  # the first one may be told together with the next

    def receive(self) -> list[tuple[ToEngine, Sequence[Buffer]]]:
        """Return the messages that have come, each with its frames; some may be left for the next time."""
        messages: list[tuple[ToEngine, Sequence[Buffer]]] = []
        for frames in self._received():
            try:
                message = self._frames.unpack(frames)
                messages.append((decode_to_engine(message.content), message.buffers))
            except (AuthenticationError, VersionMismatch) as error:
                self._complain(str(error))
        return messages

    def _received(self) -> list[list[Buffer]]:
        received: list[list[Buffer]] = []
        with self.lock:
            while self._unsent and self._try(self._unsent[0]):
                self._unsent.popleft()
            try:
                while len(received) < AT_ONCE:
                    frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
                    received.append(
                        [frame.buffer if len(frame) >= COPIED else frame.bytes for frame in frames]
                    )
            except zmq.Again:
                return received
        self.wake()
        return received

    def _try(self, frames: list[Buffer]) -> bool:
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=all(len(f) < COPIED for f in frames))
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        """End the connection; what was not sent is dropped."""
        with self.lock:
            if self._socket.closed:
                return
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._socket.close(0)
            os.close(self._wake_read)
            os.close(self._wake_write)
        self._context.term()
