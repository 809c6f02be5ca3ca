"""What an output widget holds, folded from messages of an engine. Knows nbformat; no widget, comm or engine.

It does what a page does for the messages that it routes into such a widget.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MOST_TEXT = 1_000_000
"""Characters of one piece of text that are kept; of more, the older half goes."""

MOST_OUTPUTS = 1_000
"""Outputs that are kept."""

_SHOWN = frozenset({"display_data", "execute_result", "update_display_data"})

Output = dict[str, Any]


class CapturedOutputs:
    """The outputs of one widget, as nbformat has them.

    Examples
    --------
    >>> captured = CapturedOutputs()
    >>> captured.add("stream", {"name": "stdout", "text": "a"}), captured.add("stream", {"name": "stdout", "text": "b"})
    (True, True)
    >>> captured.outputs
    [{'output_type': 'stream', 'name': 'stdout', 'text': 'ab'}]
    """

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self._displays: dict[str, list[Output]] = {}
        self._clear_next = False

    def reset(self, outputs: Iterable[Output]) -> None:
        """Hold these outputs, whatever was held: the engine has set them itself."""
        self.outputs = [dict(output) for output in outputs]
        self._displays, self._clear_next = {}, False

    def is_showing(self, display_id: str | None) -> bool:
        """Whether a display of that id is among them, so that an update of it belongs here."""
        return display_id in self._displays

    def add(self, msg_type: str, content: dict[str, Any]) -> bool:
        """Take a message; return whether the outputs are others now."""
        if msg_type == "clear_output":
            if content.get("wait"):
                self._clear_next = True
                return False
            self.reset(())
            return True
        if msg_type == "update_display_data":
            return self._replace(content)
        if self._clear_next:
            self.reset(())
        if msg_type == "stream":
            self._write(str(content["name"]), str(content["text"]))
        elif msg_type in _SHOWN:
            self._show(msg_type, content)
        elif msg_type == "error":
            kept = {key: content.get(key) for key in ("ename", "evalue", "traceback")}
            self.outputs.append({"output_type": "error", **kept})
        else:
            return False
        del self.outputs[:-MOST_OUTPUTS]
        return True

    def _write(self, name: str, text: str) -> None:
        last = self.outputs[-1] if self.outputs else {}
        if last.get("output_type") != "stream" or last.get("name") != name:
            self.outputs.append({"output_type": "stream", "name": name, "text": text})
            return
        joined = last["text"] + text
        last["text"] = joined if len(joined) <= MOST_TEXT else "…\n" + joined[-MOST_TEXT // 2 :]

    def _show(self, msg_type: str, content: dict[str, Any]) -> None:
        output = {
            "output_type": msg_type,
            "data": content["data"],
            "metadata": content.get("metadata") or {},
        }
        if msg_type == "execute_result":
            output["execution_count"] = content.get("execution_count")
        self.outputs.append(output)
        display_id = _display_id(content)
        if display_id is not None:
            self._displays.setdefault(display_id, []).append(output)

    def _replace(self, content: dict[str, Any]) -> bool:
        shown = self._displays.get(_display_id(content) or "", [])
        for output in shown:
            output["data"], output["metadata"] = content["data"], content.get("metadata") or {}
        return bool(shown)


def _display_id(content: dict[str, Any]) -> str | None:
    display_id = (content.get("transient") or {}).get("display_id")
    return None if display_id is None else str(display_id)
