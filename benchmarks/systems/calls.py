"""What a system that runs functions can be asked to do. A system has the methods that it has a feature for."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from benchmarks.systems.base import System

Handles = Any
"""What a system gives back for calls that it has been given: futures, references, an AsyncResult each."""


@runtime_checkable
class Calls(System, Protocol):
    """A system that runs single functions on whichever engine is free."""

    def submit(self, count: int) -> Handles:
        """Give it so many calls of `work.nothing`, one by one, and return without waiting for them."""
        ...

    def gather(self, handles: Handles) -> list[Any]:
        """Wait for calls, and return their values."""
        ...


@runtime_checkable
class Holds(Calls, Protocol):
    """A system whose engines can be occupied, so that calls wait in its queue."""

    def hold(self, engines: int, path: str) -> Handles:
        """Occupy so many engines with `work.hold`."""
        ...


@runtime_checkable
class KeepsVariables(System, Protocol):
    """A system whose engines keep values between calls."""

    def set_and_get(self, value: int) -> int:
        """Set a variable on one engine, wait until it is set, and read it back."""
        ...


@runtime_checkable
class Maps(System, Protocol):
    """A system that maps a function over many small items, several of them in a message."""

    def map_squares(self, count: int) -> int:
        """Map `work.square` over so many numbers in order; return the sum of the results."""
        ...


@runtime_checkable
class Survives(Calls, Protocol):
    """A system in which calls of a killed engine run again unasked."""

    def submit_naps(self, count: int, seconds: float) -> Handles:
        """Give it so many calls of `work.nap`, one by one."""
        ...


@runtime_checkable
class KnowsProcesses(System, Protocol):
    """A system that tells its processes apart."""

    def pids(self) -> dict[str, list[int]]:
        """Return the process ids by role, engines that are not ready left out."""
        ...


@runtime_checkable
class Cancels(System, Protocol):
    """A system that can end one running call."""

    def cancel_running(self, path: str) -> float:
        """Run `work.spin`, cancel it when the file is there; seconds until this process knows that it ended."""
        ...


@runtime_checkable
class ComputesArrays(System, Protocol):
    """A system that runs graphs of Dask."""

    def compute_array(self, rows: int, columns: int) -> float:
        """Compute `work.array_of_chunks`."""
        ...


@runtime_checkable
class Searches(System, Protocol):
    """A system that joblib can run in."""

    def grid_search(self) -> float:
        """Run `work.search` in it; return its score."""
        ...
