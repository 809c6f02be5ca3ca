"""How two ends of a connection exchange messages and values. Knows no meanings and no tickets."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

from nbcluster.transport.frames import Buffer
from nbcluster.transport.framing import chunks_of
from nbcluster.transport.landing import Landing
from nbcluster.transport.plainsockets import Wait, read_message, receive, receive_into, send_all
from nbcluster.transport.valueparts import Parts

PIECE = 16 << 20
"""Bytes received in one go: between two of them it is looked whether the value is still wanted."""


class Conversation(Protocol):
    """What can be done: plainly here, sealed in `sealedtalk`.

    Each may raise OSError; what receives also Malformed and Tampered.
    """

    def send(self, frames: Sequence[Buffer]) -> None:
        """Send a message of small frames."""

    def receive(self, limit: int) -> list[bytes]:
        """Receive a message of so many bytes at most."""

    def give(self, parts: Parts, at: int) -> None:
        """Send the bytes of a value from a place on, from where they lie."""

    def take(self, landing: Landing) -> None:
        """Receive what is missing of a value, where it stays."""


class Plain:
    """As it is: where nobody else listens.

    Parameters
    ----------
    connected : socket.socket
    wait : callable, optional
        Waits until something is there. Without it, all that is due must come in one wait of the socket's.
    """

    def __init__(self, connected: socket.socket, wait: Wait | None = None) -> None:
        self._socket = connected
        self._wait = wait

    def send(self, frames: Sequence[Buffer]) -> None:
        """See Conversation."""
        send_all(self._socket, chunks_of(frames))

    def receive(self, limit: int) -> list[bytes]:
        """See Conversation."""
        return read_message(lambda count: receive(self._socket, count, self._wait), limit)

    def give(self, parts: Parts, at: int) -> None:
        """See Conversation."""
        send_all(self._socket, parts.between(at, parts.nbytes))

    def take(self, landing: Landing) -> None:
        """See Conversation."""
        while landing.missing:
            landing.took(receive_into(self._socket, landing.room[:PIECE], self._wait))
