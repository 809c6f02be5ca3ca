"""The controller's end of the task channel: one socket, a key and an identity for each engine. Knows no tasks.

An agent connects with the identity of its incarnation and signs with the key of its engine's connection file, so the
key of one engine says nothing under the name of another. A connection that breaks is told once: what was under way is
lost with it, whether or not the agent comes back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import zmq
from zmq.utils.monitor import parse_monitor_message

from nbcluster.errors import AuthenticationError, VersionMismatch
from nbcluster.ids import Incarnation
from nbcluster.protocol import codec
from nbcluster.protocol.tasks import AgentHello, Answered, Failed, FromEngine, ToEngine, ValueSent
from nbcluster.transport.frames import Buffer, Frames
from nbcluster.transport.loopsocket import LoopSocket

log = logging.getLogger(__name__)

REMEMBERED = 4096
"""Signatures remembered of each agent: its socket is private to the cluster."""


class ChannelListener(Protocol):
    """Who hears of the agents."""

    def agent_said(self, incarnation: Incarnation, message: FromEngine, buffers: Sequence[Buffer]) -> None:
        """A message came that checks."""

    def agent_lost(self, incarnation: Incarnation) -> None:
        """The connection of an agent that had said hello broke."""


def identity_of(incarnation: Incarnation) -> bytes:
    """The identity that the agent of an incarnation connects with."""
    return b"e%d" % incarnation


class TaskChannel:
    """Every agent, by incarnation, on the running loop.

    Parameters
    ----------
    socket : zmq.Socket
        A bound ROUTER; owned from now on.
    listener : ChannelListener
    """

    def __init__(self, socket: zmq.Socket[bytes], listener: ChannelListener) -> None:
        self._listener = listener
        self._frames: dict[bytes, tuple[Incarnation, Frames]] = {}
        self._connections: dict[int, Incarnation] = {}
        self._greeted: set[Incarnation] = set()
        self.refused = 0
        """How many messages were dropped because they did not check."""
        self._monitor = LoopSocket(socket.get_monitor_socket(zmq.EVENT_DISCONNECTED), self._disconnected)
        self._socket = LoopSocket(socket, self._came, want_source=True)

    def admit(self, incarnation: Incarnation, key: str) -> None:
        """Expect the agent of an incarnation, which signs with this key."""
        self._frames[identity_of(incarnation)] = (incarnation, Frames(key.encode(), remember=REMEMBERED))

    def dismiss(self, incarnation: Incarnation) -> None:
        """Hear of an incarnation no more."""
        self._frames.pop(identity_of(incarnation), None)
        self._greeted.discard(incarnation)
        for descriptor in [fd for fd, known in self._connections.items() if known == incarnation]:
            del self._connections[descriptor]

    def has_agent(self, incarnation: Incarnation) -> bool:
        """Whether its agent has said hello and is still connected."""
        return incarnation in self._greeted

    def send(self, incarnation: Incarnation, message: ToEngine, buffers: Sequence[Buffer] = ()) -> None:
        """Send a message; an agent that cannot be reached is told to the listener as lost."""
        identity = identity_of(incarnation)
        known = self._frames.get(identity)
        if known is None or incarnation not in self._greeted:
            return  # its death is on the way, or was told
        msg_type, content = codec.encode_task(message)
        _, frames = known[1].pack(msg_type, content, idents=(identity,), buffers=buffers)
        if not self._socket.send(frames):
            self._lost(incarnation)

    def close(self) -> None:
        """Close the socket; last words are given a moment to leave."""
        self._socket.socket.disable_monitor()
        self._monitor.close()
        self._socket.close(linger=200)

    def _came(self, parts: list[Buffer]) -> None:
        identity = bytes(parts[0])
        known = self._frames.get(identity)
        if known is None:
            self._refuse(
                f"a message came from {identity[:20]!r}, which is no engine of this cluster; dropped"
            )
            return
        incarnation, frames = known
        try:
            came = frames.unpack(parts)
        except AuthenticationError as error:
            self._refuse(f"as engine {identity.decode()}: {error}")
            return
        try:
            message = codec.decode_from_engine(came.content)
        except VersionMismatch as error:
            self._refuse(f"{error}; dropped")
            return
        if isinstance(message, AgentHello):
            self._connections[self._socket.source] = incarnation
            self._greeted.add(incarnation)
        elif incarnation not in self._greeted:
            self._refuse(f"engine {identity.decode()} speaks before its hello; dropped")
            return
        sizes: tuple[int, ...] = getattr(message, "sizes", ())
        if [len(buffer) for buffer in came.buffers] != list(sizes):
            why = (
                f"{type(message).__name__} of engine {identity.decode()} came with {len(came.buffers)} buffers "
                f"that are not the {len(sizes)} announced (truncated)"
            )
            self._refuse(f"{why}; dropped")
            failed = _answer_in_place_of(message, why)
            if failed is not None:
                self._listener.agent_said(incarnation, failed, ())
            return
        self._listener.agent_said(incarnation, message, came.buffers)

    def _refuse(self, why: str) -> None:
        self.refused += 1
        if self.refused & (self.refused - 1) == 0:  # at 1, 2, 4, 8, …: a flood does not fill the log
            log.warning("%s (%d so far)", why, self.refused)

    def _disconnected(self, parts: list[Buffer]) -> None:
        gone = self._connections.pop(
            int(parse_monitor_message([bytes(part) for part in parts])["value"]), None
        )
        if gone is not None:
            self._lost(gone)

    def _lost(self, incarnation: Incarnation) -> None:
        if incarnation in self._greeted:
            self._greeted.discard(incarnation)
            self._listener.agent_lost(incarnation)


def _answer_in_place_of(message: FromEngine, why: str) -> FromEngine | None:
    """What ends the wait for an answer that cannot be used."""
    match message:
        case ValueSent(request):
            return ValueSent(request, missing=why)
        case Answered(request):
            return Answered(request, codec.encode_task(Failed(why))[1])
        case _:
            return None
