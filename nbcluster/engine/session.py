"""The messages of an engine: which of them are worth sending, to whom, and cheaply made. Knows no kernel and no cells.

jupyter_client's Session, with two differences that no front end can see. What the controller must hear is marked
(see `protocol.topics`), and what nobody listens to is not sent: PUB would drop it. And the common message takes a
short way: its parent's header is sent back as it came, its date is read by `datetime`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any

import zmq
from ipykernel.iostream import BackgroundSocket, IOPubThread
from jupyter_client.session import DELIM, DONE, Session, extract_header
from zmq.eventloop.zmqstream import ZMQStream

from nbcluster.engine import context
from nbcluster.engine.capture import CAPTURED
from nbcluster.protocol.topics import TOPIC

NOT_FOR_CONTROLLERS = frozenset({"status", "execute_input"})

QUESTION = "kernel_info_request"
"""What a controller sends behind a cell: when that is over on both channels, so is the cell."""

ROUTINE = frozenset({"msg_id", "msg_type", "session", "username", "date", "version", "subshell_id"})
"""Fields of a header that hold no date but `date`."""

PLAIN = (BackgroundSocket, IOPubThread, ZMQStream, zmq.Socket)
"""What a common message is sent through; asyncio's sockets go the long way."""

ALWAYS_FOR_MAIN_SHELL = (b'"execute_request"', b'"kernel_info_request"', b'"complete_request"')
"""Kinds of messages, as they stand in a header, that go to a subshell only if the header names one."""

Message = dict[str, Any]


def is_for_main_shell(frames: list[zmq.Frame]) -> bool:
    """Whether a request is meant for the main thread for certain. Nothing is checked: its reader does that."""
    for index, frame in enumerate(frames[:-5]):
        if frame.bytes == DELIM:
            header: bytes = frames[index + 2].bytes
            return b"subshell_id" not in header and any(kind in header for kind in ALWAYS_FOR_MAIN_SHELL)
    return False


class Listeners:
    """The topics that are subscribed, a controller's own left out.

    Until it is known otherwise, somebody listens to everything: a controller does so at first.
    """

    def __init__(self) -> None:
        self._topics = {b""}

    def __bool__(self) -> bool:
        return bool(self._topics)

    def heard(self, frame: bytes) -> None:
        """Note a frame of an XPUB socket: 1 or 0 and a topic; 0 comes when its last subscriber has left."""
        topic = frame[1:]
        if frame[:1] == b"\x00":
            self._topics.discard(topic)
        elif not topic.startswith(TOPIC):
            self._topics.add(topic)


class EngineSession(Session):  # type: ignore[misc]  # jupyter_client's classes are not typed
    """The session of an engine."""

    def __init__(self, **kwargs: Any) -> None:
        self.listeners = Listeners()
        self.look: Callable[[], None] = lambda: None
        self._cells: dict[str, bool] = {}
        self._last_header: tuple[Message, bytes] = ({}, b"{}")
        super().__init__(**kwargs)

    # -- what a cell publishes ------------------------------------------------------------------

    def watch(self, msg_id: str) -> None:
        """Note from now on whether the cell of this request publishes something."""
        self._cells[msg_id] = False

    def is_quiet(self, msg_id: str) -> bool:
        """Whether the cell has published nothing. If its reply says so, idle need not follow."""
        return not self._cells.get(msg_id, True)

    def _place(self, msg_type: str, content: Any, parent: Message, ident: Any) -> tuple[bool, Any]:
        """Say whether a message is to be published, and with which idents."""
        msg_id = parent.get("msg_id", "")
        if msg_type in NOT_FOR_CONTROLLERS:
            if parent.get("msg_type") != "execute_request":
                self.look()  # a front end that comes asks something first
                if parent.get("msg_type") != QUESTION or content.get("execution_state") != "idle":
                    return True, ident
            is_end = msg_type == "status" and content.get("execution_state") == "idle"
            if not (is_end and self._cells.pop(msg_id, True)):
                return bool(self.listeners), ident
        elif msg_id in self._cells:
            self._cells[msg_id] = True
        first, *others = ident if isinstance(ident, list) else [ident or b""]
        return True, [TOPIC + first, *others]

    # -- sending --------------------------------------------------------------------------------

    def send(
        self,
        stream: Any,
        msg_or_type: Message | str,
        content: Message | None = None,
        parent: Message | None = None,
        ident: Any = None,
        buffers: Any = None,
        track: bool = False,
        header: Message | None = None,
        metadata: Message | None = None,
    ) -> Message | None:
        """Build and send a message; see jupyter_client."""
        if isinstance(stream, BackgroundSocket | IOPubThread):
            if isinstance(msg_or_type, str):
                kind, said, cause = msg_or_type, content or {}, extract_header(parent) if parent else {}
            else:
                kind = msg_or_type["msg_type"]
                said, cause = msg_or_type.get("content", {}), msg_or_type.get("parent_header", {})
            call = context.current.get()
            if call is not None and kind in CAPTURED:
                call.output.show(kind, said)
                return None
            wanted, ident = self._place(kind, said, cause, ident)
            if not wanted:
                return None
        if (
            isinstance(msg_or_type, str)
            and isinstance(content, dict)
            and isinstance(stream, PLAIN)
            and not (buffers or header or track or self.adapt_version or self.debug)
            and self._is_at_home()
        ):
            return self._send_plain(stream, msg_or_type, content, parent, ident, metadata)
        sent: Message | None = super().send(
            stream, msg_or_type, content, parent, ident, buffers, track, header, metadata
        )
        return sent

    def _is_at_home(self) -> bool:
        return not self.check_pid or os.getpid() == self.pid

    def _send_plain(
        self, stream: Any, msg_type: str, content: Message, parent: Message | None, ident: Any, metadata: Any
    ) -> Message:
        header = self.msg_header(msg_type)
        cause = extract_header(parent) if parent else {}
        carried = {**self.metadata, **(metadata or {})}
        known, raw = self._last_header
        pack = self.pack
        parts = [
            pack(header),
            raw if cause is known else pack(cause),
            pack(carried) if carried else b"{}",
            pack(content),
        ]
        idents = ident if isinstance(ident, list) else [] if ident is None else [ident]
        frames = [*idents, DELIM, self.sign(parts), *parts]
        stream.send_multipart(frames, copy=max(map(len, parts)) < self.copy_threshold)
        return {
            "header": header,
            "msg_id": header["msg_id"],
            "msg_type": msg_type,
            "parent_header": cause,
            "content": content,
            "metadata": carried,
            "tracker": DONE,
        }

    # -- receiving ------------------------------------------------------------------------------

    def deserialize(self, msg_list: Any, content: bool = True, copy: bool = True) -> Message:
        """Check and open a message; see jupyter_client."""
        if len(msg_list) != 5 or self.auth is None or not content:
            opened: Message = super().deserialize(msg_list, content, copy)
            return opened
        signature, *parts = msg_list if copy else [bytes(part.bytes) for part in msg_list]
        if parts[1] != b"{}" or not compare_digest(signature, self.sign(parts)):
            opened = super().deserialize(msg_list, content, copy)  # says what is wrong
            return opened
        header = self.unpack(parts[0])
        date = _read_date(header)
        if date is None or signature in self.digest_history:
            opened = super().deserialize(msg_list, content, copy)
            return opened
        self._remember(signature)
        header["date"] = date
        self._last_header = (header, parts[0])
        return {
            "header": header,
            "msg_id": header["msg_id"],
            "msg_type": header["msg_type"],
            "parent_header": {},
            "metadata": self.unpack(parts[2]),
            "content": self.unpack(parts[3]),
            "buffers": [],
        }

    def _remember(self, signature: bytes) -> None:
        history = self.digest_history
        history.add(signature)
        if len(history) > self.digest_history_size:
            for _ in range(len(history) // 10 + 1):
                history.pop()


def _read_date(header: Any) -> datetime | None:
    """Return the date of a header that needs no more than that; None when jupyter_client shall read it."""
    if not isinstance(header, dict) or not header.keys() <= ROUTINE:
        return None
    if not str(header.get("version", "")).startswith("5."):
        return None
    try:
        date = datetime.fromisoformat(header["date"])
    except (KeyError, TypeError, ValueError):
        return None
    return date.astimezone(UTC) if date.tzinfo is not None else None
