"""The two ends of a channel: one port, and one hub that many ports connect to. Knows no sockets and no meanings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from nbcluster.transport.frames import Buffer

MAX_MESSAGE = 1 << 30
"""Bytes of one message, or of one of its frames over zmq; a peer that sends a larger one is disconnected."""

MAX_VALUE = MAX_MESSAGE - (16 << 20)
"""Bytes of one value in a message, which may hold small calls beside it."""

OnFrames = Callable[[list[Any]], None]
"""Takes the frames of a message, at a hub behind the identity of its sender: bytes, or views of large ones."""

OnGone = Callable[[bytes], object]
"""Takes the identity of a peer whose connection broke."""


class Port(Protocol):
    """A connection to a hub, or, on the hub's side, to a peer."""

    def listen(self, on_frames: OnFrames, on_gone: Callable[[], object]) -> None:
        """Read from now on, in the running loop; what `on_frames` raises is logged."""

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Send one message without waiting. False when the other side is gone or takes no more."""

    def close(self, linger: int = 0) -> None:
        """Stop reading and close; what was sent is given `linger` milliseconds to leave."""


class Hub(Protocol):
    """What ports connect to, each under an identity."""

    @property
    def url(self) -> str:
        """What to connect to."""

    def listen(self, on_frames: OnFrames, on_gone: OnGone) -> None:
        """Read from now on, in the running loop; what `on_frames` raises is logged."""

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Send one message behind the identity of its peer. False when that is not there or takes no more."""

    def close(self, linger: int = 0) -> None:
        """Stop reading and close; what was sent is given `linger` milliseconds to leave."""
