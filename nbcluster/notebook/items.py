"""Reads the output messages of an engine into items that can be drawn. Knows no layout and no notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgspec import json

from nbcluster.notebook.operations import Buffers, StreamName
from nbcluster.protocol.messages import TaskOutput


@dataclass(frozen=True)
class Text:
    """Something was printed."""

    stream: StreamName
    text: str


@dataclass(frozen=True)
class Rich:
    """A MIME bundle was displayed, replaced, or is the value of the last expression."""

    data: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    display_id: str | None = None
    update: bool = False
    is_result: bool = False
    buffers: Buffers = ()

    @property
    def is_text(self) -> bool:
        """Whether it is plain text and nothing else."""
        return set(self.data) == {"text/plain"}


@dataclass(frozen=True)
class Wipe:
    """The engine asked to clear what it has shown."""

    wait: bool


Item = Text | Rich | Wipe


def read_item(event: TaskOutput, buffers: Buffers) -> Item | None:
    """Return what a message shows; None for an error in time, which TaskDone brings too."""
    content: dict[str, Any] = json.decode(event.content)
    match event.msg_type:
        case "stream":
            return Text("stderr" if content["name"] == "stderr" else "stdout", content["text"])
        case "display_data" | "update_display_data" | "execute_result":
            return Rich(
                data=content["data"],
                metadata=content.get("metadata") or {},
                display_id=(content.get("transient") or {}).get("display_id"),
                update=event.msg_type == "update_display_data",
                is_result=event.msg_type == "execute_result",
                buffers=buffers,
            )
        case "clear_output":
            return Wipe(bool(content.get("wait")))
        case "error" if event.late:
            # A thread or callback failed after its cell: no outcome will tell it.
            lines = content.get("traceback") or [f"{content.get('ename')}: {content.get('evalue')}"]
            return Text("stderr", "\n".join(lines) + "\n")
        case _:
            return None
