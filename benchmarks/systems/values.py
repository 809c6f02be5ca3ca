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
class Scatters(System, Protocol):
    """A system that cuts an array into parts, one for each engine, and joins them again."""

    def scatter(self, array: Array) -> Any:
        """Send the parts and wait until all are there; return what stands for them."""
        ...

    def gather_parts(self, parts: Any) -> Array:
        """Return the parts, joined."""
        ...
