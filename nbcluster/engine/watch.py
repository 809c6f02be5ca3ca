"""Looks at this engine's memory now and then: whether further calls may begin, what is told of it. Knows no sockets.

A call that waits for memory does not wait for ever: who could free it may wait for that very call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbcluster.engine.keeper import Held, Keeper
from nbcluster.engine.waiting import CallQueue
from nbcluster.protocol.outcomes import Rejected
from nbcluster.protocol.tasks import CallRef, CallResult, MemoryTold

EVERY = 0.2
"""Seconds between two looks while anything happens."""

PATIENCE = 5.0
"""Seconds that calls wait for memory: other engines may take them meanwhile, then they fail."""

TELL = 1.0
"""Seconds between two messages in which only numbers differ."""


class MemoryWatch:
    """Watches the memory on behalf of the agent, on its thread.

    Parameters
    ----------
    keeper : Keeper
    queue : CallQueue
        No call begins there while there is no memory for it.
    go_on : callable
        Called when calls may begin again.
    """

    def __init__(self, keeper: Keeper, queue: CallQueue, go_on: Callable[[], None]) -> None:
        self._keeper = keeper
        self._queue = queue
        self._go_on = go_on
        self._looked = self._told_at = -EVERY
        self._told: Held | None = None
        self._stalled: dict[CallRef, float] = {}
        """The calls that wait for memory, and since when."""

    @property
    def is_waiting(self) -> bool:
        """Whether it must look again although nothing happens."""
        return self._queue.paused

    @property
    def has_told(self) -> bool:
        """Whether something was said that others are to be told the end of."""
        return self._told is not None

    def hurry(self) -> None:
        """Look next time, whenever that is: something has ended. Any thread may ask."""
        self._looked = -EVERY

    def look(self, now: float, *, busy: bool) -> tuple[MemoryTold | None, Sequence[CallResult]]:
        """Measure, when it is time; return what is to be told, and the ends of calls that waited in vain.

        Parameters
        ----------
        now : float
            Seconds on a clock that goes on.
        busy : bool
            Whether something runs whose end calls wait for anyhow: it may free memory, so they do not fail meanwhile.
        """
        if now - self._looked < EVERY:
            return None, ()
        self._looked = now
        held = self._keeper.look()
        was_paused, self._queue.paused = self._queue.paused, held.paused
        if was_paused and not held.paused:
            self._go_on()
        return self._news(held, now), self._fail_stalled(held, now, busy=busy)

    def _fail_stalled(self, held: Held, now: float, *, busy: bool) -> Sequence[CallResult]:
        stalled = () if busy else self._queue.stalled()
        self._stalled = {ref: self._stalled.get(ref, now) for ref in stalled}
        late = [ref for ref, since in self._stalled.items() if now - since >= PATIENCE]
        if not late:
            return ()
        why = Rejected("OutOfMemory", f"it was not begun within {PATIENCE:g} s: {held.note}")
        return [CallResult(ref.task, ref.attempt, why) for ref in self._queue.withdraw(late)]

    def _news(self, held: Held, now: float) -> MemoryTold | None:
        told = self._told
        if told is None and not held.note and not held.spilled:
            return None  # nobody need know how much is free
        if told is not None and _kind_of(held) == _kind_of(told) and now - self._told_at < TELL:
            return None
        self._told, self._told_at = held, now
        return MemoryTold(held.limit, held.used, held.kept, held.spilled, held.note, held.paused)


def _kind_of(held: Held) -> tuple[bool, bool, bool]:
    return held.paused, bool(held.note), bool(held.spilled)
