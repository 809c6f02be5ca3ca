"""The state of a widget, folded from the messages of its comm. Knows the widgets' protocol, no comm and no kernel.

The protocol: https://github.com/jupyter-widgets/ipywidgets/blob/main/packages/schema/messages.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbcluster.notebook.operations import Buffers

TARGET = "jupyter.widget"
CONTROL_TARGET = "jupyter.widget.control"
CONTROL_VERSION = "1"

Path = list[str | int]


@dataclass
class WidgetState:
    """What one widget's model holds, with its binary parts in their places."""

    values: dict[str, Any] = field(default_factory=dict)

    def fold(self, message: Mapping[str, Any], buffers: Buffers) -> None:
        """Take a message in: the one that opened the comm, or an update by either side.

        Parameters
        ----------
        message : mapping
            The `data` of a comm_open or comm_msg. One that says nothing of the state changes nothing.
        buffers : sequence of bytes-like
            Its binary parts.
        """
        if message.get("method", "update") not in ("update", "echo_update"):
            return
        state = message.get("state")
        if not isinstance(state, dict):
            return
        # The message itself is sent on: it must not be changed.
        fresh = _copied(state)
        for path, buffer in zip(message.get("buffer_paths") or (), buffers, strict=False):
            _put(fresh, path, bytes(buffer))
        self.values.update(fresh)

    def as_update(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the message that brings a front end up to date, and its buffers."""
        state, paths, buffers = without_buffers(self.values)
        return {"method": "update", "state": state, "buffer_paths": paths}, buffers

    def as_model(self) -> dict[str, Any]:
        """Return what the control channel tells of one widget, binary parts in place."""
        return {
            "model_name": self.values.get("_model_name"),
            "model_module": self.values.get("_model_module"),
            "model_module_version": self.values.get("_model_module_version"),
            "state": self.values,
        }


def states_message(states: Mapping[str, WidgetState]) -> tuple[dict[str, Any], list[bytes]]:
    """Return the answer to `request_states` on the control channel, and its buffers."""
    models, paths, buffers = without_buffers({comm: state.as_model() for comm, state in states.items()})
    return {"method": "update_states", "states": models, "buffer_paths": paths}, buffers


def joined_states(
    message: Mapping[str, Any], buffers: Sequence[Any], more: Mapping[str, WidgetState]
) -> tuple[dict[str, Any], list[Any]]:
    """Return an answer to `request_states` with more widgets in it."""
    added, added_buffers = states_message(more)
    return {
        **message,
        "states": {**message.get("states", {}), **added["states"]},
        "buffer_paths": [*message.get("buffer_paths", ()), *added["buffer_paths"]],
    }, [*buffers, *added_buffers]


def without_buffers(tree: dict[str, Any]) -> tuple[dict[str, Any], list[Path], list[bytes]]:
    """Return a copy of a tree of JSON with its binary parts taken out, where they were, and what they were.

    >>> without_buffers({"a": {"b": b"1"}, "c": [0, b"2"]})
    ({'a': {}, 'c': [0, None]}, [['a', 'b'], ['c', 1]], [b'1', b'2'])
    """
    paths: list[Path] = []
    buffers: list[bytes] = []

    def strip(node: Any, path: Path) -> Any:
        match node:
            case dict():
                kept = {}
                for key, value in node.items():
                    if isinstance(value, bytes):
                        paths.append([*path, key])
                        buffers.append(value)
                    else:
                        kept[key] = strip(value, [*path, key])
                return kept
            case list():
                return [strip(value, [*path, at]) for at, value in enumerate(node)]
            case bytes():
                # A list keeps its length: a gap stands where the bytes were.
                paths.append(path)
                buffers.append(node)
                return None
            case _:
                return node

    stripped: dict[str, Any] = strip(tree, [])
    return stripped, paths, buffers


def _put(tree: Any, path: Path, buffer: bytes) -> None:
    node = tree
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = buffer


def _copied(node: Any) -> Any:
    match node:
        case dict():
            return {key: _copied(value) for key, value in node.items()}
        case list():
            return [_copied(value) for value in node]
        case _:
            return node
