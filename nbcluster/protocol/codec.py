"""Turns messages into the type and content of a Jupyter message, and back. Knows nothing of keys or sockets.

Content is JSON, except where many calls ride in one message: there it is msgpack, which carries bytes as they are.
A reader tells them apart by the first byte: JSON begins with a brace, a msgpack array or map does not.
"""

from __future__ import annotations

from msgspec import DecodeError, Struct, json, msgpack

from nbcluster.errors import VersionMismatch
from nbcluster.protocol.calls import (
    AskEngines,
    CallOutput,
    CallsBegun,
    CallsDone,
    EngineAnswers,
    ReleaseValues,
    SubmitCalls,
    ValueBytes,
)
from nbcluster.protocol.feed import WorkTold
from nbcluster.protocol.messages import FromController, Request
from nbcluster.protocol.tasks import FromEngine, Question, Reply, ToEngine

_encoder = json.Encoder()
_bulk_encoder = msgpack.Encoder()
_requests = json.Decoder(Request)
_bulk_requests = msgpack.Decoder(SubmitCalls | ReleaseValues | AskEngines)
_answers = json.Decoder(FromController)
_bulk_answers = msgpack.Decoder(CallsDone | CallsBegun | CallOutput | ValueBytes | EngineAnswers | WorkTold)
_to_engine = msgpack.Decoder(ToEngine)
_from_engine = msgpack.Decoder(FromEngine)

_BULK: tuple[type[Struct], ...] = (
    SubmitCalls,
    ReleaseValues,
    AskEngines,
    CallsDone,
    CallsBegun,
    CallOutput,
    ValueBytes,
    EngineAnswers,
    WorkTold,
)


def is_bulk(message: Request | FromController) -> bool:
    """Whether a message travels as msgpack, and so in no bundle."""
    return isinstance(message, _BULK)


def encode(message: Request | FromController) -> tuple[str, bytes]:
    """Return the msg_type and the content of a message."""
    encoder = _bulk_encoder if isinstance(message, _BULK) else _encoder
    return type(message).__name__, encoder.encode(message)


def encode_task(message: ToEngine | FromEngine | Question | Reply) -> tuple[str, bytes]:
    """Return the msg_type and the content of a message of the task channel, or of one within."""
    return type(message).__name__, _bulk_encoder.encode(message)


def decode_to_engine(content: bytes) -> ToEngine:
    """Read what the controller sent to an agent.

    Raises
    ------
    VersionMismatch
        When it is no message of this version.
    """
    try:
        message: ToEngine = _to_engine.decode(content)
    except DecodeError as error:
        raise VersionMismatch(
            f"the controller sent a message that this engine cannot read: {error}"
        ) from error
    return message


def decode_from_engine(content: bytes) -> FromEngine:
    """Read what an agent sent.

    Raises
    ------
    VersionMismatch
        When it is no message of this version.
    """
    try:
        message: FromEngine = _from_engine.decode(content)
    except DecodeError as error:
        raise VersionMismatch(
            f"an engine sent a message that this controller cannot read: {error}"
        ) from error
    return message


def decode_request(content: bytes) -> Request:
    """Read what a client sent.

    Raises
    ------
    VersionMismatch
        When it is no message of this version.
    """
    try:
        request: Request = (_requests if content[:1] == b"{" else _bulk_requests).decode(content)
    except DecodeError as error:
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
        answer: FromController = (_answers if content[:1] == b"{" else _bulk_answers).decode(content)
    except DecodeError as error:
        raise VersionMismatch(
            f"the controller sent a message that this client cannot read: {error}; "
            "restart the cluster with the version of nbcluster that this notebook uses"
        ) from error
    return answer
