"""Jupyter messages as signed frames. Knows keys and bytes; knows no sockets and no meanings.

The format is the wire protocol of Jupyter messaging 5.x: identities, delimiter, HMAC-SHA256 over the four JSON
parts, header, parent header, metadata, content, then buffers. `jupyter_client.session.Session` speaks it too; it
is not used here because it remembers signatures (which is what refuses a replay) only when it also unpacks the
content, and a relay must not unpack what it relays.
"""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from itertools import count

from msgspec import UNSET, DecodeError, Struct, UnsetType, json

from nbcluster.errors import AuthenticationError

DELIMITER = b"<IDS|MSG>"
WIRE_VERSION = "5.4"
REMEMBERED_SIGNATURES = 65_536
"""As many as jupyter_client remembers; a replay is refused at least so long."""

Buffer = bytes | memoryview


class Header(Struct, omit_defaults=False):
    """The header of a Jupyter message; an empty one stands for "no parent"."""

    msg_id: str = ""
    msg_type: str = ""
    session: str = ""
    username: str = ""
    date: str | None = ""
    version: str = WIRE_VERSION
    subshell_id: object = UNSET
    """Left out unless a subshell is meant: R reads a null as an object and echoes that."""


class Message(Struct):
    """One message as received. `content`, `metadata` and `parent` are JSON as it came; buffers are not copied."""

    idents: list[bytes]
    header: Header
    parent_id: str
    parent: bytes
    metadata: bytes
    content: bytes
    buffers: list[Buffer]


_header_encoder = json.Encoder()
_header_decoder = json.Decoder(Header)


class _Signer:
    """HMAC-SHA256 under one key, whose two blocks are hashed once (RFC 2104, section 4).

    `hmac.digest` has OpenSSL look the algorithm up for every message, which takes several times as long as the hash.
    """

    _BLOCK = 64

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= self._BLOCK else sha256(key).digest()).ljust(self._BLOCK, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest().encode()


class _Clock:
    """The time as a header has it. Most messages come many in a second, which is written once."""

    def __init__(self) -> None:
        self._said = (0, "")

    def now(self) -> str:
        at = time.time()
        whole = int(at)
        second, text = self._said
        if second != whole:
            text = datetime.fromtimestamp(whole, UTC).isoformat()[: -len("+00:00")]
            self._said = (whole, text)
        return f"{text}.{int((at - whole) * 1e6):06d}+00:00"


_clock = _Clock()


class Frames:
    """Packs and unpacks messages under one key.

    Parameters
    ----------
    key : bytes
        The key that both ends hold; empty for a kernel that signs nothing.
    remember : int
        How many signatures are remembered, so that a replay of one of them is refused. Each takes 200 bytes.
    """

    def __init__(self, key: bytes, *, remember: int = REMEMBERED_SIGNATURES) -> None:
        self._signer = _Signer(key) if key else None
        self._session = uuid.uuid4().hex
        self._counter = count()
        self._remember = remember
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def new_id(self) -> str:
        """A message id that no other message has."""
        return f"{self._session}_{next(self._counter)}"

    def pack(
        self,
        msg_type: str,
        content: bytes,
        *,
        msg_id: str = "",
        parent: bytes = b"{}",
        metadata: bytes = b"{}",
        idents: Sequence[bytes] = (),
        buffers: Sequence[Buffer] = (),
        subshell_id: str | UnsetType = UNSET,
    ) -> tuple[str, list[Buffer]]:
        """Return the message id and the frames of a new message."""
        header = Header(
            msg_id or self.new_id(),
            msg_type,
            self._session,
            "nbcluster",
            _clock.now(),
            WIRE_VERSION,
            subshell_id,
        )
        parts = [_header_encoder.encode(header), parent, metadata, content]
        return header.msg_id, [*idents, DELIMITER, self._sign(parts), *parts, *buffers]

    def unpack(self, frames: Sequence[Buffer]) -> Message:
        """Check and open a message.

        Raises
        ------
        AuthenticationError
            When the frames are no message, the signature is not of this key, or was seen before.
        """
        try:
            at = frames.index(DELIMITER)
        except ValueError:
            raise AuthenticationError(
                f"{len(frames)} frames came that are no Jupyter message; dropped"
            ) from None
        if len(frames) < at + 6:
            raise AuthenticationError(
                f"a message was cut off: {len(frames) - at - 1} of at least 5 parts came; dropped"
            )
        signature, *signed = map(bytes, frames[at + 1 : at + 6])
        self._check(signature, signed)
        head, parent, metadata, content = signed
        try:
            header = _header_decoder.decode(head)
            parent_id = "" if parent == b"{}" else _header_decoder.decode(parent).msg_id
        except DecodeError as error:
            raise AuthenticationError(
                f"a message with an unreadable header came: {error}; dropped"
            ) from error
        idents = [bytes(part) for part in frames[:at]]
        return Message(idents, header, parent_id, parent, metadata, content, list(frames[at + 6 :]))

    def _sign(self, parts: Sequence[bytes]) -> bytes:
        return b"" if self._signer is None else self._signer.sign(b"".join(parts))

    def _check(self, signature: bytes, parts: Sequence[bytes]) -> None:
        if self._signer is None:
            return
        if not compare_digest(signature, self._sign(parts)):
            raise AuthenticationError("a message came that is not signed with this cluster's key; dropped")
        if signature in self._seen:
            raise AuthenticationError("a message came a second time (a replay); dropped")
        self._seen[signature] = None
        if len(self._seen) > self._remember:
            self._seen.popitem(last=False)
