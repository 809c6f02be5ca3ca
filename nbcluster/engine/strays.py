"""Finds the child processes that a cell has started and interrupts them with it. Knows no cells."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import psutil

_TICK = 0.02
"""Seconds by which the start times of processes, counted in clock ticks since boot, may be off."""


def now() -> float:
    """Return the present, as the start times of processes are measured."""
    return time.time()


def interrupt_children(since: float) -> None:
    """Send SIGINT to the children in this process's group that were started since then.

    `os.system` makes its caller deaf to SIGINT while the child runs, so the child must get it too, as
    from a terminal. Children of earlier cells are left alone.
    """
    group = os.getpgrp()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if child.create_time() >= since - _TICK and os.getpgid(child.pid) == group:
                child.send_signal(signal.SIGINT)
