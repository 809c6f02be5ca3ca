"""Runs calls on the main thread, one after the other, between cells. Knows no sockets: results go where it is told.

A turn of the loop runs calls for a hundredth of a second, then messages of the kernel have theirs. A coroutine is
awaited in a task of the same loop; until it is done, no other call and no cell begins.
"""

from __future__ import annotations

import asyncio
import signal
import time

# signal's own looks for what it returns among the members of an enum, which takes a tenth of a short call.
from _signal import getsignal  # type: ignore[import-not-found]  # it has no stub
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from types import CodeType, CoroutineType, FrameType
from typing import Any, Protocol

from nbcluster.engine import context
from nbcluster.engine.capture import CallOutput
from nbcluster.engine.context import RunningCall
from nbcluster.engine.gate import Gate
from nbcluster.engine.interrupts import Interrupts
from nbcluster.engine.nested import Nested
from nbcluster.engine.waiting import CallQueue, Waiting
from nbcluster.ids import TaskId
from nbcluster.protocol.outcomes import CallOutcome, Withdrawn
from nbcluster.protocol.tasks import CallResult

TURN = 0.01
"""Seconds that calls run before the loop has its turn."""

UNSENT = 0.002
"""Seconds that a result may wait for more while calls run."""

DEAF = 1.0
"""Seconds that a call's end waits for a signal that was aimed at it, and that Python has not delivered yet."""

SHORT = 1e-4
"""Seconds of a call behind which nobody looks for what was written to descriptors: to look costs an empty call half as
much again, and a program that was waited for takes ten times as long."""

INTERRUPTED = "it was interrupted"


class Work(Protocol):
    """What a call does: its steps that run code of users, and its outcome."""

    def start(self, waiting: Waiting) -> Any:
        """Make the arguments and call the function; return its value, or a coroutine that will."""

    def pack(self, waiting: Waiting, held: list[Any]) -> tuple[CallOutcome, bytes | None]:
        """Take the value out of a list that alone holds it, and pickle it; return the outcome and what rides home."""

    def put_aside(self) -> Any:
        """Let another call be started on top of the one that was; return what `take_up` needs."""

    def take_up(self, aside: Any) -> None:
        """Go on with the call that was put aside."""

    def explain(self, waiting: Waiting, error: BaseException) -> CallOutcome:
        """Return the outcome of a call that raised. Raises nothing."""

    def end(self) -> None:
        """Let go of what belongs to the call that was started."""


class Runner:
    """The lane of calls on the main thread.

    Parameters
    ----------
    queue : CallQueue
        The calls that wait.
    gate : Gate
        Says whether a cell runs.
    interrupts : Interrupts
        Where interrupts of the running call are noted.
    work : Work
        What a call does.
    loop : asyncio.AbstractEventLoop
        The main thread's loop.
    ended : callable
        Takes each call and its result when it is over, and sends it soon.
    send : callable
        Sends what `ended` has taken, now.
    take_raw : callable
        Has what was written to descriptors until now be of a call, None for the cell that runs.
    """

    def __init__(
        self,
        queue: CallQueue,
        gate: Gate,
        interrupts: Interrupts,
        work: Work,
        loop: asyncio.AbstractEventLoop,
        ended: Callable[[RunningCall, CallResult], None],
        send: Callable[[], None],
        hurry: Callable[[CallOutput], None],
        on_sigint: Callable[[int, FrameType | None], Any],
        lend: Callable[[RunningCall | None, int], None] = lambda call, level: None,
        take_raw: Callable[[RunningCall | None], None] = lambda call: None,
    ) -> None:
        self.running: RunningCall | None = None
        """The call that runs now."""
        self.stop_names: set[str] = set()
        """The names of calls that are to be stopped, of those that run."""
        self._queue = queue
        self._gate = gate
        self._interrupts = interrupts
        self._work = work
        self._loop = loop
        self._ended = ended
        self._send = send
        self._hurry = hurry
        self._on_sigint = on_sigint
        self._lend = lend
        self._take_raw = take_raw
        self._scheduled = False
        self._exposed = False
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False
        self.nested = Nested(self)

    # -- turns -------------------------------------------------------------------------------

    def wake(self) -> None:
        """Run what waits, soon. Any thread may ask."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._turn)
        self.nested.wake()

    def go_on(self) -> None:
        """Run what waits, if anything does."""
        if len(self._queue):
            self.wake()

    def _turn(self) -> None:
        self._scheduled = False  # before looking: whoever adds from here on asks for another turn
        if self._gate.closed or self.running is not None:
            return
        with self._gate.calls():
            self._run_for_a_turn()

    def _run_for_a_turn(self) -> None:
        begun = sent = time.perf_counter()
        try:
            while (waiting := self._queue.take()) is not None:
                if not self._run(waiting):
                    return
                now = time.perf_counter()
                if now - begun > TURN:
                    self.go_on()
                    return
                if now - sent > UNSENT:
                    self._send()
                    sent = now
        finally:
            self._send()

    # -- one call ----------------------------------------------------------------------------

    def _run(self, waiting: Waiting) -> bool:
        """Run a call; False when it goes on in a task."""
        order = waiting.order
        call = RunningCall(waiting.name, order.task, order.attempt, waiting.options, self._hurry)
        self.running = call
        if getsignal(signal.SIGINT) is not self._on_sigint:
            signal.signal(signal.SIGINT, self._on_sigint)
        inside = self.nested.fresh_context() or copy_context()
        try:
            value = inside.run(self._begin, call, waiting)
        except Exception as error:  # of ours: the call must be answered all the same
            self._exposed = False
            value = self._work.explain(waiting, error), None
        if not isinstance(value, CoroutineType):
            self._finish(call, *value)
            return True
        if self.nested.depth:
            self._finish(call, *inside.run(self._drive_here, waiting, value))
            return True
        self._await(call, waiting, value, inside)
        return False

    def _begin(self, call: RunningCall, waiting: Waiting) -> Any:
        """Return the outcome and what rides home with it, or the coroutine that is to be awaited."""
        context.current.set(call)
        work = self._work
        try:
            try:
                self._exposed = True
                if self._interrupts.take_pending():
                    raise KeyboardInterrupt
                value = work.start(waiting)
                if isinstance(value, CoroutineType):
                    self._exposed = False
                    return value
                held, value = [value], None
                packed = work.pack(waiting, held)
                self._exposed = False
            except BaseException as error:
                self._exposed = False
                packed = self._explain(waiting, error), None
        except KeyboardInterrupt as error:  # between the two lines above
            self._exposed = False
            packed = self._explain(waiting, error), None
        value = None
        work.end()
        return packed

    def _explain(self, waiting: Waiting, error: BaseException) -> CallOutcome:
        if waiting.name in self.stop_names and isinstance(error, KeyboardInterrupt):
            return Withdrawn(INTERRUPTED)
        return self._work.explain(waiting, error)

    def _finish(self, call: RunningCall, outcome: CallOutcome, payload: bytes | None) -> None:
        seconds = time.perf_counter() - call.clock
        if self._interrupts.end_call():
            self._wait_until_heard()
        if seconds > SHORT:
            self._take_raw(call)
        self.running = None
        self.stop_names.discard(call.name)
        output = call.output
        output.ended = True
        self._ended(
            call,
            CallResult(
                TaskId(call.task), call.attempt, outcome, call.started, seconds, payload, output.take()
            ),
        )

    def _wait_until_heard(self) -> None:
        """Let a signal that was meant for the call that ended come here, where it does nothing."""
        until = time.monotonic() + DEAF
        while self._interrupts.is_owed and signal.getsignal(signal.SIGINT) is self._on_sigint:
            time.sleep(0.0001)
            if time.monotonic() > until:
                return

    # -- a call that awaits ------------------------------------------------------------------

    def _await(
        self, call: RunningCall, waiting: Waiting, coroutine: Coroutine[Any, Any, Any], inside: Context
    ) -> None:
        packed: tuple[CallOutcome, bytes | None] = Withdrawn(INTERRUPTED), None
        self._gate.hold()
        self._cancelled = False

        async def drive() -> None:
            nonlocal packed
            try:
                try:
                    self._exposed = True
                    if self._interrupts.take_pending():
                        raise KeyboardInterrupt
                    packed = self._work.pack(waiting, [await coroutine])
                    self._exposed = False
                except BaseException as error:
                    self._exposed = False
                    packed = self._explain(waiting, self._interrupt_of(error)), None
            except KeyboardInterrupt as error:
                self._exposed = False
                packed = self._explain(waiting, error), None

        def over(task: asyncio.Task[None]) -> None:
            self._task, self._exposed = None, False
            coroutine.close()  # where it never came to its first step
            if not task.cancelled() and (failure := task.exception()) is not None:
                self._finish(call, self._work.explain(waiting, failure), None)
            else:
                self._finish(call, *packed)
            inside.run(self._work.end)
            self._gate.release()
            self._send()
            self.go_on()

        self._task = self._loop.create_task(drive(), context=inside)
        self._drive_code = drive.__code__
        self._task.add_done_callback(over)

    _drive_code: CodeType

    def _interrupt_of(self, error: BaseException) -> BaseException:
        if self._cancelled and isinstance(error, asyncio.CancelledError):
            return KeyboardInterrupt().with_traceback(error.__traceback__)
        return error

    def _drive_here(
        self, waiting: Waiting, coroutine: Coroutine[Any, Any, Any]
    ) -> tuple[CallOutcome, bytes | None]:
        """Run a coroutine on top of a call that waits, in a loop of its own: the kernel's is beneath."""
        packed: tuple[CallOutcome, bytes | None] = Withdrawn(INTERRUPTED), None
        beneath = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        loop = asyncio.new_event_loop()
        try:
            try:
                self._exposed = True
                if self._interrupts.take_pending():
                    raise KeyboardInterrupt
                packed = self._work.pack(waiting, [loop.run_until_complete(coroutine)])
                self._exposed = False
            except BaseException as error:
                self._exposed = False
                packed = self._explain(waiting, error), None
        except KeyboardInterrupt as error:
            self._exposed = False
            packed = self._explain(waiting, error), None
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        coroutine.close()  # where it never came to its first step
        loop.close()
        asyncio._set_running_loop(beneath)
        self._work.end()
        return packed

    # -- interrupts --------------------------------------------------------------------------

    def take_hit(self, frame: FrameType | None) -> bool:
        """Interrupt the code of users in the running call; False when none runs now. For a signal handler.

        Raises
        ------
        KeyboardInterrupt
            Where the handler was called in such code.
        """
        if self.nested.is_serving or (self.nested.depth and not self._exposed):
            self._interrupts.postpone()
            self.nested.wake()
            return True
        if not self._exposed:
            return False
        if self._task is None or _runs_below(frame, self._drive_code):
            raise KeyboardInterrupt
        # It is suspended: the task is cancelled in the next round of the loop, which sleeps and must be woken.
        self._cancelled = True
        self._task.cancel()
        self._loop.call_soon_threadsafe(_nothing)
        return True


def _runs_below(frame: FrameType | None, code: CodeType) -> bool:
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def _nothing() -> None:
    """Wakes the loop."""
