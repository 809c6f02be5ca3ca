"""Blocking stream sockets, whose waits the system ends. Knows frames and bytes, no meanings.

A socket that waits in the system, and not in Python, needs the interpreter once for a whole value and not once for each
piece: an engine that computes in pure Python gives the interpreter away every 5 ms only.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from struct import pack, unpack

from nbcluster.transport.frames import Buffer
from nbcluster.transport.framing import Malformed
from nbcluster.transport.streams import listen_at

MOST_FRAMES = 16
"""Of a message."""

BEAT = 1
SILENCES = 5
"""Seconds between two looks of the system whether a silent host is still there, and how many may find nobody."""

Wait = Callable[[], None]


def listen(url: str) -> tuple[socket.socket, str]:
    """Listen at an address; return the socket, which does not block, and where it is.

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
    """Connect to an address.

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


def watch_for_cuts(connected: socket.socket) -> None:
    """Have the system end a connection whose other host has gone, or whose network was cut. It needs no interpreter."""
    wanted = (
        ("TCP_NODELAY", 1),
        ("TCP_KEEPIDLE", BEAT),
        ("TCP_KEEPINTVL", BEAT),
        ("TCP_KEEPCNT", SILENCES),
    )
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in wanted:
        if hasattr(socket, name):  # not every system has all
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


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


def read_message(read: Callable[[int], bytes], limit: int) -> list[bytes]:
    """Read a message of small frames; reads as often as it has parts, and no more.

    Parameters
    ----------
    read : callable
        Returns the next bytes, of which it is told the number.
    limit : int
        Bytes that it may have.

    Raises
    ------
    Malformed
        When it is none, or too large.
    """

    def part(size: int) -> bytes:
        came = read(size)
        if len(came) < size:
            raise Malformed("a message was cut off")
        return came

    (count,) = unpack("<I", part(4))
    if not 0 < count <= MOST_FRAMES:
        raise Malformed(f"a message of {count} frames is announced; at most {MOST_FRAMES} are taken")
    sizes = unpack(f"<{count}Q", part(8 * count))
    if sum(sizes) > limit:
        raise Malformed(f"a message of {sum(sizes)} bytes is announced; at most {limit} are taken")
    body = part(sum(sizes))
    frames, at = [], 0
    for size in sizes:
        frames.append(body[at : at + size])
        at += size
    return frames


def receive(connected: socket.socket, count: int, wait: Wait | None) -> bytes:
    """Receive so many bytes.

    Parameters
    ----------
    connected : socket.socket
    count : int
    wait : callable, optional
        Waits until something is there. Without it all must come in one wait of the socket's.

    Raises
    ------
    OSError
        When they do not come: the other side has gone, or says nothing.
    """
    came = bytearray()
    while len(came) < count:
        if wait is not None:
            wait()
        piece = connected.recv(count - len(came), socket.MSG_WAITALL)
        came += piece
        if not piece or (wait is None and len(came) < count):
            raise ConnectionError(
                "the connection ended in the midst of a message" if came else "the connection ended"
            )
    return bytes(came)


def receive_into(connected: socket.socket, room: memoryview, wait: Wait | None) -> int:
    """Receive as many bytes as there is room for, or less after a wait of the socket's; return how many.

    Raises
    ------
    OSError
        When the connection has ended.
    """
    if wait is not None:
        wait()
    count = connected.recv_into(room, len(room), socket.MSG_WAITALL)
    if not count:
        raise ConnectionError("the connection ended")
    return count


def hang_up(connected: socket.socket) -> None:
    """End a connection, also under a thread that waits in it."""
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
