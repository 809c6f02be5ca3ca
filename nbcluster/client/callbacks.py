"""The one thread on which done-callbacks run, so that they may wait and use the API. Knows no futures."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

_waiting: queue.SimpleQueue[tuple[Callable[[Any], object], Any]] = queue.SimpleQueue()
_started = threading.Lock()
"""Held for ever once the thread runs."""


def call_soon(function: Callable[[Any], object], argument: Any) -> None:
    """Have a function called with an argument, after those that were given before."""
    _waiting.put((function, argument))
    if _started.acquire(blocking=False):
        threading.Thread(target=_serve, name="nbcluster callbacks", daemon=True).start()


def _serve() -> None:
    while True:
        function, argument = _waiting.get()
        try:
            function(argument)
        except Exception:
            log.exception("the callback %r of %r failed", function, argument)
        del function, argument  # else the last future would be kept until the next one
