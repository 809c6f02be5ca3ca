"""A zmq socket on an asyncio loop, read through its file descriptor. Knows nothing of what it carries.

zmq's descriptor is edge-triggered: it tells that something changed, once. So every wake-up reads until the
socket is empty, and every send looks again, since a send can swallow the edge. A look costs less than a round of
the loop, so it is made at once, and what is to be sent at the end of a turn is sent at the end of the read.
Source: the "ZMQ_FD" entry of zmq_getsockopt(3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from nbcluster.transport.frames import Buffer
from nbcluster.transport.turns import Turn

log = logging.getLogger(__name__)

BATCH = 64
"""Messages read before other callbacks of the loop get their turn."""

COPY_BELOW = 65_536
"""Smaller messages are copied, larger ones handed over; zero-copy costs more than it saves below."""

FRAMES_OF_A_MESSAGE = 7
"""Identity, delimiter, signature and four parts. What comes behind them may be large and is not copied."""


_MORE = int(zmq.DONTWAIT | zmq.SNDMORE)
_LAST = int(zmq.DONTWAIT)
_POLLIN = int(zmq.POLLIN)
"""As plain numbers: arithmetic with zmq's enumerations takes longer than sending a small frame."""


class LoopSocket:
    """Reads a zmq socket with a callback for each message, and sends without blocking.

    Parameters
    ----------
    socket : zmq.Socket
        Owned from now on: `close` closes it.
    on_frames : callable
        Called in the loop with the frames of each message: bytes, and memoryviews for large ones behind
        the parts of a message. What it raises is logged; reading goes on.
    want_source : bool
        Whether `source` is to be known.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        on_frames: Callable[[list[Any]], None],
        *,
        want_source: bool = False,
    ) -> None:
        self.socket = socket
        self._on_frames = on_frames
        self._want_source = want_source
        self.source = -1
        """The descriptor of the connection that the present message came by, as the socket's monitor names it."""
        self._loop = asyncio.get_running_loop()
        self._fd: int = socket.getsockopt(zmq.FD)  # type: ignore[assignment]  # an int for this option
        self._pending = False
        self._reading = False
        self._loop.add_reader(self._fd, self._read)
        self._look_again()

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Send one message. False when the peer takes no more, or is not there."""
        copy = all(len(frame) < COPY_BELOW for frame in frames)
        send = self.socket.send
        try:
            for frame in frames[:-1]:
                send(frame, _MORE, copy)
            send(frames[-1], _LAST, copy)
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
        if not self._pending and not self._reading and self._has_message():
            self._read_soon()

    def _read_soon(self) -> None:
        if not self._pending:
            self._pending = True
            self._loop.call_soon(self._read_pending)

    def _has_message(self) -> bool:
        events: int = self.socket.getsockopt(zmq.EVENTS)  # type: ignore[assignment]  # an int for this option
        return events & _POLLIN != 0

    def _read_pending(self) -> None:
        self._pending = False
        self._read()

    def _read(self) -> None:
        self._reading = True
        with Turn():
            try:
                self._read_batch()
            finally:
                self._reading = False

    def _read_batch(self) -> None:
        for _ in range(BATCH):
            # Asking first is cheaper than the exception of an empty socket.
            if self.socket.closed or not self._has_message():
                return
            try:
                self._on_frames(self._receive())
            except Exception:
                log.exception("a message could not be handled; the next ones will be")
        self._read_soon()

    def _receive(self) -> list[Buffer]:
        receive, more = self.socket.recv, self.socket.getsockopt
        frames: list[Buffer] = []
        if self._want_source:
            first = receive(zmq.DONTWAIT, copy=False)
            self.source = int(first.get(zmq.SRCFD))
            frames.append(first.bytes)
        else:
            frames.append(receive(zmq.DONTWAIT))
        while more(zmq.RCVMORE):
            if len(frames) < FRAMES_OF_A_MESSAGE:
                frames.append(receive(zmq.DONTWAIT))
                continue
            frame = receive(zmq.DONTWAIT, copy=False)
            frames.append(frame.buffer if len(frame) >= COPY_BELOW else frame.bytes)
        return frames
