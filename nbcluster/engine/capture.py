"""What a call prints and displays, until it is sent. Knows no kernel, no sockets and no calls but its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import msgpack

from nbcluster.protocol.calls import OutputPiece

PROMPT_SIZE = 1 << 20
"""Characters kept for the end of a call or the next round; more are sent at once."""

MOST = 16 << 20
"""Characters kept at all, when they cannot be sent. What is beyond is left out, and counted."""

CAPTURED = frozenset({"display_data", "update_display_data", "execute_result", "clear_output", "error"})
"""Messages of iopub that are output."""

_encoder = msgpack.Encoder()
_lock = threading.RLock()  # one for all calls: few of them print at the same time


class CallOutput:
    """The output of one call that was not sent yet.

    Parameters
    ----------
    task, attempt : str, int
        The call.
    hurry : callable
        Called with this when there is more than shall wait, or something after the end.
    """

    __slots__ = ("_hurry", "_left_out", "_pieces", "_size", "attempt", "ended", "task")

    def __init__(self, task: str, attempt: int, hurry: Callable[[CallOutput], None]) -> None:
        self.task = task
        self.attempt = attempt
        self._hurry = hurry
        self._pieces: list[tuple[str, list[str], bytes]] = []
        self._size = 0
        self._left_out = 0
        self.ended = False
        """Whether the call has ended: what comes now comes from threads that it has left behind."""

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def write(self, stream: str, text: str) -> None:
        """Take what was written to stdout or stderr."""
        self._take(stream, text, b"", len(text))

    def show(self, msg_type: str, content: Mapping[str, Any]) -> None:
        """Take the content of a message that a cell would have published."""
        from nbcluster.engine.packing import pack  # it needs jupyter_client, which clients load without need

        packed = pack(content)
        self._take(msg_type, "", packed, len(packed))

    def _take(self, kind: str, text: str, content: bytes, size: int) -> None:
        with _lock:
            if self._size + size > MOST:
                self._left_out += size
                return
            before, self._size = self._size, self._size + size
            pieces = self._pieces
            if not content and pieces and pieces[-1][0] == kind:
                pieces[-1][1].append(text)
            else:
                pieces.append((kind, [text], content))
        if self.ended or before <= PROMPT_SIZE < before + size:
            self._hurry(self)

    def take(self) -> bytes:
        """Return what is here as msgpack of a tuple of OutputPiece, and keep it no longer; b"" for nothing."""
        if not self._pieces:
            return b""
        with _lock:
            pieces, self._pieces, self._size = self._pieces, [], 0
            left_out, self._left_out = self._left_out, 0
        taken = [OutputPiece(kind, "".join(texts), content) for kind, texts, content in pieces]
        if left_out:
            taken.append(
                OutputPiece(
                    "stderr",
                    f"\n[nbcluster: {left_out} characters of output are left out here: the call printed them "
                    "faster than they could be sent]\n",
                )
            )
        try:
            return _encoder.encode(taken)
        except UnicodeEncodeError:
            return _encoder.encode(
                [OutputPiece(piece.msg_type, encodable(piece.text), piece.content) for piece in taken]
            )


def encodable(text: str) -> str:
    """Return a text that can be sent: lone surrogates, as os.fsdecode makes them, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
