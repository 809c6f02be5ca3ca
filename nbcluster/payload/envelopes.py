"""What travels in the place of a large payload: where its bytes lie in a file that both ends can map. Opens no files.

An envelope is bytes like any payload, so that whoever passes it on need not know. It is within the signed part of
its message, which buffers are not.
"""

from __future__ import annotations

from msgspec import DecodeError, Struct, ValidationError, msgpack

from nbcluster.errors import NotSerializable

MARK = b"\0nbcluster/shared\0"
"""The first bytes of an envelope; no pickle begins with a zero."""


class SegmentRef(Struct, frozen=True, array_like=True):
    """Parts of one segment."""

    name: str
    """Of the file within the cluster's directory of shared memory."""
    nonce: bytes
    """Drawn when the segment was filled: tells a later filling of the same file from this one."""
    spans: tuple[tuple[int, int], ...]
    """Offset and length in bytes of each part."""
    payload: bytes | None
    """The pickle; None where it is the first of the parts."""

    @property
    def nbytes(self) -> int:
        """Bytes of the pickle and its buffers."""
        return len(self.payload or b"") + sum(length for _, length in self.spans)

    @property
    def end(self) -> int:
        """Where the last part ends."""
        return max((offset + length for offset, length in self.spans), default=0)


class Pickled(Struct, frozen=True):
    """A value that is pickled already: an engine keeps it as it is."""

    payload: bytes


_decoder = msgpack.Decoder(SegmentRef)


def seal(reference: SegmentRef) -> bytes:
    """Return a reference as a payload."""
    return MARK + msgpack.encode(reference)


def is_envelope(payload: bytes) -> bool:
    """Whether a payload says where its bytes lie, rather than being them."""
    return payload.startswith(MARK)


def reference_in(payload: bytes) -> SegmentRef | None:
    """Return the reference that a payload is; None for one that is the pickle itself.

    Raises
    ------
    NotSerializable
        When it is cut off or says what cannot be.
    """
    if not is_envelope(payload):
        return None
    try:
        found = _decoder.decode(payload[len(MARK) :])
    except (DecodeError, ValidationError) as error:
        raise NotSerializable(f"a reference to shared memory that cannot be read came: {error}") from error
    if any(offset < 0 or length < 0 for offset, length in found.spans):
        raise NotSerializable("a reference to shared memory came with negative places")
    if found.payload is None and not found.spans:
        raise NotSerializable("a reference to shared memory came that refers to nothing")
    return found
