"""The text that a call printed and displayed, in order and bounded. Knows no messages' ways."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from msgspec import json

from nbcluster.protocol.calls import OutputPiece

KEPT_TEXT = 64 << 20
"""Characters of output that are kept of a call; beyond it the oldest go, and the text says so."""


class Texts:
    """What was printed so far; `str()` of it is the text."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()
        self._kept = 0
        self._forgotten = 0

    def add(self, pieces: Iterable[OutputPiece]) -> None:
        """Append what came."""
        for piece in pieces:
            text = piece.text if piece.msg_type in ("stdout", "stderr", "stream") else _plain(piece)
            self._pieces.append(text)
            self._kept += len(text)
        while self._kept > KEPT_TEXT and len(self._pieces) > 1:
            gone = len(self._pieces.popleft())
            self._kept -= gone
            self._forgotten += gone

    def __str__(self) -> str:
        head = f"[{self._forgotten} characters of older output were let go]\n" if self._forgotten else ""
        return head + "".join(self._pieces)


def _plain(piece: OutputPiece) -> str:
    content: dict[str, Any] = json.decode(piece.content) if piece.content else {}
    text = content.get("data", {}).get("text/plain", piece.text)
    return f"{text}\n" if text else ""
