"""What a system can be asked to do. A system has the methods that it has a feature for, and no others."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

PRINT = "import time; print(time.time())"
"""A cell of a print only: its line goes out with the end of the cell."""

PRINT_MIDWAY = "import time; print(time.time()); time.sleep(0.5)"
"""A line in the middle of a cell: it goes out when the engine decides to flush."""

ENDLESS = {
    "loop": "print('go', flush=True)\nn = 0\nwhile True: n += 1",
    "sleep": "import time\nprint('go', flush=True)\ntime.sleep(600)",
    "await": "import asyncio\nprint('go', flush=True)\nawait asyncio.sleep(600)",
}
"""Cells that end by an interrupt only; each says when it is about to begin."""


@runtime_checkable
class System(Protocol):
    """What every system can: start with n engines, do nothing on some of them, stop. Drivers import late."""

    name: str
    module: str
    """What a user imports."""

    def start(self, n: int) -> None:
        """Return when n engines are ready and this process can use them."""
        ...

    def do_nothing(self, engines: int) -> None:
        """Run `pass` on so many engines and wait for the answers."""
        ...

    def stop(self) -> None:
        """End everything."""
        ...


@runtime_checkable
class Grows(System, Protocol):
    """A system whose running cluster takes more engines."""

    def add(self, n: int) -> None:
        """Return when n more engines are ready."""
        ...


@runtime_checkable
class Prints(System, Protocol):
    """A system that brings what an engine prints to the program that sent the work."""

    def print_delay(self, code: str) -> float:
        """Run PRINT or PRINT_MIDWAY on one engine; seconds from the print to its arrival here."""
        ...


@runtime_checkable
class Interrupts(System, Protocol):
    """A system that can end running user code without ending the process."""

    def interrupt_delay(self, code: str, patience: float) -> float | None:
        """Run one of ENDLESS, interrupt it; seconds until it ended, None when not within `patience`."""
        ...

    def remember(self, value: int) -> None:
        """Set a name on the engine."""
        ...

    def recall(self) -> int | None:
        """Read that name; None when it is gone."""
        ...


@runtime_checkable
class Heals(System, Protocol):
    """A system that brings a killed engine back unasked."""

    def kill_delay(self) -> float:
        """Kill one engine with SIGKILL; seconds until that engine's successor answers."""
        ...
