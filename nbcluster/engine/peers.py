"""A door of this engine for clients of the same host: small plain values, set and told while nothing runs here.

On a thread of its own. Knows no calls and no cells but whether one runs; runs no code of users.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import assert_never

from msgspec import DecodeError, msgpack

from nbcluster.engine.gate import Gate
from nbcluster.engine.namespaces import Namespace, Namespaces
from nbcluster.errors import AuthenticationError, NBClusterError
from nbcluster.payload.plain import NotPlain, dump_plain, is_plain_at_the_top, load_plain
from nbcluster.protocol.peers import (
    SMALL,
    BindNames,
    Bound,
    NotNow,
    PeerReply,
    PeerRequest,
    TellName,
    Told,
    door_path,
)
from nbcluster.transport.frames import Buffer, Frames
from nbcluster.transport.framing import Assembler, Malformed, chunks_of
from nbcluster.transport.streams import SCHEME, is_ours, listen_at

PATIENCE = 0.01
"""Seconds that a question waits for another thread to be done with the moment."""

LARGEST = 4 * SMALL
"""Bytes of a message."""

REMEMBERED = 8_192
"""Signatures that are remembered against replays."""

_requests = msgpack.Decoder(PeerRequest)
_encoder = msgpack.Encoder()


class PeerDoor(threading.Thread):
    """Listens at a path, from its making on.

    Parameters
    ----------
    path : str
    key : callable
        Returns the cluster's key; asked when the first client speaks.
    gate : Gate
    namespaces : Namespaces
    complain : callable
        Told in a sentence of messages that are refused.

    Raises
    ------
    OSError
        When the socket cannot be made.
    """

    def __init__(
        self,
        path: str,
        key: Callable[[], bytes],
        gate: Gate,
        namespaces: Namespaces,
        complain: Callable[[str], None],
    ) -> None:
        super().__init__(name="nbcluster peers", daemon=True)
        self._key = key
        self._gate = gate
        self._namespaces = namespaces
        self._complain = complain
        self._frames: Frames | None = None
        self._selector = selectors.DefaultSelector()
        self._door = listen_at(path)
        self._selector.register(self._door, selectors.EVENT_READ)
        self._space = memoryview(bytearray(LARGEST))

    def run(self) -> None:
        """Serve for as long as this process lives."""
        while True:
            for ready, _ in self._selector.select():
                if ready.data is None:
                    self._accept()
                    continue
                connection, assembler = ready.data
                if not self._serve(connection, assembler):
                    self._selector.unregister(connection)
                    connection.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it went again
            connection, _ = self._door.accept()
            if not is_ours(connection):
                connection.close()
                return
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, (connection, Assembler(LARGEST)))

    def _serve(self, connection: socket.socket, assembler: Assembler) -> bool:
        """Answer what has come; False when the connection is over."""
        try:
            messages = assembler.receive_from(connection.recv_into, self._space)
            return messages is not None and all(self._reply(connection, frames) for frames in messages)
        except BlockingIOError:
            return True
        except (OSError, Malformed):
            return False

    def _reply(self, connection: socket.socket, frames: list[Buffer]) -> bool:
        try:
            if self._frames is None:
                self._frames = Frames(self._key(), remember=REMEMBERED)
            request = _requests.decode(self._frames.unpack(frames).content)
        except (AuthenticationError, DecodeError, NBClusterError) as error:
            self._complain(f"a client that speaks directly was sent away: {error}")
            return False
        reply = self._answer(connection, request)
        if reply is None:
            return False
        _, answer = self._frames.pack(type(reply).__name__, _encoder.encode(reply))
        message = b"".join(chunks_of(answer))
        return connection.send(message) == len(message)

    def _answer(self, connection: socket.socket, request: PeerRequest) -> PeerReply | None:
        old: list[object] = []  # let go when the moment is over
        try:
            with self._gate.unused(PATIENCE) as is_unused:
                # Who has gone has taken the way of calls instead: what it asked must not be done behind that.
                if _is_gone(connection):
                    return None
                return self._do(request, old) if is_unused else NotNow()
        except (NotPlain, NBClusterError):
            return NotNow()

    def _do(self, request: PeerRequest, old: list[object]) -> PeerReply:
        namespace = self._namespaces[request.namespace]
        match request:
            case BindNames(values):
                return self._bind(namespace, values, old)
            case TellName(name):
                value = namespace.names.get(name, self)
                return NotNow() if value is self else Told(dump_plain(value, SMALL))
            case _:
                assert_never(request)

    def _bind(self, namespace: Namespace, values: dict[str, bytes], old: list[object]) -> PeerReply:
        present = [namespace.names.get(name) for name in values]
        if not all(map(is_plain_at_the_top, present)):
            return NotNow()  # what ends with its name ends on the main thread
        new = {name: load_plain(payload) for name, payload in values.items()}
        old += present
        for name, value in new.items():
            namespace.bind(name, value)
        return Bound()


def _is_gone(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def open_door(
    tasks_url: str,
    incarnation: int,
    key: Callable[[], bytes],
    gate: Gate,
    namespaces: Namespaces,
    complain: Callable[[str], None],
) -> None:
    """Open the door of an engine whose task channel is a local stream; elsewhere there is none."""
    if not tasks_url.startswith(SCHEME):
        return
    directory = os.path.dirname(tasks_url.removeprefix(SCHEME))
    try:
        PeerDoor(door_path(directory, incarnation), key, gate, namespaces, complain).start()
    except OSError as error:
        complain(f"clients cannot speak to this engine directly: {error}")
