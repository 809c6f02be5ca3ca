"""How many items a message of a map carries, the same for every system that does not choose by itself."""

from __future__ import annotations


def chunksize(count: int, engines: int) -> int:
    """Return the items of a chunk, by the rule of multiprocessing.Pool: four chunks an engine."""
    return -(-count // (4 * engines))
