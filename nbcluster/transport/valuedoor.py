"""Gives large values to who was offered them. Knows bytes and tickets; never unpickles.

A door listens, and each request names what it wants: so no list is kept of who fetches, and one that comes again after
a broken connection is served like the first. How requests and values travel is the door's kind: see `curvedoor` for
what goes to other hosts, `streamdoor` for what stays on this one.
"""

from __future__ import annotations

import hmac
import os
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from msgspec import DecodeError, msgpack

from nbcluster.errors import AuthenticationError, NBClusterError
from nbcluster.ids import TaskId
from nbcluster.protocol.offers import CHUNK, ENCRYPTION, NotThere, Offer, ShippingReply, ShippingRequest
from nbcluster.transport.addresses import is_private
from nbcluster.transport.frames import Buffer, Frames

Lookup = Callable[[str], tuple[bytes, Sequence[Buffer]] | None]
"""Returns the pickle and the buffers of a task's value, mapped where they are shared; None when it is not here."""

LARGEST_REQUEST = 65_536
"""Bytes of a request that are taken; whoever sends a larger one is disconnected."""

_requests = msgpack.Decoder(ShippingRequest)
_encoder = msgpack.Encoder()


class Refused(Exception):
    """A request without the ticket, or none at all; the text says why. Nothing could be signed for its sender."""


class Asked(NamedTuple):
    """A request whose sender holds the ticket."""

    task: str
    request: ShippingRequest
    signer: Frames

    def reply(self, reply: ShippingReply, chunk: Buffer | None = None) -> list[Buffer]:
        """Return the frames of a reply."""
        buffers = () if chunk is None else (chunk,)
        return self.signer.pack(type(reply).__name__, _encoder.encode(reply), buffers=buffers)[1]


class ValueDoor(threading.Thread, ABC):
    """Listens from its making on, on a thread of its own once started.

    Parameters
    ----------
    lookup : callable
        Finds values; called on threads of the door.
    complain : callable
        Told in a sentence of requests that are refused.
    """

    url: str
    """Where it listens."""
    curve = ""
    """Its public key, where it encrypts."""

    def __init__(self, lookup: Lookup, complain: Callable[[str], None]) -> None:
        super().__init__(name="nbcluster values", daemon=True)
        self._lookup = lookup
        self._complain = complain
        self._secret = secrets.token_bytes(32)
        self._refused = 0

    @abstractmethod
    def close(self) -> None:
        """Listen no more; nobody can connect any more when this returns."""

    def offer(self, task: TaskId, sizes: Sequence[int]) -> Offer:
        """Return what lets another process fetch the value of a task."""
        return Offer(task, self.url, self._ticket(task.encode()), tuple(sizes), self.curve)

    def _ticket(self, task: bytes) -> bytes:
        return hmac.digest(self._secret, task, "sha256")

    def _check(self, frames: Sequence[bytes]) -> Asked:
        """Check a request; may raise Refused."""
        try:
            task, *signed = frames
            signer = Frames(self._ticket(task), remember=1)
            return Asked(task.decode(), _requests.decode(signer.unpack(signed).content), signer)
        except (AuthenticationError, DecodeError, ValueError) as error:
            raise Refused(str(error)) from error

    def _find(self, asked: Asked) -> Parts | NotThere:
        """Look up what was asked for."""
        try:
            found = self._lookup(asked.task)
        except NBClusterError as error:
            return NotThere(asked.request.nonce, str(error))
        if found is None:
            return NotThere(asked.request.nonce, f"the value of {asked.task} is not kept there any more")
        return Parts(*found)

    def _sent_away(self, why: Exception) -> None:
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:  # at 1, 2, 4, 8, …: a flood does not fill the log
            name = "" if isinstance(why, Refused) else f"{type(why).__name__}: "
            self._complain(
                f"a process that fetches values was sent away ({self._refused} so far): {name}{why}"
            )


def is_encrypted(url: str) -> bool:
    """Whether what is fetched at an address, which has no port yet, has to be encrypted."""
    return url.startswith("tcp://") and (os.environ.get(ENCRYPTION) == "always" or not is_private(f"{url}:0"))


class Parts:
    """A pickle and its buffers as one row of chunks."""

    def __init__(self, payload: bytes, buffers: Sequence[Any]) -> None:
        self._parts = [memoryview(part).cast("B") for part in (payload, *buffers) if len(part)]
        self._ends = list(accumulate(map(len, self._parts)))
        self.nbytes = self._ends[-1] if self._ends else 0
        self.count = -(-self.nbytes // CHUNK)

    def chunk(self, index: int) -> Buffer:
        """Return a chunk: a view, or where it is of several parts a copy."""
        at = index * CHUNK
        pieces = self.between(at, min(at + CHUNK, self.nbytes))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def between(self, at: int, end: int) -> list[memoryview]:
        """Return the bytes from one place to another, where they lie."""
        pieces = []
        for part, last in zip(self._parts, self._ends, strict=True):
            first = last - len(part)
            if last > at and first < end:
                pieces.append(part[max(at, first) - first : min(end, last) - first])
        return pieces
