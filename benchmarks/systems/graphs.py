"""What a system can be asked to do with calls that need each other. Each way in which it takes them is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from benchmarks.systems.base import System

Layers = list[list[tuple[int, ...]]]
"""A layered graph: for each node of each layer, which nodes of the layer before it needs; the first need none."""


@runtime_checkable
class RunsGraphs(System, Protocol):
    """A system whose calls take the values of other calls, one way or another."""

    graph_ways: tuple[str, ...]
    """The names of its ways to be given such calls."""

    def chain(self, way: str, count: int) -> int:
        """Run so many calls of `work.plus_one` on each other's value, from 0; return the last value."""
        ...

    def tree(self, way: str, numbers: range) -> int:
        """Add numbers in pairs by `work.add`, then those sums, to the last one; return it."""
        ...

    def dag(self, way: str, layers: Layers) -> list[int]:
        """Run a node of `work.mix` for each of the layers'; return the values of the last layer."""
        ...


def reduced(add: Callable[..., Any], numbers: range) -> Any:
    """Return what stands for the sum: `add` is called with two numbers, or with two of what it has returned."""
    level: list[Any] = list(numbers)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [add(one, other) for one, other in pairs] + level[len(level) // 2 * 2 :]
    return level[0]


def layered(mix: Callable[..., Any], layers: Layers) -> list[Any]:
    """Return what stands for the last layer: `mix` is called with a number, or with what it has returned."""
    below: list[Any] = list(range(len(layers[0])))
    for layer in layers:
        below = [mix(*(below[i] for i in needs)) for needs in layer]
    return below
