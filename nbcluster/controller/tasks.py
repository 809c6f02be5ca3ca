"""The controller's end of the task channel: one socket, a key and an identity for each engine. Knows no tasks.

An agent connects with an identity that names its incarnation, and that nobody else can guess, and signs with the key of
its engine's connection file: so the key of one engine says nothing under the name of another. One connection speaks for
an incarnation at a time. One that breaks is told once: what was under way is lost with it, whether or not the agent
comes back.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Protocol

from nbcluster.errors import AuthenticationError, VersionMismatch
from nbcluster.ids import Incarnation
from nbcluster.protocol import codec
from nbcluster.protocol.tasks import AgentHello, Answered, Failed, FromEngine, ToEngine, ValueSent
from nbcluster.transport.frames import Buffer, Frames
from nbcluster.transport.ports import Hub

log = logging.getLogger(__name__)

REMEMBERED = 4096
"""Signatures remembered of each agent: its socket is private to the cluster."""


class ChannelListener(Protocol):
    """Who hears of the agents."""

    def agent_said(self, incarnation: Incarnation, message: FromEngine, buffers: Sequence[Buffer]) -> None:
        """A message came that checks."""

    def agent_lost(self, incarnation: Incarnation) -> None:
        """The connection of an agent that had said hello broke."""


_IDENTITY = re.compile(rb"e([0-9]{1,18})-[0-9a-f]+")


class TaskChannel:
    """Every agent, by incarnation, on the running loop.

    Parameters
    ----------
    hub : Hub
        Owned from now on.
    listener : ChannelListener
    """

    def __init__(self, hub: Hub, listener: ChannelListener) -> None:
        self._listener = listener
        self._frames: dict[Incarnation, Frames] = {}
        self._identities: dict[Incarnation, bytes] = {}
        """Of those that have said hello."""
        self._speakers: dict[bytes, Incarnation] = {}
        self.refused = 0
        """How many messages were dropped because they did not check."""
        self._hub = hub
        hub.listen(self._came, self._gone)

    def admit(self, incarnation: Incarnation, key: str) -> None:
        """Expect the agent of an incarnation, which signs with this key."""
        self._frames[incarnation] = Frames(key.encode(), remember=REMEMBERED)

    def dismiss(self, incarnation: Incarnation) -> None:
        """Hear of an incarnation no more."""
        self._frames.pop(incarnation, None)
        self._forget(incarnation)

    def has_agent(self, incarnation: Incarnation) -> bool:
        """Whether its agent has said hello and is still connected."""
        return incarnation in self._identities

    def send(self, incarnation: Incarnation, message: ToEngine, buffers: Sequence[Buffer] = ()) -> None:
        """Send a message; an agent that cannot be reached is told to the listener as lost."""
        identity = self._identities.get(incarnation)
        if identity is None:
            return  # its death is on the way, or was told
        msg_type, content = codec.encode_task(message)
        _, frames = self._frames[incarnation].pack(msg_type, content, idents=(identity,), buffers=buffers)
        if not self._hub.send(frames):
            self._lost(incarnation)

    def close(self) -> None:
        """Close; last words are given a moment to leave."""
        self._hub.close(linger=200)

    def _came(self, parts: list[Buffer]) -> None:
        identity = bytes(parts[0])
        incarnation = self._speakers.get(identity) or _named_in(identity)
        signed = self._frames.get(incarnation) if incarnation is not None else None
        if incarnation is None or signed is None:
            self._refuse(
                f"a message came from {identity[:20]!r}, which is no engine of this cluster; dropped"
            )
            return
        try:
            came = signed.unpack(parts)
        except AuthenticationError as error:
            self._refuse(f"as engine {incarnation}: {error}")
            return
        try:
            message = codec.decode_from_engine(came.content)
        except VersionMismatch as error:
            self._refuse(f"{error}; dropped")
            return
        if identity not in self._speakers and not self._is_greeting(incarnation, identity, message):
            return
        sizes: tuple[int, ...] = getattr(message, "sizes", ())
        if [len(buffer) for buffer in came.buffers] != list(sizes):
            why = (
                f"{type(message).__name__} of engine {incarnation} came with {len(came.buffers)} buffers "
                f"that are not the {len(sizes)} announced (truncated)"
            )
            self._refuse(f"{why}; dropped")
            failed = _answer_in_place_of(message, why)
            if failed is not None:
                self._listener.agent_said(incarnation, failed, ())
            return
        self._listener.agent_said(incarnation, message, came.buffers)

    def _is_greeting(self, incarnation: Incarnation, identity: bytes, message: FromEngine) -> bool:
        if not isinstance(message, AgentHello):
            self._refuse(f"engine {incarnation} speaks before its hello; dropped")
            return False
        if incarnation in self._identities:
            self._refuse(f"a second connection speaks as engine {incarnation}, which is connected; dropped")
            return False
        self._identities[incarnation] = identity
        self._speakers[identity] = incarnation
        return True

    def _refuse(self, why: str) -> None:
        self.refused += 1
        if self.refused & (self.refused - 1) == 0:  # at 1, 2, 4, 8, …: a flood does not fill the log
            log.warning("%s (%d so far)", why, self.refused)

    def _gone(self, identity: bytes) -> None:
        incarnation = self._speakers.get(identity)
        if incarnation is not None:
            self._lost(incarnation)

    def _lost(self, incarnation: Incarnation) -> None:
        if self._forget(incarnation):
            self._listener.agent_lost(incarnation)

    def _forget(self, incarnation: Incarnation) -> bool:
        identity = self._identities.pop(incarnation, None)
        return identity is not None and self._speakers.pop(identity, None) is not None


def _named_in(identity: bytes) -> Incarnation | None:
    found = _IDENTITY.fullmatch(identity)
    return Incarnation(int(found[1])) if found is not None else None


def _answer_in_place_of(message: FromEngine, why: str) -> FromEngine | None:
    """What ends the wait for an answer that cannot be used."""
    match message:
        case ValueSent(request):
            return ValueSent(request, missing=why)
        case Answered(request):
            return Answered(request, codec.encode_task(Failed(why))[1])
        case _:
            return None
