"""The messages by which a value goes straight from the engine that has it to who needs it. Knows no sockets.

An offer comes through the controller, which is trusted: where the value is, how large, and a ticket. With the ticket as
key each message between the two is signed, so who holds none is told nothing, and nothing is believed of who has none.
Every message has the nonce of its connection, and is msgpack in signed frames.
"""

from __future__ import annotations

from msgspec import Struct

from nbcluster.ids import TaskId

CHUNK = 1 << 20
"""Bytes of the pickle and its buffers, one behind the other, that go in one message; the last may be shorter.
Where nothing is encrypted they go in no messages, and this is the unit in which they are counted."""

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
    curve: str = ""
    """The public CurveZMQ key of who listens there, Z85; "" where nothing is encrypted."""

    @property
    def nbytes(self) -> int:
        """Bytes of all."""
        return sum(self.sizes)


class SendChunks(Struct, frozen=True, tag=True, array_like=True):
    """Send these chunks, each in a message of its own."""

    nonce: bytes
    first: int
    count: int


class SendRest(Struct, frozen=True, tag=True, array_like=True):
    """Send all bytes of the pickle and its buffers from this one on, one behind the other, over this connection."""

    nonce: bytes
    at: int


class RestFollows(Struct, frozen=True, tag=True, array_like=True):
    """So many bytes follow, in no message."""

    nonce: bytes
    nbytes: int


class ChunkSent(Struct, frozen=True, tag=True, array_like=True):
    """A chunk, in the frame behind."""

    nonce: bytes
    index: int


class NotThere(Struct, frozen=True, tag=True, array_like=True):
    """There is no such value, or no such chunk."""

    nonce: bytes
    reason: str


ShippingRequest = SendChunks | SendRest
ShippingReply = ChunkSent | RestFollows | NotThere
