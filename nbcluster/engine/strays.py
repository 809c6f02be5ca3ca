"""Finds the child processes that a cell has started and interrupts them with it. Knows no cells."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

_TICK = 0.02
"""Seconds by which the start times of processes, counted in clock ticks, may be off."""


def now() -> float:
    """Return the present, on the clock on which `_started` tells when a process was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform.startswith("linux") else time.time()


def interrupt_children(since: float) -> None:
    """Send SIGINT to the children in this process's group that were started since then.

    `os.system` makes its caller deaf to SIGINT while the child runs, so the child must get it too, as
    from a terminal. Children of earlier cells are left alone.
    """
    group = os.getpgrp()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, OSError):
            if os.getpgid(child.pid) == group and _started(child) >= since - _TICK:
                child.send_signal(signal.SIGINT)


def _started(process: psutil.Process) -> float:
    if not sys.platform.startswith("linux"):
        started: float = process.create_time()
        return started
    # Not create_time(): it adds the time of boot, which Linux tells in whole seconds. Field 22 of
    # /proc/PID/stat (proc(5)) is in clock ticks since boot.
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")
