"""A conversation that nobody else can read or change: what goes over the connection are records of `sealing`."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from io import BytesIO
from struct import pack, unpack

from nbcluster.transport.frames import Buffer
from nbcluster.transport.framing import Malformed, chunks_of
from nbcluster.transport.landing import Landing
from nbcluster.transport.plainsockets import MOST_FRAMES, Wait, read_message, receive, receive_into, send_all
from nbcluster.transport.sealing import TAG, Opener, Sealer
from nbcluster.transport.valueparts import Parts

RECORD = 8 << 20
"""Bytes of a value that are sealed at once. An engine that computes gives the interpreter away only every few
milliseconds, and each record needs it at both ends."""


class Sealed:
    """See Conversation. How long the records of a value are both ends know, and need not be told.

    Parameters
    ----------
    connected : socket.socket
    sealer, opener : Sealer, Opener
        Of the two directions.
    wait : callable, optional
        See `conversations.Plain`.
    """

    def __init__(
        self, connected: socket.socket, sealer: Sealer, opener: Opener, wait: Wait | None = None
    ) -> None:
        self._socket = connected
        self._sealer = sealer
        self._opener = opener
        self._wait = wait

    def send(self, frames: Sequence[Buffer]) -> None:
        """See Conversation."""
        plain = b"".join(chunks_of(frames))
        record = memoryview(bytearray(len(plain) + TAG))
        self._sealer.seal(plain, record)
        send_all(self._socket, [pack("<I", len(plain)) + record])

    def receive(self, limit: int) -> list[bytes]:
        """See Conversation."""
        (size,) = unpack("<I", receive(self._socket, 4, self._wait))
        if size > limit + 4 + 8 * MOST_FRAMES:
            raise Malformed(f"a message of {size} bytes is announced; at most {limit} are taken")
        record = receive(self._socket, size + TAG, self._wait)
        plain = bytearray(size)
        self._opener.open(record, memoryview(plain))
        return read_message(BytesIO(plain).read, limit)

    def give(self, parts: Parts, at: int) -> None:
        """See Conversation."""
        space = memoryview(bytearray(min(RECORD, parts.nbytes - at) + TAG))
        for begin in range(at, parts.nbytes, RECORD):
            plain = parts.piece(begin, min(begin + RECORD, parts.nbytes))
            record = space[: len(plain) + TAG]
            self._sealer.seal(plain, record)
            send_all(self._socket, [record])

    def take(self, landing: Landing) -> None:
        """See Conversation."""
        space = memoryview(bytearray(min(RECORD, landing.missing) + TAG))
        while landing.missing:
            size = min(RECORD, landing.missing)
            rest = record = space[: size + TAG]
            while rest:
                rest = rest[receive_into(self._socket, rest, self._wait) :]
            room = landing.room
            if len(room) >= size:
                self._opener.open(record, room[:size])
                landing.took(size)
            else:
                plain = memoryview(bytearray(size))
                self._opener.open(record, plain)
                landing.put(plain)
