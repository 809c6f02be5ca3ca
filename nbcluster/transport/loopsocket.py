"""A zmq socket on an asyncio loop, read through its file descriptor. Knows nothing of what it carries.

zmq's descriptor is edge-triggered: it tells that something changed, once. So every wake-up reads until the
socket is empty, and every send looks again, since a send can swallow the edge.
Source: the "ZMQ_FD" entry of zmq_getsockopt(3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import zmq

from nbcluster.transport.frames import Buffer

log = logging.getLogger(__name__)

BATCH = 64
"""Messages read before other callbacks of the loop get their turn."""

COPY_BELOW = 65_536
"""Smaller messages are copied, larger ones handed over; zero-copy costs more than it saves below."""


class LoopSocket:
    """Reads a zmq socket with a callback for each message, and sends without blocking.

    Parameters
    ----------
    socket : zmq.Socket
        Owned from now on: `close` closes it.
    on_frames : callable
        Called in the loop with the frames of each message. What it raises is logged; reading goes on.
    """

    def __init__(self, socket: zmq.Socket[bytes], on_frames: Callable[[list[bytes]], None]) -> None:
        self.socket = socket
        self._on_frames = on_frames
        self._loop = asyncio.get_running_loop()
        self._fd: int = socket.getsockopt(zmq.FD)  # type: ignore[assignment]  # an int for this option
        self._pending = False
        self._loop.add_reader(self._fd, self._read)
        self._look_again()

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Send one message. False when the peer takes no more, or is not there."""
        copy = all(len(frame) < COPY_BELOW for frame in frames)
        try:
            self.socket.send_multipart(frames, zmq.DONTWAIT, copy=copy)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return False
            raise
        finally:
            self._look_again()
        return True

    def close(self, linger: int = 0) -> None:
        """Stop reading and close; what was sent is given `linger` milliseconds to leave."""
        if self.socket.closed:
            return
        self._loop.remove_reader(self._fd)
        self.socket.close(linger=linger)

    def _look_again(self) -> None:
        if not self._pending:
            self._pending = True
            self._loop.call_soon(self._read_pending)

    def _read_pending(self) -> None:
        self._pending = False
        self._read()

    def _read(self) -> None:
        for _ in range(BATCH):
            if self.socket.closed:
                return
            # Asking first is cheaper than the exception of an empty socket.
            events: int = self.socket.getsockopt(zmq.EVENTS)  # type: ignore[assignment]  # an int for this option
            if not events & zmq.POLLIN:
                return
            frames = self.socket.recv_multipart(zmq.DONTWAIT)
            try:
                self._on_frames(frames)
            except Exception:
                log.exception("a message could not be handled; the next ones will be")
        self._look_again()
