"""Frames in a stream: they come whole however the stream is cut, and what cannot be is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcluster.transport.framing import COPY_BELOW, MAX_FRAMES, Assembler, Malformed, chunks_of

SIZES = st.sampled_from([0, 1, 7, 300, COPY_BELOW - 1, COPY_BELOW, COPY_BELOW + 1, 3 * COPY_BELOW])
MESSAGES = st.lists(st.lists(SIZES, max_size=5), max_size=5)


def filled(size: int, at: int) -> bytes:
    return bytes([at % 251]) * size


def received(stream: bytes, cuts: list[int], assembler: Assembler) -> list[list[bytes]]:
    """Receive the stream in pieces, as from a socket, into a space that is used again and again."""
    messages, at, turn = [], 0, 0
    space = memoryview(bytearray(300_000))

    def receive(into: memoryview) -> int:
        nonlocal at, turn
        piece = stream[at : at + min(cuts[turn % len(cuts)], len(into))]
        into[: len(piece)] = piece
        at, turn = at + len(piece), turn + 1
        return len(piece)

    while (whole := assembler.receive_from(receive, space)) is not None:
        messages += whole
    space[:] = b"\xff" * len(space)
    return [[bytes(frame) for frame in frames] for frames in messages]


@given(MESSAGES, st.lists(st.integers(1, 300_000), min_size=1, max_size=6))
def test_messages_come_whole_however_the_stream_is_cut(sizes: list[list[int]], cuts: list[int]) -> None:
    messages = [[filled(size, at) for at, size in enumerate(each)] for each in sizes]
    stream = b"".join(bytes(chunk) for message in messages for chunk in chunks_of(message))
    assembler = Assembler(1 << 30)
    # Single bytes of a long stream tell nothing more than single bytes of its first messages.
    assert received(stream, [max(cut, len(stream) // 500) for cut in cuts], assembler) == messages
    assert assembler.wanted is None


def test_small_frames_are_put_together_and_large_ones_not_copied() -> None:
    large = b"x" * COPY_BELOW
    chunks = chunks_of([b"a", b"b", large, b"c"])
    assert [len(chunk) for chunk in chunks] == [4 + 4 * 8 + 2, COPY_BELOW, 1]
    assert chunks[1] is large


def test_what_came_whole_is_not_changed_by_what_comes_next() -> None:
    space = memoryview(bytearray(4 * COPY_BELOW))
    assembler = Assembler(1 << 30)
    kept = []
    for letter in (b"x", b"y"):
        stream = b"".join(bytes(chunk) for chunk in chunks_of([letter * COPY_BELOW]))
        space[: len(stream)] = stream
        kept += assembler.feed(space[: len(stream)])
    assert kept == [[b"x" * COPY_BELOW], [b"y" * COPY_BELOW]]


def test_a_large_frame_is_a_view_that_cannot_be_written() -> None:
    assembler = Assembler(1 << 30)
    stream = b"".join(bytes(chunk) for chunk in chunks_of([b"small", b"x" * COPY_BELOW]))
    assert assembler.feed(memoryview(stream[:100])) == []
    wanted = assembler.wanted
    assert wanted is not None
    wanted[:] = stream[100:]
    message = assembler.took(len(stream) - 100)
    assert message is not None
    assert isinstance(message[0], bytes)
    assert isinstance(message[1], memoryview)
    assert message[1].readonly


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (struct.pack("<I", MAX_FRAMES + 1), "frames is announced"),
        (struct.pack("<IQ", 1, 1001), "1001 bytes is announced; at most 1000"),
        (struct.pack("<IQQ", 2, 600, 600), "1200 bytes is announced"),
        (struct.pack("<IQQ", 2, (1 << 64) - 1, 2), "bytes is announced"),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_received(stream: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        Assembler(1000).feed(memoryview(stream))
