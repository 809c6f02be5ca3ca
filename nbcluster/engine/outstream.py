"""An output stream that is prompt when little is printed and batches when much is. Knows no cells.

ipykernel sends what was printed every 0.2 s, and makes every flush a round trip through its output thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from ipykernel.iostream import OutStream

from nbcluster.engine import context
from nbcluster.engine.context import RunningCall

PROMPT = 0.002
"""Seconds until the first text after a silence is sent: print() writes the text and the newline apart."""

BATCH = 0.06
"""Seconds between two sends while text keeps coming."""


class PromptStream(OutStream):  # type: ignore[misc]  # ipykernel's classes are not typed
    """ipykernel's stream with a shorter first delay, and without round trips for nothing."""

    raw_belongs_to: Callable[[], RunningCall | None] = staticmethod(lambda: None)
    """Returns the call that runs: what C code and child processes write comes here without a context."""

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
        """Take text; it is sent soon, without waiting here. That of a call goes with the call."""
        call = context.current.get()
        if call is None and threading.current_thread() is getattr(self, "watch_fd_thread", None):
            call = self.raw_belongs_to()
        if call is not None and isinstance(string, str):
            if os.getpid() == self._master_pid:
                call.output.write(self.name, string)
            else:  # a forked child has a copy of the call; its parent hears what it writes to the descriptor
                os.write(1 if self.name == "stdout" else 2, string.encode(errors="backslashreplace"))
            return len(string)
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
