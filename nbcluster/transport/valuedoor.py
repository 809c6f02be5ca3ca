"""Gives large values to who was offered them. Knows bytes and tickets; never unpickles.

A door listens, and each request names what it wants: so no list is kept of who fetches, and one that comes again after
a broken connection is served like the first. How requests and values travel is `streamdoor`'s.
"""

from __future__ import annotations

import hmac
import os
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import DecodeError, msgpack

from nbcluster.errors import AuthenticationError, NBClusterError
from nbcluster.ids import TaskId
from nbcluster.protocol.offers import ENCRYPTION, NotThere, Offer, ShippingReply, ShippingRequest
from nbcluster.transport.addresses import is_private
from nbcluster.transport.frames import Buffer, Frames
from nbcluster.transport.valueparts import Parts

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
    ticket: bytes
    request: ShippingRequest
    signer: Frames

    def reply(self, reply: ShippingReply) -> list[Buffer]:
        """Return the frames of a reply."""
        return self.signer.pack(type(reply).__name__, _encoder.encode(reply))[1]


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
    is_sealed = False
    """Whether what it gives away is encrypted."""

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
        return Offer(task, self.url, self._ticket(task.encode()), tuple(sizes), self.is_sealed)

    def _ticket(self, task: bytes) -> bytes:
        return hmac.digest(self._secret, task, "sha256")

    def _check(self, frames: Sequence[bytes]) -> Asked:
        """Check a request; may raise Refused."""
        try:
            task, *signed = frames
            ticket = self._ticket(task)
            signer = Frames(ticket, remember=1)
            return Asked(task.decode(), ticket, _requests.decode(signer.unpack(signed).content), signer)
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
