"""Who shows what calls print: chosen where a call is submitted. Knows no notebook; a plain program shows nothing."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol


class CallListener(Protocol):
    """Shows what calls print."""

    def take(self, task: str, engine: int, output: bytes) -> None:
        """Take what a call has printed: msgpack of a tuple of OutputPiece. On the I/O thread; must not wait."""


_here: ContextVar[CallListener | None] = ContextVar("nbcluster_call_listener")
_latest: CallListener | None = None


def listener_here() -> CallListener | None:
    """Return who shows what a call prints that is submitted here and now.

    Tasks of an asyncio loop keep the listener of the cell that began them; threads have the latest.
    """
    return _here.get(_latest)


def listen_on_this_thread(listener: CallListener | None) -> None:
    """The same for this thread alone, beside what others do."""
    _here.set(listener)


def listen_here(listener: CallListener | None) -> None:
    """Have the output of calls that are submitted from now on given to a listener."""
    global _latest
    _latest = listener
    _here.set(listener)
