"""The Future of a call that is sent later, when it is known what it is to be called with. Knows no graphs of cells."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbcluster.client.callfutures import CallFuture
from nbcluster.client.outbox import Parcel
from nbcluster.errors import TaskCancelled, UsageError

if TYPE_CHECKING:
    from nbcluster.client.submitting import Submission


class PromisedFuture(CallFuture):
    """A Future of a call that another thread sends. It can be waited for, cancelled and shown before that.

    As an argument of a call it is waited for until it is sent, since only then the cluster knows it.
    """

    is_planned = True
    _stop: str | None = None
    _has_tells = False
    submission: Submission
    parcel: Parcel
    _sent: threading.Event

    @property
    def status(self) -> str:
        """queued, running, stopping, done, failed or cancelled."""
        if not self.is_planned:
            return super().status if self._owns else "cancelled" if self.cancelled() else "failed"
        return "stopping" if self._stop else "queued"

    def explain(self, timeout: float = 10) -> str:
        """Say in a sentence why it is where it is."""
        if self.is_planned:
            return f"{self.what} waits for what comes before it in its cell"
        return super().explain(timeout) if self._owns else f"{self.what} was never sent: {self._exception}"

    def ask_to_stop(self, reason: str, *, force: bool = False) -> None:
        """Ask that it be withdrawn or interrupted, before or after it is sent; does not wait."""
        if self.is_planned:
            self._stop = reason
        elif self._owns:
            super().ask_to_stop(reason, force=force)

    def send_with(self, function: Callable[..., Any], *args: Any) -> None:
        """Send it, with the arguments that are known now; one that was cancelled is not sent."""
        if self._stop is not None:
            self.give_up(TaskCancelled(f"{self.what} was cancelled: {self._stop}"))
            return
        packer = self._calls.packer
        packed = packer.arguments(args, {}, function)
        parcel = self.parcel._replace(
            payload=packed.payload,
            buffers=packed.buffers,
            inputs=packed.inputs,
            nbytes=packed.nbytes - packed.shared,
            lease=packed.lease,
        )
        self.is_planned = False
        if self._has_tells:
            self._calls.hold(self)
        self._calls.dispatch([(self, parcel)])
        self._sent.set()

    def give_up(self, error: BaseException) -> None:
        """It will never be sent."""
        self.is_planned = self._owns = False  # the cluster never knew of it
        self.set_exception(error)
        self._sent.set()

    def be_sent(self) -> None:
        """Wait until it is sent, so that it can be named to the cluster.

        Raises
        ------
        UsageError
            On the thread that sends.
        BaseException
            What it was given up with.
        """
        if self.is_planned and asyncio._get_running_loop() is self.loop:
            raise UsageError(
                f"{self!r} is not sent yet, and this is the thread that sends; await it first, or submit from another "
                "thread"
            )
        self._sent.wait()
        if not self._owns:
            self._raise(self._exception or UsageError(f"{self.what} was never sent"))

    def _hold(self) -> None:
        self._has_tells = True
        if not self.is_planned:
            super()._hold()

    def why_waiting(self) -> str:
        """Why it was not sent, or where it is."""
        return self.explain() if self.is_planned else super().why_waiting()


def promise(submission: Submission, function: Callable[..., Any], label: str) -> PromisedFuture:
    """Return the Future of a call of a function whose arguments are to come."""
    future, parcel = submission.draft(PromisedFuture, function, label)
    future.parcel = parcel
    future._sent = threading.Event()
    return future
