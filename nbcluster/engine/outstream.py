"""An output stream that is prompt when little is printed and batches when much is. Knows no cells.

ipykernel sends what was printed every 0.2 s, and makes every flush a round trip through its output thread.
"""

from __future__ import annotations

import time

from ipykernel.iostream import OutStream

PROMPT = 0.002
"""Seconds until the first text after a silence is sent: print() writes the text and the newline apart."""

BATCH = 0.06
"""Seconds between two sends while text keeps coming."""


class PromptStream(OutStream):  # type: ignore[misc]  # ipykernel's classes are not typed
    """ipykernel's stream with a shorter first delay, and without round trips for nothing."""

    _last_write: object = None
    _last_flushed: object = None
    _last_sent = 0.0

    @property
    def flush_interval(self) -> float:
        """Seconds until what was just written is sent; read by ipykernel's output thread for each batch."""
        now = time.monotonic()
        delay = max(PROMPT, self._last_sent + BATCH - now)
        self._last_sent = now + delay
        return delay

    def write(self, string: str) -> int | None:
        """Take text; it is sent soon, without waiting here."""
        written: int | None = super().write(string)
        # A new token for each write, made after the text is in the buffer, so that a flush that has
        # seen the token sends the text, whichever thread wrote it.
        self._last_write = object()
        return written

    def flush(self) -> None:
        """Send what was written and wait until it is sent; return at once if nothing was."""
        seen = self._last_write
        if seen is self._last_flushed:
            return
        super().flush()
        self._last_flushed = seen
