"""The pipe that ties a process to its cluster: it ends when supervisor and controller are both gone.

Knows nothing of what the process does. Nobody ever writes to the pipe.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Callable

VARIABLE = "NBCLUSTER_LIFELINE"
"""Names the descriptor of the read end for a process that was started by exec."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_F_SETSIG = 10  # asm-generic/fcntl.h; the module fcntl has had it since Python 3.11 on Linux alone


def end_with_lifeline(fd: int) -> None:
    """Have the kernel of the operating system end this process's group when the lifeline ends.

    Works on Linux, also while C code holds the GIL. Elsewhere nothing happens here, and
    `end_group` called by an event loop does the same.
    """
    if not sys.platform.startswith("linux") or os.environ.get("NBCLUSTER_START_METHOD") == "exec":
        return
    with contextlib.suppress(OSError):
        # Owner and signal belong to an open file, and forked engines share one: open it again.
        own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(own, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(own, _F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(own, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)


def end_group() -> None:
    """End this process and what it started: nobody is left who could ask for its results."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def end_with_parent() -> Callable[[], None] | None:
    """Return what a foreign program must call between fork and exec to die with the supervisor.

    Such a program reads no lifeline. None where the operating system has no such thing.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec
