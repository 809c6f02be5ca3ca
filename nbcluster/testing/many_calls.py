"""Many calls on many fake engines, in virtual time: how they are shared out, and what is remembered of them.

Unlike Simulation it checks the invariants now and then, so that a hundred thousand calls are a matter of seconds.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from heapq import heappop, heappush
from itertools import count
from types import FunctionType, ModuleType

from nbcluster.core.effects import CallRun, Effect, RunCalls, StartEngine, TakeBackCalls, TellCallsDone
from nbcluster.core.inputs import (
    Add,
    CallOrder,
    CallReturn,
    CallsAnswered,
    CallsGivenBack,
    EngineDied,
    EngineReady,
    Input,
    ReleaseCalls,
    SubmitCallOrders,
)
from nbcluster.core.invariants import check
from nbcluster.core.scheduler import Scheduler
from nbcluster.ids import ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.messages import KernelSpecRef
from nbcluster.protocol.outcomes import Returned
from nbcluster.protocol.tasks import CallRef

_TREE = 31
"""Calls of one tree."""

_SLICE = 0.01
"""Virtual seconds that an engine runs calls for before it sends their results."""


class ManyCalls:
    """A client that keeps so many calls outstanding and drops each Future as it is done.

    Parameters
    ----------
    engines : int
    seconds : float
        Virtual seconds that each call takes.
    trees : bool
        Whether the calls are binary trees of 31, each of which takes the values of two others.

    Attributes
    ----------
    now : float
        Virtual seconds.
    done : int
        Calls that came to their end.
    ran : dict of EngineNumber to int
        How many each engine answered.
    largest : int
        The most calls that the scheduler ever remembered.
    """

    def __init__(self, engines: int, seconds: float, trees: bool = False) -> None:
        self.scheduler = Scheduler()
        self.now = 0.0
        self.done = 0
        self.ran: dict[EngineNumber, int] = {}
        self.largest = 0
        self._seconds = seconds
        self._trees = trees
        self._queues: dict[EngineNumber, deque[CallRun]] = {}
        self._lives: dict[EngineNumber, Incarnation] = {}
        self._events: list[tuple[float, int, EngineNumber, Incarnation]] = []
        self._busy: set[EngineNumber] = set()
        self._ended: list[TaskId] = []
        self._number = count()
        self._step(Add(engines, KernelSpecRef()))

    def run(self, calls: int, outstanding: int, batch: int = 1000, deaths: int = 0) -> None:
        """Submit so many calls more, so many at a time, and run them all; engines die now and then."""
        options = CallOptions(label="f")
        submitted = self.done
        calls += self.done
        steps, between, until_death = 0, (calls - self.done) // (deaths + 1), self.done
        while self.done < calls:
            while submitted < calls and submitted - self.done + batch <= outstanding:
                names = [TaskId(f"ann-{submitted + i}") for i in range(min(batch, calls - submitted))]
                submitted += len(names)
                orders = tuple(
                    CallOrder(name, options, "f", inputs=self._inputs(names, i))
                    for i, name in enumerate(names)
                )
                self._step(SubmitCallOrders(ClientId("ann"), orders))
            self._turn()
            if deaths and self.done >= until_death:
                deaths, until_death = deaths - 1, self.done + between
                number = max(self._queues, key=self._victim)
                self._step(EngineDied(number, self._lives[number], self.now, "killed by SIGKILL"))
            self.largest = max(self.largest, len(self.scheduler.calls))
            if len(self._ended) >= batch or self.done == calls:
                self._step(ReleaseCalls(ClientId("ann"), tuple(self._ended)))
                self._ended.clear()
            steps += 1
            if steps % 2000 == 0:
                check(self.scheduler)
        check(self.scheduler)

    def _victim(self, number: EngineNumber) -> tuple[bool, int]:
        """Sorts engines by how much is lost with them; no call is to take down several."""
        queue = self._queues[number]
        return bool(queue) and queue[0].attempt == 1, len(queue)

    def _inputs(self, names: list[TaskId], i: int) -> tuple[TaskId, ...]:
        """In each 31 of a batch 16 leaves come first, then 8 calls that take two of them each, 4, 2 and the root."""
        place = i % _TREE - (_TREE + 1) // 2
        if not self._trees or place < 0:
            return ()
        first = i - i % _TREE + 2 * place
        return names[first], names[first + 1]

    def size(self) -> int:
        """Bytes of everything that the scheduler refers to, but for code."""
        seen: dict[int, object] = {}
        to_see: list[object] = [self.scheduler]
        while to_see:
            thing = to_see.pop()
            if id(thing) not in seen and not isinstance(thing, type | FunctionType | ModuleType):
                seen[id(thing)] = thing
                to_see += gc.get_referents(thing)
        return sum(sys.getsizeof(thing) for thing in seen.values())

    def _turn(self) -> None:
        """The engine whose slice ends next sends what it has done."""
        assert self._events, f"{self.scheduler.queued} calls wait and no engine runs any"
        self.now, _, number, life = heappop(self._events)
        if self._lives[number] != life:
            return
        self._busy.discard(number)
        queue = self._queues[number]
        most = max(1, int(_SLICE / self._seconds))
        runs = [queue.popleft() for _ in range(min(most, len(queue)))]
        self.ran[number] = self.ran.get(number, 0) + len(runs)
        results = tuple(CallReturn(run.task, run.attempt, Returned(8), self._seconds) for run in runs)
        self._step(CallsAnswered(number, life, results))
        self._go_on(number)

    def _go_on(self, number: EngineNumber) -> None:
        queue = self._queues[number]
        if queue and number not in self._busy:
            self._busy.add(number)
            takes = min(_SLICE, len(queue) * self._seconds) if self._seconds < _SLICE else self._seconds
            heappush(self._events, (self.now + takes, next(self._number), number, self._lives[number]))

    def _step(self, input: Input) -> None:
        for effect in self.scheduler.step(input):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case StartEngine(number, life):
                self._queues[number], self._lives[number] = deque(), life
                self._busy.discard(number)
                self._step(EngineReady(number, life, "python", "python3", "here", True))
            case RunCalls(number, _, runs):
                self._queues[number].extend(runs)
                self._go_on(number)
            case TakeBackCalls(number, life, refs):
                self._give_back(number, life, refs)
            case TellCallsDone(_, ends):
                self.done += len(ends)
                self._ended += [end.task for end in ends]
                assert all(isinstance(end.outcome, Returned) for end in ends), f"calls failed: {ends}"
            case _:
                return

    def _give_back(self, number: EngineNumber, life: Incarnation, refs: tuple[CallRef, ...]) -> None:
        wanted = {(ref.task, ref.attempt) for ref in refs}
        queue = self._queues[number]
        begun, rest = list(queue)[:1], list(queue)[1:]
        given = [run for run in rest if (run.task, run.attempt) in wanted]
        self._queues[number] = deque(begun + [run for run in rest if (run.task, run.attempt) not in wanted])
        back = tuple(CallRef(run.task, run.attempt) for run in given)
        self._step(CallsGivenBack(number, life, back))
