"""Messages of several frames in a stream of bytes: how they are written, and put together again. Knows no sockets.

A message is the number of its frames, the length of each, then the frames one behind the other; numbers are
little-endian, of 4 and of 8 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct, pack, unpack_from

from nbcluster.transport.frames import Buffer

MAX_FRAMES = 1 << 18
"""A message with more is refused. The largest of ours has a few thousand."""

COPY_BELOW = 65_536
"""Frames and messages below are copied; what is larger is received where it stays, and sent from where it lies."""

_COUNT = Struct("<I")
_SIZE = 8


class Malformed(Exception):
    """The bytes are no message, or announce one that is too large."""


def chunks_of(frames: Sequence[Buffer]) -> list[Buffer]:
    """Return the bytes of a message in few pieces: what is small is put together, what is large is not copied."""
    sizes = list(map(len, frames))
    head = pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
    if sum(sizes) < COPY_BELOW:
        return [b"".join((head, *frames))]
    chunks: list[Buffer] = []
    small: list[Buffer] = [head]
    for frame, size in zip(frames, sizes, strict=True):
        if size < COPY_BELOW:
            small.append(frame)
            continue
        if small:
            chunks.append(b"".join(small))
            small = []
        chunks.append(frame)
    if small:
        chunks.append(b"".join(small))
    return chunks


class Assembler:
    """Puts messages together from the bytes of one stream.

    Parameters
    ----------
    limit : int
        Bytes that a message may have.

    Examples
    --------
    >>> Assembler(1000).feed(memoryview(chunks_of([b"two", b"frames"])[0]))
    [[b'two', b'frames']]
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._sizes: tuple[int, ...] = ()
        self._body = bytearray()
        self._have = 0

    @property
    def wanted(self) -> memoryview | None:
        """Where the rest of a large message is to be received, when one is under way."""
        return memoryview(self._body)[self._have :] if self._sizes else None

    def receive_from(
        self, receive: Callable[[memoryview], int], space: memoryview
    ) -> list[list[Buffer]] | None:
        """Receive once, and return the messages that are whole now; None at the end of the stream.

        Parameters
        ----------
        receive : callable
            Fills a view and returns the number of bytes, as ``socket.recv_into`` does; what it raises is raised.
        space : memoryview
            To receive into while no large message is under way.

        Raises
        ------
        Malformed
            When what comes next cannot be read.
        """
        wanted = self.wanted
        count = receive(wanted if wanted is not None else space)
        if not count:
            return None
        if wanted is None:
            return self.feed(space[:count])
        whole = self.took(count)
        return [whole] if whole is not None else []

    def took(self, count: int) -> list[Buffer] | None:
        """So many bytes were received into `wanted`; return the message when it is whole."""
        self._have += count
        if self._have < len(self._body):
            return None
        frames = _cut(memoryview(self._body).toreadonly(), self._sizes, 0)
        self._sizes, self._body, self._have = (), bytearray(), 0
        return frames

    def feed(self, data: memoryview) -> list[list[Buffer]]:
        """Take bytes while no large message is under way; return the messages that are whole.

        Raises
        ------
        Malformed
            When what comes next cannot be read.
        """
        if self._rest:
            data = memoryview(self._rest + data)
            self._rest = b""
        messages: list[list[Buffer]] = []
        at, end = 0, len(data)
        while end - at >= _COUNT.size:
            count = _COUNT.unpack_from(data, at)[0]
            if count > MAX_FRAMES:
                raise Malformed(f"a message of {count} frames is announced; at most {MAX_FRAMES} are taken")
            first = at + _COUNT.size + _SIZE * count
            if first > end:
                break
            sizes: tuple[int, ...] = unpack_from(f"<{count}Q", data, at + _COUNT.size)
            length = sum(sizes)
            if length > self._limit:
                raise Malformed(f"a message of {length} bytes is announced; at most {self._limit} are taken")
            if first + length > end:
                if length >= COPY_BELOW:
                    self._begin(sizes, length, data[first:])
                    return messages
                break
            messages.append(_cut(data, sizes, first, copy=True))  # the space is received into again
            at = first + length
        self._rest = bytes(data[at:])
        return messages

    def _begin(self, sizes: tuple[int, ...], length: int, part: memoryview) -> None:
        self._sizes, self._body, self._have = sizes, bytearray(length), len(part)
        self._body[: len(part)] = part


def _cut(data: memoryview, sizes: Sequence[int], at: int, *, copy: bool = False) -> list[Buffer]:
    frames: list[Buffer] = []
    if (length := sum(sizes)) < COPY_BELOW:
        small = bytes(data[at : at + length])
        at = 0
        for size in sizes:
            frames.append(small[at : at + size])
            at += size
        return frames
    for size in sizes:
        part = data[at : at + size]
        frames.append(bytes(part) if copy or size < COPY_BELOW else part)
        at += size
    return frames
