"""One turn of reading a socket, and what is to follow at its end. Knows no sockets."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_turn = threading.local()


def at_end_of_turn(function: Callable[[], object]) -> None:
    """Have a function called when what a socket has to read now was handled; outside of a read, in the next round."""
    after: list[Callable[[], object]] | None = getattr(_turn, "after", None)
    if after is None:
        asyncio.get_running_loop().call_soon(function)
    else:
        after.append(function)


class Turn:
    """Reading a socket: what `at_end_of_turn` is given meanwhile is called at the end, whatever is raised."""

    __slots__ = ("_after",)

    def __enter__(self) -> None:
        self._after: list[Callable[[], object]] = []
        _turn.after = self._after

    def __exit__(self, *_: object) -> None:
        _turn.after = None
        for function in self._after:
            try:
                function()
            except Exception:
                log.exception("what was to follow a message could not be done")
