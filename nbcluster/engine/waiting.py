"""The calls that wait on this engine, in order: who comes next, who is taken back. Knows no sockets and runs nothing.

The agent's thread adds and withdraws while the main thread takes; each step is one under a lock.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from nbcluster.engine.store import Buffer, Kept
from nbcluster.payload.envelopes import is_envelope
from nbcluster.protocol.calls import KEPT_BY_CONTROLLER
from nbcluster.protocol.tasks import CallOrder, CallRef, Input, RunOptions

_RECENT = 1024
"""Small values that are kept a while: calls that take them may be on their way, sent before the end was known."""


class Waiting:
    """A call that has not begun."""

    __slots__ = ("buffers", "lacks", "name", "options", "order")

    def __init__(self, order: CallOrder, options: RunOptions, buffers: Sequence[Buffer], lacks: int = 0):
        self.name = name_of(order)
        self.order = order
        self.options = options
        self.buffers = buffers
        self.lacks = lacks
        """How many of its inputs are still on their way."""


def name_of(call: CallOrder | CallRef) -> str:
    """Return the name under which interrupts aim at one attempt."""
    return f"{call.task}/{call.attempt}"


def _guarded(value: Kept | str) -> Kept | str:
    if isinstance(value, str) or not value.buffers:
        return value
    return Kept(
        value.payload,
        tuple(memoryview(buffer).toreadonly() for buffer in value.buffers),
        value.lease,
        value.shared,
    )


def _key(input: Input) -> str:
    """The name of the call that makes a value here, or the task whose value is asked for."""
    return f"{input.task}/{input.made}" if input.made else input.task


@dataclass
class _Coming:
    """A value that was asked for or is made here, and the calls that wait for it."""

    waiters: dict[str, Waiting] = field(default_factory=dict)
    value: Kept | str | None = None
    """The value, or why there is none; None until either has come."""


class CallQueue:
    """The calls that wait, and the values that were asked for on their behalf or are made by others before them.

    Parameters
    ----------
    begin : callable
        Called with the name of a call in the same step as that in which it stops being one that waits.
    stored : callable
        Returns the value of a task that this engine keeps, if it does.
    shared : callable
        Returns the value that an envelope means, if it means one here.
    """

    def __init__(
        self,
        begin: Callable[[str], None],
        stored: Callable[[str], Kept | None] = lambda task: None,
        shared: Callable[[bytes], Kept | None] = lambda envelope: None,
    ) -> None:
        self._begin = begin
        self._stored = stored
        self._shared = shared
        self._open: set[str] = set()  # those that have begun and not ended
        self._recent: OrderedDict[str, Kept] = OrderedDict()
        self._hopeless: list[CallRef] = []
        self._calls: OrderedDict[str, Waiting] = OrderedDict()
        self._coming: dict[str, _Coming] = {}
        self._lock = threading.Lock()
        self.paused = False
        """Whether no call begins but nbcluster's own, such as those that delete variables."""

    def __len__(self) -> int:
        return len(self._calls)

    # -- on the agent's thread ---------------------------------------------------------------

    def add(self, calls: Iterable[Waiting]) -> list[str]:
        """Let calls wait after those before them; return the tasks whose values must be asked for."""
        unknown: list[str] = []
        with self._lock:
            for call in calls:
                self._calls[call.name] = call
                for input in call.order.inputs:
                    if input.here or (input.payload is not None and not is_envelope(input.payload)):
                        continue
                    key = _key(input)
                    coming = self._coming.get(key)
                    if coming is None and input.made:
                        value = self._recent.get(key) or self._stored(input.task)
                        if value is None and key not in self._calls and key not in self._open:
                            self._give_up(call)
                            break
                        coming = self._coming[key] = _Coming(value=value)
                    elif coming is None:
                        value = None if input.payload is None else self._shared(input.payload)
                        coming = self._coming[key] = _Coming(value=value)
                        if value is None:
                            unknown.append(input.task)
                    if call.name not in coming.waiters:
                        coming.waiters[call.name] = call
                        call.lacks += coming.value is None
        return unknown

    def withdraw(self, refs: Iterable[CallRef]) -> list[CallRef]:
        """Take calls out that have not begun, and return them. What was sent ahead of them is hopeless then."""
        taken = []
        with self._lock:
            for ref in refs:
                call = self._calls.pop(name_of(ref), None)
                if call is not None:
                    taken.append(ref)
                    if call.order.inputs:
                        self._let_go(call)
                    self._give_up_on(call.name)
        return taken

    def take_hopeless(self) -> tuple[CallRef, ...]:
        """Return calls that were sent ahead of one that made no value; they are out of the queue."""
        if not self._hopeless:
            return ()
        with self._lock:
            refs, self._hopeless = tuple(self._hopeless), []
            return refs

    def came(self, task: str, value: Kept | str) -> None:
        """A value that was asked for has come, or the reason why it will not."""
        with self._lock:
            coming = self._coming.get(task)
            if coming is None or coming.value is not None:
                return
            coming.value = value
            for call in coming.waiters.values():
                call.lacks -= 1

    def is_awaited(self, task: str) -> bool:
        """Whether a call waits for a value that was asked for and has not come. Any thread may ask."""
        coming = self._coming.get(task)
        return coming is not None and coming.value is None

    def lost(self, task: str) -> None:
        """A value that was asked for went with its engine: the calls that need it are hopeless here."""
        with self._lock:
            coming = self._coming.get(task)
            if coming is not None and coming.value is None:
                for call in list(coming.waiters.values()):
                    self._give_up(call)
                    self._give_up_on(call.name)

    # -- on the main thread ------------------------------------------------------------------

    def take(self) -> Waiting | None:
        """Begin the next call; None when there is none, or its inputs are still on their way."""
        with self._lock:
            if not self._calls:
                return None
            name, call = self._calls.popitem(last=False)
            if call.lacks or (self.paused and not call.options.quiet):
                self._calls[name] = call
                self._calls.move_to_end(name, last=False)
                return None
            self._open.add(name)
            self._begin(name)
            return call

    def ended(self, name: str, value: Kept | None) -> None:
        """A call that was taken has ended: with a value for those that were sent ahead of it, or with none."""
        with self._lock:
            self._open.discard(name)
            if value is None:
                self._give_up_on(name)
                return
            coming = self._coming.get(name)
            if coming is not None and coming.value is None:
                coming.value = value
                for call in coming.waiters.values():
                    call.lacks -= 1
            if not value.buffers and not value.shared and len(value.payload) <= KEPT_BY_CONTROLLER:
                self._recent[name] = value
                if len(self._recent) > _RECENT:
                    self._recent.popitem(last=False)

    def take_deeper(self, level: int) -> Waiting | None:
        """Begin the latest call that is nested deeper than `level` and has its inputs; None when there is none."""
        with self._lock:
            for name in reversed(self._calls):
                call = self._calls[name]
                if call.options.level > level and not call.lacks and not self.paused:
                    del self._calls[name]
                    self._open.add(name)
                    self._begin(name)
                    return call
            return None

    def is_ready(self) -> bool:
        """Whether `take` would begin a call."""
        with self._lock:
            return bool(self._calls) and not self.paused and not next(iter(self._calls.values())).lacks

    def stalled(self) -> list[CallRef]:
        """Return the calls that do not begin because none may, and would otherwise."""
        if not self.paused:
            return []
        with self._lock:
            return [
                CallRef(call.order.task, call.order.attempt)
                for call in self._calls.values()
                if not call.lacks and not call.options.quiet
            ]

    def inputs_of(self, call: Waiting) -> dict[str, Kept | str]:
        """Return the values that came for a call that was taken, and need not be kept for it any more."""
        with self._lock:
            return self._let_go(call)

    def _give_up_on(self, name: str) -> None:
        """A call makes no value here: take out those that were sent ahead of it, and of these."""
        names = [name]
        while names:
            coming = self._coming.get(names.pop())
            if coming is not None and coming.value is None:
                for call in list(coming.waiters.values()):
                    self._give_up(call)
                    names.append(call.name)

    def _give_up(self, call: Waiting) -> None:
        if self._calls.pop(call.name, None) is not None:
            self._let_go(call)
            self._hopeless.append(CallRef(call.order.task, call.order.attempt))

    def _let_go(self, call: Waiting) -> dict[str, Kept | str]:
        found: dict[str, Kept | str] = {}
        for input in call.order.inputs:
            key = _key(input)
            coming = self._coming.get(key)
            if coming is None or coming.waiters.pop(call.name, None) is None:
                continue
            if coming.value is not None:
                # The last that takes it has it for itself; nobody may write into what others take.
                found[input.task] = _guarded(coming.value) if coming.waiters else coming.value
            if not coming.waiters:
                del self._coming[key]
        return found
