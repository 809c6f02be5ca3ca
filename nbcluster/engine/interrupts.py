"""Which cell an interrupt is meant for, and whether it may still hit. Knows no signals and no kernel.

The control thread aims while the main thread runs cells. A signal handler on the main thread asks
`is_hit` and takes no lock, since the thread that it interrupts may hold it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

REMEMBERED = 256
"""How many ended cells are remembered, and how many that have been interrupted before they came."""


class Interrupts:
    """The running cell of a kernel's main thread and what is aimed at it.

    Cells are named by the msg_id of their request, calls by their task and attempt.
    """

    def __init__(self) -> None:
        self.running: str | None = None
        """The cell that runs now."""
        self._lock = threading.Lock()
        self._aimed = False
        self._at_any = False
        self._wanted: str | None = None
        self._pending = False
        self._beneath: list[_Beneath] = []
        self._ended: deque[str] = deque(maxlen=REMEMBERED)
        self._doomed: deque[str] = deque(maxlen=REMEMBERED)

    # -- on the main thread ------------------------------------------------------------------

    def begin(self, cell: str) -> None:
        """A cell begins. If it was interrupted before it came, that is pending now."""
        with self._lock:
            self._aimed = self._at_any = False
            self._wanted = None
            self._pending = cell in self._doomed
            if self._pending:
                self._doomed.remove(cell)
            self.running = cell

    def end(self) -> None:
        """The cell ended: nothing can hit it any more."""
        with self._lock:
            if self.running is not None:
                self._ended.append(self.running)
            self.running = None
            self._pending = False

    def begin_call(self, name: str) -> None:
        """A call begins: as `begin`, for one that can only be aimed at while it runs.

        What runs already waits beneath it, and what is aimed at that meanwhile is pending when the call has ended.
        """
        with self._lock:
            if self.running is None:
                self._aimed, self._wanted = False, None
            else:
                owed = self._aimed and self._wanted == self.running
                self._beneath.append(_Beneath(self.running, self._pending or owed))
                if not owed:  # else its signal is still to come, and is not for this one
                    self._aimed, self._wanted = False, None
            self._at_any = self._pending = False
            self.running = name

    def end_call(self) -> bool:
        """The call ended. Whether a signal that was aimed at it is still to be heard, and will be no interrupt."""
        with self._lock:
            self.running, self._pending = None, False
            if self._beneath:
                below = self._beneath.pop()
                self.running, self._pending = below.name, below.is_pending
            return self._aimed

    @property
    def is_owed(self) -> bool:
        """Whether an aimed signal was sent and the handler has not been called since."""
        return self._aimed

    def is_hit(self) -> bool:
        """Whether the signal that has come is meant for what runs now. Asked once for each signal."""
        aimed, at_any = self._aimed, self._at_any
        self._aimed = self._at_any = False
        return at_any or not aimed or self._wanted == self.running

    def postpone(self) -> None:
        """The running cell is hit outside of the user's code: it shall be stopped when it gets there."""
        self._pending = True

    def take_pending(self) -> bool:
        """Whether an interrupt waits for the running cell; asking takes it."""
        pending, self._pending = self._pending, False
        return pending

    # -- on the control thread ---------------------------------------------------------------

    def aim(self, cell: str, send: Callable[[], None]) -> bool:
        """Interrupt one cell and nothing else.

        Parameters
        ----------
        cell : str
            The cell that is meant. If it has not come yet, it will be stopped when it comes.
        send : callable
            Sends the signal to the main thread; not called when the cell does not run.

        Returns
        -------
        bool
            Whether the cell runs.
        """
        with self._lock:
            if self.running == cell:
                self._wanted, self._aimed = cell, True
                send()
                return True
            if self._is_put_off(cell):
                return False
            if cell not in self._ended and cell not in self._doomed:
                self._doomed.append(cell)
            return False

    def aim_at_call(self, name: str, send: Callable[[], None]) -> bool:
        """Interrupt a call if it runs; unlike `aim`, one that does not run is not remembered."""
        with self._lock:
            if self.running != name:
                self._is_put_off(name)
                return False
            self._wanted, self._aimed = name, True
            send()
            return True

    def _is_put_off(self, name: str) -> bool:
        """Whether something waits beneath what runs; it is interrupted when it is on top again."""
        for below in self._beneath:
            if below.name == name:
                below.is_pending = True
                return True
        return False

    def is_here(self, name: str) -> bool:
        """Whether something runs, or waits beneath what does."""
        with self._lock:
            return self.running == name or any(below.name == name for below in self._beneath)

    def is_unheard(self) -> bool:
        """Whether a signal was sent to what runs and its handler has not been called yet."""
        return self.running is not None and (self._aimed or self._at_any)

    def aim_at_any(self) -> None:
        """The next signal means whatever runs."""
        self._at_any = True


@dataclass
class _Beneath:
    """What waits while a call runs on top of it."""

    name: str
    is_pending: bool
