"""Which call runs here: what code in a call, and in threads that it starts, can ask. Knows no kernel and no sockets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nbcluster.engine.capture import CallOutput
from nbcluster.protocol.tasks import CONNECTION, RunOptions


@dataclass(frozen=True)
class CurrentTask:
    """The task that the calling code belongs to.

    Attributes
    ----------
    task : str
        Its id, unique within the cluster.
    attempt : int
        The first attempt is 1.
    label : str
        How views name it.
    namespace : str
        The namespace that it runs in; "" is the kernel's own.
    connection_file : str
        Of the cluster; "" when the engine was started by something else.
    """

    task: str
    attempt: int
    label: str
    namespace: str
    connection_file: str


class RunningCall:
    """One attempt of a call from its begin on, with what it has said."""

    __slots__ = ("attempt", "clock", "name", "options", "output", "progress", "started", "task", "told")

    def __init__(
        self, name: str, task: str, attempt: int, options: RunOptions, hurry: Callable[[CallOutput], None]
    ) -> None:
        self.name = name
        """By which interrupts aim at it."""
        self.task = task
        self.attempt = attempt
        self.options = options
        self.output = CallOutput(task, attempt, hurry)
        self.progress: dict[str, Any] | None = None
        """What report() said last."""
        self.told: dict[str, Any] | None = None
        """The last of it that was sent."""
        self.started = time.time()
        """Epoch seconds."""
        self.clock = time.perf_counter()
        """When it began."""

    @property
    def parent(self) -> dict[str, Any]:
        """What stands for the request of a cell, where the kernel asks for one: nobody's."""
        header = {
            "msg_id": self.name,
            "msg_type": "nbcluster_call",
            "session": "",
            "username": "",
            "date": datetime.fromtimestamp(self.started, UTC),
            "version": "5.4",
        }
        return {"header": header, "parent_header": {}, "metadata": {}, "content": {}, "buffers": []}

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let what runs in this block, in this thread, belong to the call."""
        token = current.set(self)
        try:
            yield
        finally:
            current.reset(token)


current: ContextVar[RunningCall | None] = ContextVar("nbcluster_call", default=None)
"""The call that the calling code belongs to; None in cells and elsewhere."""


def current_task() -> CurrentTask | None:
    """Return the task that the calling code belongs to, None outside of calls."""
    call = current.get()
    if call is None:
        return None
    options = call.options
    connection = os.environ.get(CONNECTION, "")
    return CurrentTask(call.task, call.attempt, options.label, options.namespace, connection)


def refuse_input() -> None:
    """Say that a call cannot ask; does nothing elsewhere.

    Raises
    ------
    StdinNotImplementedError
        In a call, and in threads that it started.
    """
    call = current.get()
    if call is not None:
        from IPython.core.error import StdinNotImplementedError

        what = call.options.label or call.task
        raise StdinNotImplementedError(
            f"the call {what!r} asked for input, and nobody can answer a call: give what it needs as an argument, "
            "or run it in a cell with %%distributed, where input() works"
        )
