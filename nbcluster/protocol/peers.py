"""The messages between a client and an engine of the same host that speak directly. Knows no sockets.

What is asked here is small, plain and done at once, or not at all: whoever is told `NotNow` goes the way of calls,
where everything has its order and its errors. Every message is msgpack in signed frames under the cluster's key.
"""

from __future__ import annotations

from msgspec import Struct

SMALL = 65_536
"""Bytes that all values of one message have at most."""


class BindNames(Struct, frozen=True, tag=True, array_like=True):
    """Bind plain values, given as pickles by name."""

    values: dict[str, bytes]
    namespace: str = ""


class TellName(Struct, frozen=True, tag=True, array_like=True):
    """Send a plain value."""

    name: str
    namespace: str = ""


PeerRequest = BindNames | TellName


class Bound(Struct, frozen=True, tag=True, array_like=True):
    """The names are bound."""


class Told(Struct, frozen=True, tag=True, array_like=True):
    """The value, pickled."""

    payload: bytes


class NotNow(Struct, frozen=True, tag=True, array_like=True):
    """Nothing was done: the engine is busy, or it is nothing small and plain."""


PeerReply = Bound | Told | NotNow


def door_path(directory: str, incarnation: int) -> str:
    """Where an engine of a cluster with this directory listens."""
    return f"{directory}/e{incarnation}-p"
