"""What a system can be asked to do with large arrays on one host."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from benchmarks.systems.base import System

Array = Any
"""A numpy array; imported by the drivers, as late as all else."""


@runtime_checkable
class SpreadsArrays(System, Protocol):
    """A system that gives every engine the same array."""

    def spread(self, array: Array) -> None:
        """Bring the array to every engine, under a name or as an argument; wait until each has it."""
        ...


@runtime_checkable
class ReturnsArrays(System, Protocol):
    """A system whose engines make arrays that others use."""

    def make(self, items: int) -> Any:
        """Have one engine make an array of so many doubles; wait for its end, and return what stands for it."""
        ...

    def bring(self, made: Any) -> Array:
        """Return the array itself, here."""
        ...

    def use_elsewhere(self, made: Any) -> float:
        """Have another engine look at its last item."""
        ...


@runtime_checkable
class KeepsArrays(System, Protocol):
    """A system whose engines keep arrays that they go on changing."""

    def keep(self, items: int) -> None:
        """Have one engine make an array of so many doubles, in a variable."""
        ...

    def pull(self) -> Array:
        """Return it as it is now, here: what the engine does to it later must not show in it."""
        ...


@runtime_checkable
class SharesOrSends(System, Protocol):
    """A system that can be told from which size on it shares memory."""

    def share_from(self, nbytes: int) -> None:
        """Share what has so many bytes, send what has less."""
        ...

    def use_here(self, array: Array) -> float:
        """Have an engine look at an array that is sent with the call."""
        ...

    def return_array(self, items: int) -> Array:
        """Have an engine make an array and return it."""
        ...

    def spread(self, array: Array) -> None:
        """Bring the array to every engine."""
        ...


@runtime_checkable
class SendsBetweenHosts(ReturnsArrays, Protocol):
    """A system whose engines can be set so that they share no memory, as on several hosts."""

    def start_apart(self, n: int, *, encrypted: bool) -> None:
        """Start engines that send to each other over tcp alone."""
        ...


@runtime_checkable
class Scatters(System, Protocol):
    """A system that cuts an array into parts, one for each engine, and joins them again."""

    def scatter(self, array: Array) -> Any:
        """Send the parts and wait until all are there; return what stands for them."""
        ...

    def gather_parts(self, parts: Any) -> Array:
        """Return the parts, joined."""
        ...
