"""The thread that speaks with the controller while the main thread computes. Runs no user code, knows no cells.

It takes orders, withdraws and interrupts calls, brings values and sends what calls have said. Questions about names
go to a thread of their own (see answers), since values of users may be slow to look at.
"""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import assert_never

from nbcluster.engine import strays
from nbcluster.engine.capture import CallOutput
from nbcluster.engine.context import RunningCall
from nbcluster.engine.interrupts import Interrupts
from nbcluster.engine.keeper import Keeper
from nbcluster.engine.link import TaskLink
from nbcluster.engine.runner import Runner
from nbcluster.engine.sharing import Sharing
from nbcluster.engine.shipping import Shipping
from nbcluster.engine.store import Buffer, Kept, Store
from nbcluster.engine.waiting import CallQueue, Waiting, name_of
from nbcluster.engine.watch import MemoryWatch
from nbcluster.errors import NBClusterError
from nbcluster.ids import Incarnation, TaskId
from nbcluster.payload.sizes import readable
from nbcluster.protocol.offers import Offer
from nbcluster.protocol.outcomes import Returned, Withdrawn
from nbcluster.protocol.tasks import (
    AgentHello,
    Answered,
    Ask,
    Begun,
    CallRef,
    CallResult,
    CallsReturned,
    DropValues,
    GaveBack,
    Lends,
    Printed,
    Reported,
    RunCalls,
    SendMe,
    SendValue,
    StopCalls,
    TakeBack,
    TakeValue,
    ToEngine,
    ValueSent,
)
from nbcluster.transport import ports

TICK = 0.005
"""Seconds between two looks at a call that has begun a moment ago, or at results that wait."""

LONG = 0.05
"""Seconds after which a call is said to have begun; it is looked at less often then."""

SPEAK = 0.2
"""Seconds between two messages about what a call says: its output, its reports."""

STRAYS = 0.05
"""Seconds after an interrupt when the children of a call that still runs are interrupted too."""

AGAIN = 0.25
"""Seconds after which a signal that was not heard is sent again."""

MOST_RESULTS = 1000
"""Results in one message."""


class Agent(threading.Thread):
    """The agent of this engine.

    Parameters
    ----------
    incarnation : int
        The engine's incarnation.
    link : TaskLink
        The connection to the controller.
    queue : CallQueue
        The calls that wait.
    store : Store
        The values that are kept here.
    sharing : Sharing
        Where large values lie.
    shipping : Shipping
        How they go straight to others and come from them.
    keeper : Keeper
        Keeps values within bounds.
    interrupts : Interrupts
        Where interrupts of calls are noted.
    learn : callable
        Takes functions (bytes by digest) and digests that may be forgotten.
    answer : callable
        Takes a question, and what to call with the answer to it.
    """

    def __init__(
        self,
        incarnation: int,
        link: TaskLink,
        queue: CallQueue,
        store: Store,
        sharing: Sharing,
        shipping: Shipping,
        keeper: Keeper,
        interrupts: Interrupts,
        learn: Callable[[dict[str, bytes], Sequence[str]], None],
        answer: Callable[[Ask, Callable[[Answered], None]], None],
        complain: Callable[[str], None],
    ) -> None:
        super().__init__(name="nbcluster agent", daemon=True)
        self._incarnation = incarnation
        self._link = link
        self._queue = queue
        self._store = store
        self._sharing = sharing
        self._shipping = shipping
        self._watch = MemoryWatch(keeper, queue, lambda: self.runner.wake())
        keeper.on_relief = self._look_again
        self._interrupts = interrupts
        self._learn = learn
        self._answer = answer
        self._complain = complain
        self._results: deque[CallResult] = deque()
        self._late: set[CallOutput] = set()
        self._told_begun: RunningCall | None = None
        self._hurried = False
        self._spoke = 0.0
        self._level = -1
        self._stop = _Stop()
        self._closing = False
        self._main = threading.main_thread().ident or 0
        self.runner: Runner

    # -- called on the main thread -----------------------------------------------------------

    def take_result(self, call: RunningCall, result: CallResult) -> None:
        """Send a result soon, with what the call has reported before it."""
        if call.progress is not call.told:
            self._link.send(Reported(TaskId(call.task), call.attempt, call.progress or {}))
            call.told = call.progress
        self._results.append(result)
        value = None
        if isinstance(result.outcome, Returned):
            rides = result.payload if result.outcome.home else None
            value = self._store.get(result.task) if rides is None else Kept(rides)
        self._queue.ended(call.name, value)
        if self._watch.is_waiting:
            self._look_again()

    def send_results(self) -> None:
        """Send the results that were taken, then what cannot run for want of them. Any thread may ask."""
        results = self._results
        while results:
            with self._link.lock:
                batch: list[CallResult] = []
                while results and len(batch) < MOST_RESULTS:
                    batch.append(results.popleft())
                if batch:
                    self._link.send(CallsReturned(tuple(batch)))
        if hopeless := self._queue.take_hopeless():
            self._link.send(GaveBack(hopeless))

    def hurry(self, output: CallOutput) -> None:
        """Send output of a call that cannot wait. Any thread may ask."""
        if output.ended:
            self._late.add(output)
        self._hurried = True
        self._link.wake()

    def lend(self, call: RunningCall | None, level: int) -> None:
        """Say that what runs waits for calls, and which may run on top of it."""
        if call is not None and call is not self._told_begun:
            self._tell_begun(call)
        self._level = level
        self._link.send(Lends(level))

    # -- the thread --------------------------------------------------------------------------

    def close(self) -> None:
        """End the thread and the connection."""
        self._closing = True
        self._link.wake()
        self.join(1.0)

    def run(self) -> None:
        """Serve until closed."""
        self._greet()
        while not self._closing:
            # Looked at before the first wait: a descriptor tells what happens after a look, not before the first.
            if self._link.has_reconnected():
                self._greet()
            for message, buffers in self._link.receive():
                try:
                    self._take(message, buffers)
                except Exception as error:  # one bad message must not end the agent
                    self._complain(f"{type(message).__name__}: {type(error).__name__}: {error}")
            try:
                self._look()
            except Exception as error:
                self._complain(f"a look at what runs: {type(error).__name__}: {error}")
            self._link.wait(self._patience())
        self._link.close()
        self._shipping.close()
        self._sharing.close()

    def _greet(self) -> None:
        self._link.send(AgentHello(Incarnation(self._incarnation), os.getpid(), platform.python_version()))
        if self._level >= 0:
            self._link.send(Lends(self._level))

    def _patience(self) -> float | None:
        call = self.runner.running
        if self._late or self._link.is_stuck or self._watch.is_waiting:
            return LONG
        if call is not None:
            told = call is self._told_begun and not self._stop.is_due
            return SPEAK if told and not self._results else TICK
        if self._results or self._queue.is_ready():
            return TICK if self._interrupts.running is None else LONG
        return None if self._interrupts.running is None else SPEAK

    # -- messages ----------------------------------------------------------------------------

    def _take(self, message: ToEngine, buffers: Sequence[Buffer]) -> None:
        match message:
            case RunCalls():
                self._run_calls(message, buffers)
            case TakeBack(calls):
                self._link.send(GaveBack(tuple(self._queue.withdraw(calls))))
                self.send_results()
                self.runner.wake()  # one that waited for its inputs may have been before others
            case StopCalls(calls):
                self._stop_calls(calls)
            case DropValues(tasks):
                self._store.drop(tasks)
                self._sharing.trim()
                if self._watch.has_told:
                    self._watch.hurry()
            case SendValue():
                self._send_value(message)
            case TakeValue(offer=offer) if offer is not None:
                self._fetch(offer)
            case TakeValue(task, lost=True):
                self._queue.lost(task)
                self.send_results()
                self.runner.wake()  # what was behind those that waited for it
            case TakeValue(task):
                self._came(task, message.missing or Kept(message.payload, tuple(buffers)))
            case Ask():
                self._answer(message, self._link.send)
            case _:
                assert_never(message)

    def _run_calls(self, message: RunCalls, buffers: Sequence[Buffer]) -> None:
        self._learn(message.functions, message.forget)
        waiting = []
        at = 0
        for order in message.calls:
            count = len(order.sizes)
            waiting.append(Waiting(order, message.options[order.options], buffers[at : at + count]))
            at += count
        unknown = self._queue.add(waiting)
        self.runner.wake()
        for task in unknown:
            self._link.send(SendMe(TaskId(task), whole=not self._sharing.is_on, direct=True))
        self.send_results()

    def _came(self, task: TaskId, value: Kept | str) -> None:
        self._queue.came(task, value)
        self.runner.wake()

    def _fetch(self, offer: Offer) -> None:
        task = offer.task

        def came(outcome: Kept | NBClusterError | None) -> None:
            if outcome is None:  # the controller brings it, or knows that its engine is gone
                self._link.send(SendMe(task, whole=not self._sharing.is_on))
            else:
                self._came(task, outcome if isinstance(outcome, Kept) else str(outcome))

        self._shipping.fetch(offer, lambda: self._queue.is_awaited(task), came)

    def _send_value(self, asked: SendValue) -> None:
        request, task, whole = asked.request, asked.task, asked.whole
        kept = self._store.get(task)
        if kept is None:
            self._link.send(ValueSent(request, missing=f"the value of {task} is not kept here any more"))
            return
        try:
            offer = None
            if asked.direct and (whole or not kept.shared):
                offer = self._shipping.offer(task, kept)
            if offer is not None:
                self._link.send(ValueSent(request, offer=offer))
                return
            payload, buffers = self._sharing.send(kept, whole=whole)
        except NBClusterError as error:
            self._link.send(ValueSent(request, missing=str(error)))
            return
        sizes = tuple(len(buffer) for buffer in buffers)
        if (nbytes := len(payload) + sum(sizes)) > ports.MAX_VALUE:
            why = (
                f"the value of {task} has {readable(nbytes)}, and at most {readable(ports.MAX_VALUE)} can be sent at "
                "once where shared memory cannot be used; have a call on its engine make it smaller, or write a file"
            )
            self._link.send(ValueSent(request, missing=why))
            return
        self._link.send(ValueSent(request, payload, sizes), buffers)

    def _stop_calls(self, refs: Sequence[CallRef]) -> None:
        dropped = self._queue.withdraw(refs)
        for ref in dropped:
            self._results.append(CallResult(ref.task, ref.attempt, Withdrawn("it had not begun")))
        self.send_results()
        for ref in refs:
            name = name_of(ref)
            if self._interrupts.is_here(name):
                self.runner.stop_names.add(name)
                if self._interrupts.aim_at_call(name, self._signal):
                    self._stop = _Stop(name, time.monotonic())

    def _signal(self) -> None:
        signal.pthread_kill(self._main, signal.SIGINT)

    # -- looking at what runs ----------------------------------------------------------------

    def _look_again(self) -> None:
        """Look at the memory at once. Any thread may ask."""
        self._watch.hurry()
        self._link.wake()

    def _look_at_memory(self, now: float) -> None:
        busy = self._interrupts.running is not None and self._level < 0
        news, ends = self._watch.look(now, busy=busy)
        if ends:
            self._results.extend(ends)
            self.send_results()
            self.runner.wake()  # what stood behind them may be a call of our own
        if news is not None:
            self._link.send(news)

    def _look(self) -> None:
        self.send_results()
        now = time.monotonic()
        self._look_at_memory(now)
        call = self.runner.running
        if call is not None:
            if call is not self._told_begun and time.perf_counter() - call.clock >= LONG:
                self._tell_begun(call)
            if self._stop.is_due:
                self._insist(call, now)
        elif self._stop.is_due:
            self._stop = _Stop()
        if (self._hurried or now - self._spoke >= SPEAK) and not self._link.is_stuck:
            in_a_hurry, self._hurried = self._hurried, False
            self._spoke = now
            while self._late:
                self._send_output(self._late.pop())
            if call is not None and (in_a_hurry or time.perf_counter() - call.clock >= SPEAK):
                self._say(call)

    def _tell_begun(self, call: RunningCall) -> None:
        with self._link.lock:
            if self.runner.running is call:
                self._link.send(Begun(TaskId(call.task), call.attempt, call.started))
                self._told_begun = call

    def _say(self, call: RunningCall) -> None:
        """Send what a call has printed and reported, if it still runs; its end brings the rest."""
        with self._link.lock:
            if self.runner.running is not call:
                return
            self._send_output(call.output)
            said = call.progress
            if said is not call.told and said is not None:
                call.told = said
                self._link.send(Reported(TaskId(call.task), call.attempt, said))

    def _send_output(self, output: CallOutput) -> None:
        taken = output.take()
        if taken:
            self._link.send(Printed(TaskId(output.task), output.attempt, taken))

    def _insist(self, call: RunningCall, now: float) -> None:
        """Help an interrupt through: wake a system call, signal again, interrupt the call's children."""
        stop = self._stop
        if call.name != stop.name:
            self._stop = _Stop()
            return
        if self._interrupts.is_unheard():
            if now - stop.signalled >= AGAIN:
                stop.signalled = now
                self._interrupts.aim_at_call(stop.name, self._signal)
            else:
                # A signal that comes between Python's last look for signals and a blocking system call is not
                # heard before the call returns. Any signal with a handler ends the call.
                signal.pthread_kill(self._main, signal.SIGURG)
        if not stop.children and now - stop.since >= STRAYS:
            stop.children = True
            strays.interrupt_children(since=strays.now() - (time.time() - call.started))
        if stop.children and not self._interrupts.is_unheard():
            self._stop = _Stop()


class _Stop:
    """An interrupt of a call that was sent and is watched until it has been heard."""

    def __init__(self, name: str = "", since: float = 0.0) -> None:
        self.name = name
        self.since = self.signalled = since
        self.children = False

    @property
    def is_due(self) -> bool:
        return bool(self.name)
