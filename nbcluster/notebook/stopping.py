"""What a page needs to stop a wait, and how one is stopped from another thread: as by Ctrl-C. Knows no views."""

from __future__ import annotations

import _thread
import re
import signal
import threading
from pathlib import PurePath
from typing import Any
from uuid import uuid4

_KERNEL_FILE = re.compile(r"kernel-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json")
"""How a Jupyter server calls the connection files of its kernels."""


class Stop:
    """The way to stop one wait of the main thread, under a name that nobody else knows.

    Examples
    --------
    >>> stop = Stop()
    >>> stop.is_open
    True
    >>> stop.end()
    >>> stop.ask(), stop.is_asked
    (False, False)
    """

    def __init__(self) -> None:
        self.work = uuid4().hex
        self.is_open = threading.current_thread() is threading.main_thread()
        """Whether there is something to be stopped: only the main thread has interrupts."""
        self.is_asked = False
        self._lock = threading.Lock()

    def ask(self) -> bool:
        """Stop it, once, as Ctrl-C does; whether it was there to be stopped."""
        with self._lock:
            if not self.is_open or self.is_asked:
                return False
            self.is_asked = True
            interrupt_main()
            return True

    def end(self) -> None:
        """The wait is over."""
        with self._lock:
            self.is_open = False


def interrupt_main() -> None:
    """Send the main thread what Ctrl-C sends it; also wakes it from a wait."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


def kernel_id(shell: Any) -> str:
    """The id under which a Jupyter server knows this kernel; "" when none has started it."""
    from ipykernel.connect import get_connection_file

    if getattr(shell, "kernel", None) is None:
        return ""
    try:
        file = get_connection_file()
    except RuntimeError:  # no kernel application: what is embedded in another program
        return ""
    found = _KERNEL_FILE.fullmatch(PurePath(file).name)
    return found[1] if found else ""
