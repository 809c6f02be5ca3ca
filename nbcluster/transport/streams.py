"""Messages over a local stream socket on an asyncio loop, between processes of one user. Knows no meanings.

A local socket breaks when one side ends, and never by itself: so nothing here connects again. What was received before
is handed over first, then the end is told, in this order.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from nbcluster.transport.frames import Buffer
from nbcluster.transport.framing import Assembler, Malformed, chunks_of
from nbcluster.transport.ports import MAX_MESSAGE, OnFrames, OnGone
from nbcluster.transport.turns import Turn

log = logging.getLogger(__name__)

SCHEME = "unix:"
"""What a url begins with that is the path of a local stream socket."""

RECEIVED_AT_ONCE = 262_144
PIECES_AT_ONCE = 64
"""Of a large message, given to the system in one call; it takes at most 1024 (IOV_MAX)."""

LARGEST_IDENTITY = 255


class StreamPort:
    """One end of a connection.

    Parameters
    ----------
    connected : socket.socket
        Owned from now on.
    """

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._unsent: deque[memoryview] = deque()
        self._is_writing = False
        self._assembler = Assembler(MAX_MESSAGE)
        self._on_frames: OnFrames
        self._on_gone: Callable[[], object]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._space = memoryview(bytearray(RECEIVED_AT_ONCE))

    def listen(self, on_frames: OnFrames, on_gone: Callable[[], object]) -> None:
        """Read from now on, in the running loop: each message, and once that the other side has gone."""
        self._on_frames, self._on_gone = on_frames, on_gone
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    @property
    def is_open(self) -> bool:
        """Whether the other side is there, as far as is known."""
        return self._socket.fileno() >= 0

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Send a message, now or as the other side takes it; False when it has gone."""
        if not self.is_open:
            return False
        chunks = chunks_of(frames)
        if self._unsent:
            self._unsent.extend(map(memoryview, chunks))
            return True
        return self._write(chunks)

    def close(self, linger: int = 0) -> None:
        """Stop reading and close; what was sent is given `linger` milliseconds to leave."""
        if not self.is_open:
            return
        if self._unsent and linger:
            with suppress(OSError):
                select.select([], [self._socket], [], linger / 1000)
                write_some(self._socket, self._unsent)
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._socket.close()
        self._unsent.clear()

    def _write(self, chunks: Sequence[Buffer] = ()) -> bool:
        is_there = True
        try:
            write(self._socket, self._unsent, chunks)
        except OSError:  # what it said before is still to be read; then its end is told
            self._unsent.clear()
            is_there = False
        if bool(self._unsent) != self._is_writing and self._loop is not None:
            self._is_writing = bool(self._unsent)
            if self._is_writing:
                self._loop.add_writer(self._socket, self._write)
            else:
                self._loop.remove_writer(self._socket)
        return is_there

    def _read(self) -> None:
        try:
            messages = self._assembler.receive_from(self._socket.recv_into, self._space)
        except BlockingIOError:
            return
        except OSError:
            messages = None
        except Malformed as error:
            log.warning("a connection was closed: %s", error)
            messages = None
        if messages is None:
            self._gone()
            return
        if messages:
            with Turn():
                for frames in messages:
                    if self.is_open:  # else its peer was sent away for what came before
                        self._handle(frames)

    def _handle(self, frames: list[Buffer]) -> None:
        try:
            self._on_frames(frames)
        except Exception:
            log.exception("a message could not be handled; the next ones will be")

    def _gone(self) -> None:
        self.close()
        with Turn():
            self._on_gone()


class StreamHub:
    """The end that many connect to. Each says its identity first; one that is in use is refused.

    Parameters
    ----------
    path : str
        Of the socket, which is made with mode 0600.

    Raises
    ------
    OSError
        When it cannot be made, also because there is one already.
    """

    def __init__(self, path: str) -> None:
        self._socket = listen_at(path)
        self._path = path
        self._peers: dict[bytes, StreamPort] = {}
        self._unknown: set[StreamPort] = set()
        self._on_frames: OnFrames
        self._on_gone: OnGone

    @property
    def url(self) -> str:
        """What to connect to."""
        return SCHEME + self._path

    def listen(self, on_frames: OnFrames, on_gone: OnGone) -> None:
        """Take peers from now on, in the running loop."""
        self._on_frames, self._on_gone = on_frames, on_gone
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Send a message behind the identity of its peer; False when that is not there."""
        port = self._peers.get(bytes(frames[0]))
        return port is not None and port.send(frames[1:])

    def close(self, linger: int = 0) -> None:
        """Close all connections; what was sent is given `linger` milliseconds to leave."""
        if self._socket.fileno() < 0:
            return
        with suppress(RuntimeError):  # the loop has ended
            asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        with suppress(OSError):
            os.unlink(self._path)
        for port in (*self._peers.values(), *self._unknown):
            port.close(linger)
        self._peers.clear()
        self._unknown.clear()

    def _accept(self) -> None:
        try:
            connected, _ = self._socket.accept()
        except OSError as error:  # it went again, or this process has no descriptor left
            if not isinstance(error, BlockingIOError):
                log.warning("a connection could not be taken: %s", error)
            return
        if not is_ours(connected):
            log.warning("a process of another user has connected; sent away")
            connected.close()
            return
        port = StreamPort(connected)
        self._unknown.add(port)
        port.listen(partial(self._introduced, port), partial(self._unknown.discard, port))

    def _introduced(self, port: StreamPort, frames: list[Any]) -> None:
        identity = bytes(frames[0]) if len(frames) == 1 else b""
        self._unknown.discard(port)
        if not 0 < len(identity) <= LARGEST_IDENTITY or identity in self._peers:
            log.warning(
                "a connection was closed: it says no identity, or one that is in use (%r)", identity[:20]
            )
            port.close()
            return
        self._peers[identity] = port
        port.listen(partial(self._came, identity), partial(self._left, identity))

    def _came(self, identity: bytes, frames: list[Buffer]) -> None:
        self._on_frames([identity, *frames])

    def _left(self, identity: bytes) -> None:
        if self._peers.pop(identity, None) is not None:
            self._on_gone(identity)


def listen_at(path: str) -> socket.socket:
    """Make a socket, with mode 0600, that accepts connections without waiting.

    Raises
    ------
    OSError
        When it cannot be made, also because there is one already.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.setblocking(False)
    try:
        listening.bind(path)
        os.chmod(path, 0o600)  # the umask belongs to all threads; nobody connects before `listen`
    except OSError:
        listening.close()
        raise
    listening.listen(128)
    return listening


def connect(url: str, identity: bytes) -> socket.socket:
    """Connect to a hub and say who this is.

    Raises
    ------
    OSError
        When nobody listens there.
    """
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.connect(url.removeprefix(SCHEME))
        connected.sendall(chunks_of([identity])[0])
    except OSError:
        connected.close()
        raise
    return connected


def write(connected: socket.socket, unsent: deque[memoryview], chunks: Sequence[Buffer]) -> None:
    """Write what waits and then some more, as the socket takes it; the rest waits.

    Raises
    ------
    OSError
        When the other side has gone.
    """
    if unsent or len(chunks) != 1:
        unsent.extend(map(memoryview, chunks))
        write_some(connected, unsent)
        return
    try:
        count = connected.send(chunks[0])
    except BlockingIOError:
        count = 0
    if count < len(chunks[0]):
        unsent.append(memoryview(chunks[0])[count:])


def write_some(connected: socket.socket, unsent: deque[memoryview]) -> None:
    """Write what the socket takes now, and leave the rest.

    Raises
    ------
    OSError
        When the other side has gone.
    """
    while unsent:
        try:
            count = connected.sendmsg([unsent[at] for at in range(min(len(unsent), PIECES_AT_ONCE))])
        except BlockingIOError:
            return
        while unsent and count >= len(unsent[0]):
            count -= len(unsent.popleft())
        if count:
            unsent[0] = unsent[0][count:]


def is_ours(connected: socket.socket) -> bool:
    """Whether the process at the other end is of this user, where the system tells; the socket's mode says so too."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    told = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", told)[1] in (os.getuid(), 0)
