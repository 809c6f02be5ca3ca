"""Jupyter messages as signed frames. Knows keys and bytes; knows no sockets and no meanings.

The format is the wire protocol of Jupyter messaging 5.x: identities, delimiter, HMAC-SHA256 over the four JSON
parts, header, parent header, metadata, content, then buffers. `jupyter_client.session.Session` speaks it too; it
is not used here because it remembers signatures (which is what refuses a replay) only when it also unpacks the
content, and a relay must not unpack what it relays.
"""

from __future__ import annotations

import hmac
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
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
        self._key = key
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
            datetime.now(UTC).isoformat(),
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
        parts = list(frames)
        try:
            at = parts.index(DELIMITER)
        except ValueError:
            raise AuthenticationError(
                f"{len(parts)} frames came that are no Jupyter message; dropped"
            ) from None
        if len(parts) < at + 6:
            raise AuthenticationError(
                f"a message was cut off: {len(parts) - at - 1} of at least 5 parts came; dropped"
            )
        signature, signed = bytes(parts[at + 1]), [bytes(part) for part in parts[at + 2 : at + 6]]
        self._check(signature, signed)
        try:
            header = _header_decoder.decode(signed[0])
            parent_id = "" if signed[1] == b"{}" else _header_decoder.decode(signed[1]).msg_id
        except DecodeError as error:
            raise AuthenticationError(
                f"a message with an unreadable header came: {error}; dropped"
            ) from error
        idents = [bytes(part) for part in parts[:at]]
        return Message(idents, header, parent_id, signed[1], signed[2], signed[3], parts[at + 6 :])

    def _sign(self, parts: Sequence[bytes]) -> bytes:
        if not self._key:
            return b""
        return hmac.digest(self._key, b"".join(parts), "sha256").hex().encode()

    def _check(self, signature: bytes, parts: Sequence[bytes]) -> None:
        if not self._key:
            return
        if not hmac.compare_digest(signature, self._sign(parts)):
            raise AuthenticationError("a message came that is not signed with this cluster's key; dropped")
        if signature in self._seen:
            raise AuthenticationError("a message came a second time (a replay); dropped")
        self._seen[signature] = None
        if len(self._seen) > self._remember:
            self._seen.popitem(last=False)
