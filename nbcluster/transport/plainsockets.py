"""Blocking stream sockets within one host, whose waits the system ends. Knows frames and bytes, no meanings.

A socket that waits in the system, and not in Python, needs the interpreter once for a whole value and not once for each
piece: an engine that computes in pure Python gives the interpreter away every 5 ms only.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from struct import pack, unpack

from nbcluster.transport.frames import Buffer
from nbcluster.transport.framing import Malformed, chunks_of
from nbcluster.transport.streams import listen_at

MOST_FRAMES = 16
"""Of a message."""


def listen(url: str) -> tuple[socket.socket, str]:
    """Listen at an address of this host; return the socket, which does not block, and where it is.

    Parameters
    ----------
    url : str
        "tcp://" and an address without a port, or "ipc://" and a path.

    Raises
    ------
    OSError
        When the address cannot be bound.
    """
    if url.startswith("ipc://"):
        return listen_at(url.removeprefix("ipc://")), url
    host = url.removeprefix("tcp://").strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, 0), family=family, backlog=128)
    listening.setblocking(False)
    return listening, f"{url}:{listening.getsockname()[1]}"


def connect(url: str, timeout: float) -> socket.socket:
    """Connect to an address of this host.

    Raises
    ------
    OSError
        When nobody listens there.
    """
    if url.startswith("ipc://"):
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.settimeout(timeout)
        try:
            connected.connect(url.removeprefix("ipc://"))
        except OSError:
            connected.close()
            raise
        return connected
    host, _, port = url.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout)


def limit_waits(connected: socket.socket, *, receive: float, send: float) -> None:
    """Have the system end waits: what waits longer raises BlockingIOError, or does less than it was to.

    Parameters
    ----------
    receive, send : float
        Seconds.
    """
    connected.settimeout(None)
    for option, seconds in ((socket.SO_RCVTIMEO, receive), (socket.SO_SNDTIMEO, send)):
        whole, part = divmod(seconds, 1)
        connected.setsockopt(socket.SOL_SOCKET, option, pack("@ll", int(whole), int(part * 1e6)))


def send_all(connected: socket.socket, pieces: Iterable[Buffer]) -> None:
    """Send bytes from where they lie.

    Raises
    ------
    OSError
        When the other side is gone, or took nothing for too long.
    """
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[connected.send(rest) :]


def send_message(connected: socket.socket, frames: Sequence[Buffer]) -> None:
    """Send a message of small frames.

    Raises
    ------
    OSError
    """
    send_all(connected, chunks_of(frames))


def receive_message(connected: socket.socket, limit: int) -> list[bytes]:
    """Receive a message of small frames; may take as many waits as it has parts, and no more.

    Parameters
    ----------
    connected : socket.socket
    limit : int
        Bytes that it may have.

    Raises
    ------
    Malformed
        When it is none, or too large.
    OSError
        When it does not come: the other side has gone, or says nothing.
    """
    (count,) = unpack("<I", _receive(connected, 4))
    if not 0 < count <= MOST_FRAMES:
        raise Malformed(f"a message of {count} frames is announced; at most {MOST_FRAMES} are taken")
    sizes = unpack(f"<{count}Q", _receive(connected, 8 * count))
    if sum(sizes) > limit:
        raise Malformed(f"a message of {sum(sizes)} bytes is announced; at most {limit} are taken")
    body = _receive(connected, sum(sizes))
    frames, at = [], 0
    for size in sizes:
        frames.append(body[at : at + size])
        at += size
    return frames


def _receive(connected: socket.socket, count: int) -> bytes:
    came = connected.recv(count, socket.MSG_WAITALL)
    if len(came) < count:
        raise ConnectionError(
            "the connection ended in the midst of a message" if came else "the connection ended"
        )
    return came


def hang_up(connected: socket.socket) -> None:
    """End a connection, also under a thread that waits in it."""
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
