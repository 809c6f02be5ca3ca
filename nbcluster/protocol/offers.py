"""The messages by which a value goes straight from the engine that has it to who needs it. Knows no sockets.

An offer comes through the controller, which is trusted: where the value is, how large, and a ticket. With the ticket as
key each message between the two is signed, so who holds none is told nothing, and nothing is believed of who has none.
Every message has the nonce of its connection, and is msgpack in signed frames.
"""

from __future__ import annotations

from msgspec import Struct

from nbcluster.ids import TaskId

SHIPPED_FROM = 1 << 20
"""Bytes from which on a value goes straight; a smaller one is quicker through the controller."""

SHIPPING = "NBCLUSTER_SHIPPING"
"""Environment variable of an engine: where it listens, when it is asked for a large value."""

ENCRYPTION = "NBCLUSTER_ENCRYPTION"
"""Environment variable: "always" encrypts what goes straight from engine to engine also within one host."""


class Offer(Struct, frozen=True, array_like=True):
    """Where a value can be had."""

    task: TaskId
    url: str
    ticket: bytes
    sizes: tuple[int, ...]
    """Bytes of the pickle and of each buffer."""
    is_sealed: bool = False
    """Whether everything is encrypted there."""

    @property
    def nbytes(self) -> int:
        """Bytes of all."""
        return sum(self.sizes)


class SealUp(Struct, frozen=True, tag=True, array_like=True):
    """Seal all that follows on this connection; this is my public key for it."""

    nonce: bytes
    key: bytes


class SendRest(Struct, frozen=True, tag=True, array_like=True):
    """Send all bytes of the pickle and its buffers from this one on, one behind the other, over this connection."""

    nonce: bytes
    at: int


class RestFollows(Struct, frozen=True, tag=True, array_like=True):
    """So many bytes follow, in no message."""

    nonce: bytes
    nbytes: int


class SealedUp(Struct, frozen=True, tag=True, array_like=True):
    """All that follows is sealed; this is my public key for it."""

    nonce: bytes
    key: bytes


class NotThere(Struct, frozen=True, tag=True, array_like=True):
    """There is no such value, or it ends before that byte."""

    nonce: bytes
    reason: str


ShippingRequest = SealUp | SendRest
ShippingReply = SealedUp | RestFollows | NotThere
