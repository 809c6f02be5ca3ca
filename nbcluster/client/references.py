"""Futures that own nothing: they know a cluster and a task, and find the value when they are asked. Knows no views."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbcluster.client.callfutures import CallFuture
from nbcluster.client.futures import FINISHED, PENDING
from nbcluster.client.outbox import Kind
from nbcluster.errors import (
    BY_NAME,
    EngineLost,
    NBClusterError,
    RemoteError,
    TaskCancelled,
    TaskTimeout,
    ValueReleased,
)
from nbcluster.ids import TaskId
from nbcluster.protocol import calls as c
from nbcluster.protocol.outcomes import Returned

if TYPE_CHECKING:
    from nbcluster.client.calls import Calls

OVER = ("done", "failed", "cancelled", "lost")
"""States of a record that do not change any more."""

_attached: weakref.WeakValueDictionary[tuple[str, str], Calls] = weakref.WeakValueDictionary()
_connecting = threading.Lock()


def register(calls: Calls) -> None:
    """Have the references to a cluster served by this client of it."""
    _attached[calls.address] = calls


class Reference(CallFuture):
    """A Future of a task that another client, or an earlier life of this one, submitted.

    It holds nothing on the cluster: when the owner lets its value go, `result()` raises ValueReleased.

    Parameters
    ----------
    cluster, file : str
        Name and connection file of the cluster; it is connected to when the reference is first asked.
    task, key, label : str
    """

    _owns = False

    def __init__(self, cluster: str, file: str, task: str, key: str = "", label: str = "") -> None:
        self._state = PENDING
        self._address = cluster, file
        self._kind = Kind(c.CallOptions(label=label))
        self._key = key
        self.task = TaskId(task)
        self._followed = threading.Lock()

    @classmethod
    def of_record(cls, calls: Calls, record: c.TaskRecord) -> Reference:
        """Make one of what the controller tells of a task."""
        self = cls(*calls.address, record.task, record.key, record.label)
        self._submitted = record.submitted
        if record.state in OVER:
            self._followed.acquire()
            if record.state == "done":
                end = Returned(record.nbytes or 0, home=False)
                seconds = record.seconds or 0.0
                self.complete(
                    c.CallDone(
                        record.task, record.engine, record.attempt, end, record.started or 0.0, seconds
                    )
                )
            else:
                self.set_exception(_error_from(record.error))
        elif record.engine is not None and record.state == "running":
            self._begun = c.CallBegun(record.task, record.engine, record.attempt, record.started or 0.0)
        return self

    @property
    def address(self) -> tuple[str, str]:
        """Name and connection file of its cluster."""
        return self._address

    @property
    def _calls(self) -> Calls:  # type: ignore[override]  # found when it is first needed
        known = _attached.get(self._address)
        if known is not None and known.is_attached:
            return known
        with _connecting:
            return _connect(self._address)

    def done(self) -> bool:
        """Whether it has ended, as far as it is known here; asking begins to find out."""
        self._follow()
        return super().done()

    def wait_done(self, timeout: float | None = None) -> None:
        """Wait until it has ended, whatever it holds."""
        self._follow()
        super().wait_done(timeout)

    def tell_when_done(self, tell: Callable[[Any], object]) -> None:
        """Have a function called at once when it is done, on whatever thread that is; it must not wait."""
        self._follow()
        super().tell_when_done(tell)

    def _follow(self) -> None:
        if self._state == FINISHED or not self._followed.acquire(blocking=False):
            return
        try:
            calls = self._calls
            calls.from_any_thread(self._come(calls))
        except NBClusterError as error:
            self.set_exception(
                ValueReleased(
                    f"{self.what} cannot be found: the cluster {self._address[0]!r} does not answer: {error}"
                )
            )

    async def _come(self, calls: Calls) -> None:
        try:
            self._brought = payload, buffers = await calls.fetch(self.task)
        except (NBClusterError, TimeoutError) as error:
            self.set_exception(_told(error, self.task))
            return
        nbytes = len(payload) + sum(len(buffer) for buffer in buffers)
        self.complete(c.CallDone(self.task, None, 0, Returned(nbytes, home=False)))

    def __reduce__(self) -> Any:
        from nbcluster.client.remote import find_future

        return find_future, (*self._address, self.task, self._key, self._kind.options.label)


def _connect(address: tuple[str, str]) -> Calls:
    from nbcluster.client.current import connect_to

    known = _attached.get(address)
    if known is not None and known.is_attached:
        return known
    return connect_to(address[1]).calls


def _told(error: Exception, task: TaskId) -> Exception:
    """The error that a refusal to bring a value stands for."""
    _, without, text = str(error).partition(f"{task} has no value: ")
    return _error_from(text) if without else error


def _error_from(text: str) -> Exception:
    """The error that a record's text stands for."""
    name, _, message = text.partition(": ")
    known = {kind.__name__: kind for kind in (TaskTimeout, TaskCancelled, EngineLost)} | BY_NAME
    return known[name](message) if name in known else RemoteError(name, message)
