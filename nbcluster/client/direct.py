"""Small plain values straight to engines of this host and back, where nothing runs there and nothing is on its way.

In the calling thread: no loop, no controller. Whatever is in the way, be it a busy engine, a value that is no plain
data or a connection that breaks, the caller takes the way of calls then, which has the order and the errors.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec import DecodeError, msgpack

from nbcluster.errors import AuthenticationError
from nbcluster.ids import Incarnation
from nbcluster.payload.plain import NotPlain, dump_plain, load_plain
from nbcluster.protocol.peers import (
    SMALL,
    BindNames,
    Bound,
    PeerReply,
    PeerRequest,
    TellName,
    Told,
    door_path,
)
from nbcluster.transport.frames import Frames
from nbcluster.transport.framing import Assembler, Malformed, chunks_of
from nbcluster.transport.rendezvous import ConnectionFile
from nbcluster.transport.streams import SCHEME

PATIENCE = 0.25
"""Seconds that an engine has to answer: C code may hold its interpreter."""

KEPT = 64
"""Connections that are kept open."""

_replies = msgpack.Decoder(PeerReply)
_encoder = msgpack.Encoder()


class Direct:
    """The direct connections of one client.

    Parameters
    ----------
    file : ConnectionFile
    """

    def __init__(self, file: ConnectionFile) -> None:
        self._directory = file.directory if file.url.startswith(SCHEME) and file.is_here() else ""
        self._key = file.key.encode()
        self._lines: dict[Incarnation, _Line] = {}
        self._process = os.getpid()
        self._lock = threading.Lock()

    def bind(self, engines: Sequence[Incarnation], values: Mapping[str, object], namespace: str) -> bool:
        """Bind plain values on engines; False when that cannot be now. Some may have been bound then."""
        if not self._directory:
            return False
        try:
            packed = {name: dump_plain(value, SMALL // len(values)) for name, value in values.items()}
        except NotPlain:
            return False
        replies = self._ask(engines, BindNames(packed, namespace))
        return replies is not None and all(isinstance(reply, Bound) for reply in replies)

    def tell(self, engines: Sequence[Incarnation], name: str, namespace: str) -> list[object] | None:
        """Return the plain values of a name, in the order of the engines; None when that cannot be now."""
        if not self._directory:
            return None
        replies = self._ask(engines, TellName(name, namespace))
        if replies is None:
            return None
        told = [load_plain(reply.payload) for reply in replies if isinstance(reply, Told)]
        return told if len(told) == len(engines) else None

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            for line in self._lines.values():
                line.close()
            self._lines.clear()
            self._directory = ""

    def _ask(self, engines: Sequence[Incarnation], request: PeerRequest) -> list[PeerReply] | None:
        with self._lock:
            if os.getpid() != self._process:  # forked: the connections are the parent's
                self._lines, self._process = {}, os.getpid()
            asked: list[_Line] = []
            try:
                for incarnation in engines:
                    line = self._line(incarnation)
                    asked.append(line)
                    line.send(request)
                return [line.receive() for line in asked]
            except (OSError, Malformed, DecodeError, AuthenticationError):
                self._drop(engines)
                return None
            except BaseException:  # interrupted: an answer that comes later answers nothing
                self._drop(engines)
                raise

    def _line(self, incarnation: Incarnation) -> _Line:
        line = self._lines.get(incarnation)
        if line is None:
            if len(self._lines) >= KEPT:
                self._drop(list(self._lines))
            line = self._lines[incarnation] = _Line(door_path(self._directory, incarnation), self._key)
        return line

    def _drop(self, engines: Sequence[Incarnation]) -> None:
        for incarnation in engines:
            line = self._lines.pop(incarnation, None)
            if line is not None:
                line.close()


class _Line:
    """A connection to one engine's door: one question, one answer."""

    def __init__(self, path: str, key: bytes) -> None:
        self._frames = Frames(key, remember=1)
        self._assembler = Assembler(4 * SMALL)
        self._space = memoryview(bytearray(4 * SMALL))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def send(self, request: PeerRequest) -> None:
        _, frames = self._frames.pack(type(request).__name__, _encoder.encode(request))
        self._socket.sendall(b"".join(chunks_of(frames)))

    def receive(self) -> PeerReply:
        while True:
            messages = self._assembler.receive_from(self._socket.recv_into, self._space)
            if messages is None:
                raise ConnectionResetError("the engine has closed the connection")
            if messages:
                reply: PeerReply = _replies.decode(self._frames.unpack(messages[0]).content)
                return reply

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()
