"""Turns messages into the type and content of a Jupyter message, and back. Knows nothing of keys or sockets."""

from __future__ import annotations

from msgspec import ValidationError, json

from nbcluster.errors import VersionMismatch
from nbcluster.protocol.messages import FromController, Request

_encoder = json.Encoder()
_requests = json.Decoder(Request)
_answers = json.Decoder(FromController)


def encode(message: Request | FromController) -> tuple[str, bytes]:
    """Return the msg_type and the content of a message, as JSON bytes."""
    return type(message).__name__, _encoder.encode(message)


def decode_request(content: bytes) -> Request:
    """Read what a client sent.

    Raises
    ------
    VersionMismatch
        When it is no message of this version.
    """
    try:
        request: Request = _requests.decode(content)
    except ValidationError as error:
        raise VersionMismatch(f"a client sent a message that this controller cannot read: {error}") from error
    return request


def decode_from_controller(content: bytes) -> FromController:
    """Read what the controller sent.

    Raises
    ------
    VersionMismatch
        When it is no message of this version.
    """
    try:
        answer: FromController = _answers.decode(content)
    except ValidationError as error:
        raise VersionMismatch(
            f"the controller sent a message that this client cannot read: {error}; "
            "restart the cluster with the version of nbcluster that this notebook uses"
        ) from error
    return answer
