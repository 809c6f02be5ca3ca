"""What runs a node of a Dask graph. It is read on engines too, so importing this loads nothing of the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RunNode:
    """Runs one node of a graph: the call behind a task of Dask.

    There is one for each kind of task, so that the scheduler learns how long calls of that kind take.

    Parameters
    ----------
    kind : str
        What the keys of these tasks have in common.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, node: Any, values: Mapping[Any, Any]) -> Any:
        """Return the value of a node, given those that it needs."""
        return node(values)
