"""An output stream that is prompt when little is printed and batches when much is. Knows no cells.

ipykernel sends what was printed every 0.2 s, and makes every flush a round trip through its output thread.

What C code and child processes write to the descriptor comes through a pipe that a thread reads. Whoever ends a call or
a cell reads the rest of it (`take_raw`), so that what was written before is not taken for that of the next.
"""

from __future__ import annotations

import codecs
import os
import select
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from fcntl import ioctl
from typing import Any

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

    _raw_lock: threading.Lock
    """Held from the reading of the pipe on until what was read is where it belongs."""

    _last_write: object = None
    _last_flushed: object = None
    _last_sent = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._raw_lock = threading.Lock()
        self._raw_decoder = codecs.getincrementaldecoder("utf-8")("replace")
        super().__init__(*args, **kwargs)  # starts the thread that reads the pipe

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

    # -- what was written to the descriptor ------------------------------------------------------

    def _watch_pipe_fd(self) -> None:
        # On a thread of its own; see seams.WATCH_PIPE.
        ready = select.poll()
        ready.register(self._fid, select.POLLIN)
        while self._should_watch:
            ready.poll()
            self.read_once()

    def read_once(self) -> None:
        """Read what is there, for whoever runs."""
        with self._raw_lock:
            came = self._read_raw(self.raw_belongs_to)
        os.write(self._original_stdstream_copy, came)

    def take_raw(self, call: RunningCall | None) -> None:
        """Read what has been written to the descriptor until now: a call's, or the cell's that runs here.

        In a forked child this does nothing: the pipe is its parent's.
        """
        if self._fid is None or os.getpid() != self._master_pid:
            return
        with self._raw_lock:
            came = self._read_raw(lambda: call)
        if came:
            os.write(self._original_stdstream_copy, came)

    def _read_raw(self, belongs_to: Callable[[], RunningCall | None]) -> bytes:
        """Read what is in the pipe now, and no more: who writes without end shall hold nobody up.

        Whose it is, is asked when it has been read: what writes waits at its end until this has been put away, and
        before that another may have ended and this one begun.
        """
        size = int.from_bytes(ioctl(self._fid, termios.FIONREAD, bytes(4)), sys.byteorder)
        if not size or not self._should_watch:
            return b""  # another thread was quicker; or the stream is closed, which writes to wake this one
        came = os.read(self._fid, size)
        text = self._raw_decoder.decode(came)
        call = belongs_to()
        if call is not None:
            call.output.write(self.name, text)
        else:
            self.write(text)
        return came


class RawOutput:
    """What is written to the descriptors of several streams: asks all at once whether there is anything.

    Parameters
    ----------
    streams : sequence of PromptStream
    """

    def __init__(self, streams: Sequence[PromptStream]) -> None:
        self._streams = [stream for stream in streams if stream._fid is not None]
        self._ready = select.poll()
        for stream in self._streams:
            self._ready.register(stream._fid, select.POLLIN)

    def take(self, call: RunningCall | None) -> None:
        """Have what was written until now be a call's, or the cell's that runs in this thread."""
        # What a stream's thread has read and not yet put where it belongs is in no pipe: then it holds the lock.
        if self._ready.poll(0) or any(stream._raw_lock.locked() for stream in self._streams):
            for stream in self._streams:
                stream.take_raw(call)
