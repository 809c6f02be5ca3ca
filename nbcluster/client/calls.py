"""The calls of one client: made in any thread, sent by its loop, completed as the controller tells. Knows no views."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar, assert_never

from nbcluster.client.callfutures import CallFuture
from nbcluster.client.connection import Connection, not_wanted
from nbcluster.client.direct import Direct
from nbcluster.client.futures import Future, say
from nbcluster.client.listening import CallListener, listener_here
from nbcluster.client.outbox import Kind, Outbox, Parcel
from nbcluster.client.outcomes import exception_of
from nbcluster.client.packing import Function, Packed, Packer
from nbcluster.client.references import register
from nbcluster.client.sharing import Sharing
from nbcluster.client.straight import Straight
from nbcluster.errors import NBClusterError, UsageError, ValueReleased
from nbcluster.ids import TaskId
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m
from nbcluster.protocol.outcomes import Returned, Withdrawn
from nbcluster.transport.frames import Buffer

T = TypeVar("T")
F = TypeVar("F", bound=CallFuture)

CallNotice = c.CallsBegun | c.CallsDone | c.CallOutput | c.CallReport

SAY_AFTER = 2.0
"""Seconds of waiting to submit after which it is said why."""

FETCH_PATIENCE = 3600.0
"""Seconds that a value may take to arrive; a lost controller ends the wait long before."""

KEPT_FAILURES = 1_000
"""Calls whose error is kept, so that it can be the cause of a DependencyFailed."""

KEPT_ENDED = 10_000
"""Calls that have ended whose Future and cell still get what threads print that the call has left behind."""


class Calls:
    """The calls of one connected client.

    Parameters
    ----------
    label : str
        How others see this client.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.cluster = ""
        self.result_limit: int | None = None
        """Bytes of a value that this client takes at most; None is any."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self._file = ""
        self._connection: Connection | None = None
        self._prefix = ""
        self._numbers = itertools.count()
        self._outbox = Outbox(self._refused)
        self._open: dict[TaskId, weakref.ref[CallFuture]] = {}
        self._held: set[CallFuture] = set()
        self._listeners: dict[TaskId, CallListener] = {}
        self._ended_lately: OrderedDict[TaskId, tuple[weakref.ref[CallFuture], CallListener | None]] = (
            OrderedDict()
        )
        self._failures: OrderedDict[TaskId, Exception] = OrderedDict()
        self.direct: Direct | None = None
        """The way of small values to engines of this host, while connected."""
        self.has_cells: Callable[[], bool] = lambda: False
        """Whether cells of this client have not ended."""
        self.sharing = Sharing()
        self._straight = Straight()
        self.packer = Packer((CallFuture,), self.task_of, self.sharing)
        self._over: NBClusterError | None = UsageError("the cluster is not connected yet; start it first")

    def attach(self, connection: Connection, cluster: str, file: str) -> None:
        """Send over a connection, on the running loop, from now on."""
        self.loop = asyncio.get_running_loop()
        self.cluster, self._file = cluster, file
        self._connection = connection
        self._prefix = f"{connection.id[:8]}-"
        self._outbox.attach(connection)
        self._over = None
        register(self)

    @property
    def is_attached(self) -> bool:
        """Whether calls can be sent."""
        return self._over is None

    @property
    def is_idle(self) -> bool:
        """Whether nothing of this client waits or runs, so that nothing can be overtaken."""
        return self._over is None and not self._open and not self._outbox.unsent and not self.has_cells()

    @property
    def address(self) -> tuple[str, str]:
        """Name and connection file of the cluster."""
        return self.cluster, self._file

    @property
    def unfinished(self) -> list[Future]:
        """The Futures of calls that have not ended, as far as somebody holds them."""
        found = (known() for known in list(self._open.values()))
        return [future for future in found if future is not None]

    # -- from any thread ----------------------------------------------------------------------

    def send(
        self, kind: Kind, function: Function, packed: Packed, *, key: str = "", after: Sequence[TaskId] = ()
    ) -> CallFuture:
        """Have a call sent; return its Future at once."""
        future, parcel = self.draft(CallFuture, kind, function, packed, key=key, after=after)
        self.dispatch([(future, parcel)])
        return future

    def draft(
        self,
        future_type: type[F],
        kind: Kind,
        function: Function,
        packed: Packed,
        *,
        key: str = "",
        after: Sequence[TaskId] = (),
    ) -> tuple[F, Parcel]:
        """Make a call and its Future, to be sent by `dispatch`."""
        if self._over is not None:
            raise self._over
        task = TaskId(f"{self._prefix}{next(self._numbers)}")
        parcel = Parcel(
            kind,
            task,
            function.digest,
            function.payload,
            packed.payload,
            packed.buffers,
            packed.inputs,
            tuple(after),
            key,
            packed.nbytes - packed.shared,
            packed.lease,
            packed.envelope,
        )
        return future_type(self, task, kind, key), parcel

    def dispatch(self, drafts: Sequence[tuple[CallFuture, Parcel]]) -> None:
        """Have calls sent that were drafted, together."""
        listener = listener_here()
        for future, parcel in drafts:
            self._open[parcel.task] = weakref.ref(future)
            if parcel.lease is not None:
                if parcel.kind.options.repeatable:
                    parcel.lease.adopt()  # the controller may hold it longer, to have the call run again
                self.sharing.keep(parcel.task, parcel.lease)
            if listener is not None and not parcel.kind.options.quiet:
                self._listeners[parcel.task] = listener
        self._outbox.put([parcel for _, parcel in drafts])
        if self._over is not None:  # it was lost in between, and nobody else would complete these
            self._fail_open(self._over)

    def wait_room(self) -> None:
        """Wait until the controller keeps up with what was submitted; after two seconds say so."""
        outbox = self._outbox
        while not outbox.has_room and self._over is None:
            if self.loop is not None and asyncio._get_running_loop() is self.loop:
                raise UsageError(
                    f"{outbox.unsent} calls wait to be sent and this is the thread that sends them; "
                    "use `await cluster.submit(...)` there"
                )
            room = threading.Event()
            outbox.tell_room(room.set)
            if not room.wait(SAY_AFTER):
                say(f"waiting for the controller of {self.cluster!r} to take {outbox.unsent} calls")
                room.wait()

    async def room(self) -> None:
        """Wait until the controller keeps up with what was submitted."""
        outbox = self._outbox
        while not outbox.has_room and self._over is None:
            loop = asyncio.get_running_loop()
            room: asyncio.Future[None] = loop.create_future()

            def tell(loop: asyncio.AbstractEventLoop = loop, room: asyncio.Future[None] = room) -> None:
                loop.call_soon_threadsafe(_set_done, room)

            outbox.tell_room(tell)
            await room

    async def sent(self) -> None:
        """Wait until all that was submitted is on its way to the controller."""
        await self._outbox.wait_gone()

    def drop(self, task: TaskId) -> None:
        """Nobody holds this Future any more."""
        if self._over is None:
            self._outbox.drop(task)

    def hold(self, future: CallFuture) -> None:
        """Keep a Future until it is done: somebody is to be told."""
        self._held.add(future)
        if future.done():
            self._held.discard(future)

    def stop_soon(self, tasks: Iterable[TaskId], reason: str, *, force: bool = False) -> None:
        """Withdraw or interrupt calls; does not wait."""
        self._soon(lambda: self._stop(tuple(tasks), reason, force))

    def from_any_thread(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the loop."""
        if self.loop is None or self.loop.is_closed():
            work.close()
            raise self._over or UsageError("the loop of the cluster has ended")
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def here(self, work: Coroutine[Any, Any, T], timeout: float | None, what: str) -> T:
        """Run a coroutine on the loop and wait for it in this thread.

        Raises
        ------
        TimeoutError
            When the wait was given up.
        UsageError
            On the loop's own thread, where the wait could never end.
        """
        if self.loop is not None and asyncio._get_running_loop() is self.loop:
            work.close()
            raise UsageError(f"waiting for {what} on the thread that would bring it; await it there")
        waiting = self.from_any_thread(work)
        try:
            return waiting.result(timeout)
        except concurrent.futures.TimeoutError:
            if waiting.done():
                raise
            waiting.cancel()
            raise TimeoutError(f"gave up after waiting {timeout or 0:g} s for {what}") from None
        except KeyboardInterrupt:
            waiting.cancel()
            raise

    def task_of(self, future: CallFuture) -> TaskId:
        """Return the task whose value a Future stands for.

        Raises
        ------
        UsageError
            When it belongs to another cluster, or is planned and not sent.
        """
        if future.address != self.address:
            raise UsageError(
                f"{future!r} belongs to the cluster {future.address[0]!r} and cannot be an argument of a call on "
                f"{self.cluster!r}; give its result() instead"
            )
        future.be_sent()
        return future.task

    def failure_of(self, task: TaskId) -> Exception | None:
        """The error of a task that failed here lately."""
        return self._failures.get(task)

    def note_failure(self, task: TaskId, error: Exception) -> None:
        """Remember the error of a task, as the cause of others."""
        self._failures[task] = error
        if len(self._failures) > KEPT_FAILURES:
            self._failures.popitem(last=False)

    def _soon(self, function: Callable[[], object]) -> None:
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(function)

    # -- on the loop --------------------------------------------------------------------------

    @property
    def connection(self) -> Connection:
        """The connection; raises why there is none."""
        if self._over is not None:
            raise self._over
        assert self._connection is not None
        return self._connection

    async def fetch(self, task: TaskId) -> tuple[bytes, Sequence[Buffer]]:
        """Bring the pickled value of a call that has returned; what lies in shared memory is mapped.

        Raises
        ------
        ValueReleased
            When it is not kept any more.
        """
        order = c.FetchValue(task, whole=not self.sharing.is_on, direct=True)
        answer, buffers = await self.connection.ask_for_buffers(order, c.ValueBytes, timeout=FETCH_PATIENCE)
        if answer.offer is not None:
            value = await self._straight.fetch(answer.offer, lambda: self._over is None)
            if value is not None:
                return value
            order = c.FetchValue(task, whole=order.whole)
            answer, buffers = await self.connection.ask_for_buffers(
                order, c.ValueBytes, timeout=FETCH_PATIENCE
            )
        return self.sharing.opened(answer.payload, buffers)

    async def explain(self, task: str) -> str:
        """Ask why a task is where it is."""
        return (await self.connection.ask(c.Explain(task), m.LogText, timeout=30)).text

    async def stop_all(self, reason: str) -> None:
        """Withdraw or interrupt everything of this client, cells too."""
        self._withdrawn(self._outbox.withdraw(None), reason)
        await self.connection.ask(m.CancelAll(), m.Done, timeout=30)

    async def close(self, patience: float = 5.0) -> None:
        """Send what waits, then let all go."""
        if self._over is not None:
            return
        try:
            async with asyncio.timeout(patience):
                await self._outbox.wait_sent()
        except TimeoutError:
            say(f"the cluster {self.cluster!r} did not take {self._outbox.unsent} calls; they were not sent")
        self.end(
            ValueReleased(
                f"this client has left the cluster {self.cluster!r} and let its Futures go; connect again with "
                "Cluster.connect(), where cluster.futures() gives those that have a key"
            )
        )

    def end(self, error: NBClusterError) -> None:
        """Nothing more will come: every call that is open fails with this."""
        if self._over is not None:
            return
        self._over = error
        self._outbox.close()
        if self.direct is not None:
            self.direct.close()
        self._fail_open(error)
        self._straight.close()
        self.sharing.close()

    def _fail_open(self, error: NBClusterError) -> None:
        self._listeners.clear()
        while self._open:
            try:
                _, known = self._open.popitem()
            except KeyError:
                break
            future = known()
            if future is not None and not future.done():
                future.set_exception(error)
                self._held.discard(future)

    def handle(self, notice: CallNotice) -> None:
        """Take in what the controller tells."""
        match notice:
            case c.CallsDone(calls):
                for end in calls:
                    self._ended(end)
            case c.CallsBegun(calls):
                for begun in calls:
                    if (future := self._find(begun.task)) is not None:
                        future.begin(begun)
            case c.CallOutput(task, engine, _, output):
                known, listener = self._ended_lately.get(task) or (
                    self._open.get(task),
                    self._listeners.get(task),
                )
                if known is not None and (future := known()) is not None:
                    future.add_output(output)
                if listener is not None:
                    listener.take(task, engine, output)
            case c.CallReport(task, _, values):
                if (future := self._find(task)) is not None:
                    future.add_report(values)
            case _:
                assert_never(notice)

    def _find(self, task: TaskId) -> CallFuture | None:
        known = self._open.get(task)
        return known() if known is not None else None

    def _ended(self, end: c.CallDone) -> None:
        known = self._open.pop(end.task, None)
        self.sharing.ended(end.task)
        future = known() if known is not None else None
        listener = self._listeners.pop(end.task, None)
        if listener is not None and end.output and end.engine is not None:
            listener.take(end.task, end.engine, end.output)
        if known is not None:
            self._ended_lately[end.task] = known, listener
            if len(self._ended_lately) > KEPT_ENDED:
                self._ended_lately.popitem(last=False)
        if future is not None:
            future.complete(end)
            self._held.discard(future)
        if type(end.outcome) is not Returned:
            what = future.what if future is not None else end.task
            error = future.exception() if future is not None else None
            if not isinstance(error, Exception):
                error = exception_of(end.outcome, what, end.engine)
            if isinstance(error, Exception):
                self.note_failure(end.task, error)

    def _refused(self, tasks: list[TaskId], error: BaseException) -> None:
        for task in tasks:
            known = self._open.pop(task, None)
            self.sharing.ended(task)
            self._listeners.pop(task, None)
            future = known() if known is not None else None
            if future is not None and not future.done():
                future.set_exception(error)
                self._held.discard(future)

    def fail(self, tasks: Iterable[TaskId], error: NBClusterError) -> None:
        """End calls that have not ended with an error that is known here; how they end there counts no more."""
        self._refused([task for task in tasks if task in self._open], error)

    def has_open(self, listener: CallListener) -> bool:
        """Whether a call has not ended whose output a listener shows."""
        return any(known is listener for known in list(self._listeners.values()))

    def _withdrawn(self, tasks: Iterable[TaskId], reason: str) -> None:
        for task in tasks:
            self._ended(c.CallDone(task, None, 0, Withdrawn(reason)))

    def _stop(self, tasks: tuple[TaskId, ...], reason: str, force: bool) -> None:
        unsent = self._outbox.withdraw(set(tasks)) if self._outbox.unsent else []
        self._withdrawn(unsent, reason)
        left = tuple(task for task in tasks if task in self._open)
        if left and self._connection is not None and self._over is None:
            self._connection.post_then(m.CancelTasks(left, reason, force), not_wanted)


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
