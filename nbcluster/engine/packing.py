"""JSON for the messages of an engine, faster than the standard library's. Knows no messages.

Named by the traits `Session.packer` and `Session.unpacker`. What msgspec does not take (lone surrogates, keys that
are no strings) goes the way of jupyter_client's own packer.
"""

from __future__ import annotations

from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_client.session import json_packer, json_unpacker
from msgspec import DecodeError, json

_encoder = json.Encoder(enc_hook=json_default)
_decoder = json.Decoder()


def pack(value: Any) -> bytes:
    """Return a value as JSON.

    Examples
    --------
    >>> pack({"status": "ok"})
    b'{"status":"ok"}'
    """
    try:
        return _encoder.encode(value)
    except (TypeError, UnicodeEncodeError):
        packed: bytes = json_packer(value)
        return packed


def unpack(text: bytes | str | memoryview) -> Any:
    """Return the value of JSON text."""
    try:
        return _decoder.decode(text)
    except (DecodeError, UnicodeDecodeError):
        return json_unpacker(bytes(text) if isinstance(text, memoryview) else text)
