"""Carries drawings out: in a notebook, in a terminal, or into a cell that has ended. Knows no engines."""

from __future__ import annotations

import sys
from collections import deque
from typing import IO, Any, assert_never

from nbcluster.notebook.operations import Buffers, Clear, Move, Operation, Publisher, Show, Write

SLOT_LINES = 1_000
"""How many lines of text a display of late output holds."""


def has_front_end(shell: Any) -> bool:
    """Whether the shell sends messages to a notebook, in place of writing to a terminal."""
    return hasattr(shell, "kernel") and hasattr(shell, "get_parent")


def publisher_for(shell: Any) -> Publisher:
    """Return what draws in the cell that runs now."""
    return NotebookPublisher(shell) if has_front_end(shell) else TerminalPublisher(sys.stdout.isatty())


class NotebookPublisher:
    """Draws in the running cell, from the thread that runs it, as the cell's own code would."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._moving: set[str] = set()
        self._written: IO[str] | None = None

    def publish(self, operation: Operation) -> None:
        """Carry one operation out."""
        match operation:
            case Write(stream, text):
                self._write(sys.stderr if stream == "stderr" else sys.stdout, text)
            case Move(key, text):
                self._show(Show(_plain(text), display_id=key, update=key in self._moving))
                self._moving.add(key)
            case Show():
                self._show(operation)
            case Clear(wait):
                self._moving.clear()
                self._shell.display_pub.clear_output(wait=wait)
            case _:
                assert_never(operation)

    def flush(self) -> None:
        """Send what was written now, in place of at the stream's next interval."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._written = None

    def _write(self, stream: IO[str], text: str) -> None:
        # The two streams are sent apart: without this, their order would be lost.
        if self._written is not None and self._written is not stream:
            self._written.flush()
        self._written = stream
        stream.write(text)

    def _show(self, shown: Show) -> None:
        publish = self._shell.display_pub
        if shown.buffers and hasattr(publish, "session"):
            self.flush()
            parent = publish.parent_header
            send_show(publish, shown, parent)
            return
        transient = {} if shown.display_id is None else {"display_id": shown.display_id}
        publish.publish(data=shown.data, metadata=shown.metadata, transient=transient, update=shown.update)


class TerminalPublisher:
    """Draws in a terminal, or in a file when nobody watches. One line at the bottom may move.

    Parameters
    ----------
    watched : bool
        Whether a moving line makes sense: the output is a terminal.
    """

    def __init__(self, watched: bool) -> None:
        self._watched = watched
        self._moving: dict[str, str] = {}

    def publish(self, operation: Operation) -> None:
        """Carry one operation out."""
        if self._watched and self._moving:
            sys.stdout.write("\r\x1b[K")
        match operation:
            case Write(stream, text):
                (sys.stderr if stream == "stderr" else sys.stdout).write(text)
            case Move(key, text, settled=True):
                self._moving.pop(key, None)
                sys.stdout.write(text + "\n")
            case Move(key, text):
                self._moving.pop(key, None)
                if text:
                    self._moving[key] = text
            case Show(data=data):
                sys.stdout.write(str(data.get("text/plain", "")) + "\n")
            case Clear():
                self._moving.clear()
            case _:
                assert_never(operation)
        if self._watched and self._moving:
            sys.stdout.write(" ".join(self._moving.values())[:200])

    def flush(self) -> None:
        """Let everything be seen."""
        sys.stdout.flush()
        sys.stderr.flush()


class CellSlot:
    """Draws into a cell that does not run, from any one thread: every message names its parent.

    Text is one display that changes; it holds the last lines. It is made under the cell's own parent and changed
    under that of whatever cell runs then: front ends find a display by its id, and headless runners listen to the
    running cell alone. Rich output is shown below the cell, under its own parent.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    parent : dict
        The message that ran the cell.
    key : str
        Display id of the text; unique.
    """

    def __init__(self, shell: Any, parent: dict[str, Any], key: str) -> None:
        self._publish = shell.display_pub
        self._running_cell = shell.get_parent
        self._parent = parent
        self._key = key
        self._lines: deque[str] = deque(maxlen=SLOT_LINES)
        self._dropped = 0
        self._moving: dict[str, str] = {}
        self._shown = False
        self._changed = False

    def open(self) -> None:
        """Make the display while its cell runs: headless runners drop what begins after its end."""
        self._changed = True
        self.flush()

    def publish(self, operation: Operation) -> None:
        """Carry one operation out; text is seen at the next flush."""
        match operation:
            case Write(_, text):
                self._append(text)
            case Move(key, text, settled=True):
                self._moving.pop(key, None)
                self._append(text + "\n")
            case Move(key, text):
                self._moving[key] = text
                self._changed = True
            case Show():
                self.flush()
                send_show(self._publish, operation, self._parent)
            case Clear(wait):
                self._lines.clear()
                self._moving.clear()
                self._dropped, self._shown, self._changed = 0, False, False
                _send(self._publish, "clear_output", {"wait": wait}, self._parent)
            case _:
                assert_never(operation)

    def flush(self) -> None:
        """Show the text as it is now, if it has changed."""
        if not self._changed:
            return
        self._changed = False
        parent = self._running_cell() if self._shown else self._parent
        send_show(self._publish, Show(_plain(self.text()), {}, self._key, self._shown), parent)
        self._shown = True

    def text(self) -> str:
        """Return the text that is shown."""
        head = [f"… {self._dropped:,} earlier lines"] if self._dropped else []
        return "\n".join([*head, *self._lines, *self._moving.values()])

    def _append(self, text: str) -> None:
        lines = text.removesuffix("\n").split("\n")
        self._dropped += max(0, len(self._lines) + len(lines) - SLOT_LINES)
        self._lines.extend(lines)
        self._changed = True


class FinishedCell:
    """Draws into one cell from any one thread, while it runs and after: every message names its parent.

    Text goes to the cell's own streams as long as whoever shows the cell listens: a page always does. A headless
    runner hears nothing of a cell that has ended; there, what comes later changes a display that was made in time.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    parent : dict
        The message that ran the cell.
    key : str
        Display id of what comes later; unique.
    """

    def __init__(self, shell: Any, parent: dict[str, Any], key: str) -> None:
        self._publish = shell.display_pub
        self._parent = parent
        self._slot = CellSlot(shell, parent, key)
        self._ended = False
        self._moving: set[str] = set()

    def end(self, *, expects_more: bool) -> None:
        """The cell ends now; more output may come."""
        # Who cannot be asked is no page.
        self._ended = not self._parent.get("content", {}).get("allow_stdin", True)
        if self._ended and expects_more:
            self._slot.open()

    def publish(self, operation: Operation) -> None:
        """Carry one operation out."""
        if self._ended:
            self._slot.publish(operation)
            return
        match operation:
            case Write(stream, text):
                _send(self._publish, "stream", {"name": stream, "text": text}, self._parent)
            case Move(key, text):
                send_show(self._publish, Show(_plain(text), {}, key, key in self._moving), self._parent)
                self._moving.add(key)
            case Show():
                send_show(self._publish, operation, self._parent)
            case Clear(wait):
                _send(self._publish, "clear_output", {"wait": wait}, self._parent)
            case _:
                assert_never(operation)

    def flush(self) -> None:
        """Let everything be seen."""
        if self._ended:
            self._slot.flush()


def send_show(publish: Any, shown: Show, parent: dict[str, Any]) -> None:
    """Send a display message for a given cell, with its buffers."""
    transient = {} if shown.display_id is None else {"display_id": shown.display_id}
    content = {"data": shown.data, "metadata": shown.metadata, "transient": transient}
    kind = "update_display_data" if shown.update else "display_data"
    _send(publish, kind, content, parent, shown.buffers)


def _send(
    publish: Any, kind: str, content: dict[str, Any], parent: dict[str, Any], buffers: Buffers = ()
) -> None:
    publish.session.send(
        publish.pub_socket, kind, content, parent=parent, ident=publish.topic, buffers=list(buffers) or None
    )


def _plain(text: str) -> dict[str, str]:
    return {"text/plain": text}
