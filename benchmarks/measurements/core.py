"""What the scheduler alone costs for each node of large graphs, in iterations of a bare loop of Python."""

from __future__ import annotations

import gc
import random
import time
from heapq import heappop, heappush

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.calls import Calls
from nbcluster.controller.main import GARBAGE_AFTER
from nbcluster.core.effects import CallRun, RunCalls, StartEngine, TakeBackCalls, TellCallsDone
from nbcluster.core.inputs import (
    Add,
    CallOrder,
    CallReturn,
    CallsAnswered,
    CallsGivenBack,
    EngineReady,
    EnginesAnswered,
    Input,
    ReleaseCalls,
    SubmitCallOrders,
)
from nbcluster.core.scheduler import Scheduler
from nbcluster.ids import ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.messages import KernelSpecRef
from nbcluster.protocol.outcomes import Returned
from nbcluster.protocol.tasks import CallRef

NODES = 100_000
ITERATIONS = 2_000_000
CALLS = 5000
"""Of one call at a time, so many."""
GARBAGE = (GARBAGE_AFTER, 20, 100)
"""Thresholds of the garbage collector, as the controller sets them."""
BATCH = 1000
"""Calls in a message of the client."""
ANSWERS = 100
"""Results in a message of an engine."""
SECONDS = 1e-4
"""What each call takes on its engine."""
HANDLING = 2e-5
"""What a controller takes for each call that ends. What engines have answered by then it finds in the next round of its
loop, and that is one step."""


def run(system: System, run_id: str) -> Samples:
    """Step a scheduler through both kinds of graphs on few and on many engines; the system is not started."""
    samples: Samples = {}
    former, _ = gc.get_threshold(), gc.set_threshold(*GARBAGE)
    for name, orders in (("trees", trees()), ("fan_in", fan_in())):
        for engines in (16, 1000):
            before = loop()
            seconds = seconds_of(orders, engines) / NODES
            samples[f"{name}_{engines}_iterations"] = [seconds / ((before + loop()) / 2)]
            samples[f"{name}_{engines}_us"] = [seconds * 1e6]
    gc.set_threshold(*former)
    samples["one_call_us"] = [one_call() * 1e6]
    return samples


def loop() -> float:
    """Seconds of CPU of one iteration of a bare loop: as for the scheduler, what else the machine does is left out."""
    begun = time.process_time()
    for _ in range(ITERATIONS):
        pass
    return (time.process_time() - begun) / ITERATIONS


def trees() -> list[CallOrder]:
    """Binary trees of 127 nodes, each submitted from its leaves to its root."""
    options, orders = CallOptions(label="f"), []
    while len(orders) < NODES:
        level = [TaskId(f"t{len(orders) + i}") for i in range(64)]
        orders += [CallOrder(name, options, "f") for name in level]
        while len(level) > 1:
            pairs = [(level[i], level[i + 1]) for i in range(0, len(level), 2)]
            level = [TaskId(f"t{len(orders) + i}") for i in range(len(pairs))]
            orders += [
                CallOrder(name, options, "f", 0, pair) for name, pair in zip(level, pairs, strict=True)
            ]
    return orders[:NODES]


def fan_in() -> list[CallOrder]:
    """Nodes that take the values of three of the two hundred before them."""
    options, chance = CallOptions(label="f"), random.Random(7)
    orders = [CallOrder(TaskId(f"n{i}"), options, "f") for i in range(200)]
    for i in range(200, NODES):
        inputs = tuple(TaskId(f"n{j}") for j in sorted(chance.sample(range(i - 200, i), 3)))
        orders.append(CallOrder(TaskId(f"n{i}"), options, "f", 0, inputs))
    return orders


def seconds_of(orders: list[CallOrder], engines: int) -> float:
    """Seconds of CPU that a scheduler takes from the first order to the last end."""
    cluster = _Engines(engines)
    for i in range(0, len(orders), BATCH):
        cluster.step(SubmitCallOrders(ClientId("ann"), tuple(orders[i : i + BATCH])))
    cluster.answer_all()
    assert cluster.done == len(orders), f"{cluster.done} of {len(orders)} calls ended"
    return cluster.seconds_again()


def one_call() -> float:
    """Seconds of CPU that a scheduler takes for a call that is alone: submitted, returned, released."""
    cluster = _Engines(2)
    options, ann = CallOptions(label="f"), ClientId("ann")
    for i in range(CALLS):
        name = TaskId(f"c{i}")
        cluster.step(SubmitCallOrders(ann, (CallOrder(name, options, "f"),)))
        cluster.answer_all()
        cluster.step(ReleaseCalls(ann, (name,)))
    assert cluster.done == CALLS, f"{cluster.done} of {CALLS} calls ended"
    return cluster.seconds_again() / CALLS


class _Engines:
    """Engines that take their time, and a controller that takes its.

    What they tell a scheduler is noted, and told to another once more for the clock: it decides the same, and a look
    at the clock of the CPU takes longer than a small step.
    """

    def __init__(self, engines: int) -> None:
        self.scheduler = Scheduler()
        self.done = 0
        self._inputs: list[Input] = []
        self._lives: dict[EngineNumber, Incarnation] = {}
        self._sent: dict[EngineNumber, dict[TaskId, CallRun]] = {}
        self._now = 0.0
        self._due: list[tuple[float, EngineNumber]] = []
        """When each engine that computes answers next."""
        self.step(Add(engines, KernelSpecRef()))
        self._first = len(self._inputs)

    def seconds_again(self) -> float:
        """Seconds of CPU for all that was told since the engines were up."""
        known = len(self.scheduler.calls)
        self.scheduler = Scheduler()  # so that the garbage collector need not see two
        again = Scheduler()
        for input in self._inputs[: self._first]:
            again.step(input)
        gc.collect()
        begun = time.process_time()
        for input in self._inputs[self._first :]:
            again.step(input)
        seconds = time.process_time() - begun
        assert (again.queued, len(again.calls)) == (0, known), "it decided otherwise"
        return seconds

    def step(self, input: Input) -> None:
        self._inputs.append(input)
        for effect in self.scheduler.step(input):
            match effect:
                case StartEngine(number, life):
                    self._lives[number], self._sent[number] = life, {}
                    self.step(EngineReady(number, life, "python", "python3", "here", True))
                case RunCalls(number, _, runs):
                    was_idle = not self._sent[number]
                    self._sent[number].update((run.task, run) for run in runs)
                    if was_idle:
                        self._go_on(number)
                case TakeBackCalls(number, _, refs):
                    self._give_back(number, refs)
                case TellCallsDone(_, ends):
                    assert all(isinstance(end.outcome, Returned) for end in ends), f"calls failed: {ends}"
                    self.done += len(ends)
                case _:
                    continue

    def answer_all(self) -> None:
        """Answer until nothing is left."""
        while self._due:
            self._now = max(self._now, self._due[0][0])
            speakers = []
            while self._due and self._due[0][0] <= self._now:
                speakers.append(heappop(self._due)[1])
            answers = tuple(self._answer_of(number) for number in speakers if self._sent[number])
            if answers:
                self._now += HANDLING * sum(len(answer.results) for answer in answers)
                self.step(EnginesAnswered(answers))

    def _answer_of(self, number: EngineNumber) -> CallsAnswered:
        sent = self._sent[number]
        runs = [sent.pop(name) for name in list(sent)[:ANSWERS]]
        if sent:
            self._go_on(number)
        results = tuple(CallReturn(run.task, run.attempt, Returned(8), SECONDS) for run in runs)
        return CallsAnswered(number, self._lives[number], results)

    def _go_on(self, number: EngineNumber) -> None:
        """An engine begins what it is to answer in one message."""
        takes = SECONDS * min(len(self._sent[number]), ANSWERS)
        heappush(self._due, (self._now + takes, number))

    def _give_back(self, number: EngineNumber, refs: tuple[CallRef, ...]) -> None:
        back = tuple(ref for ref in refs if self._sent[number].pop(ref.task, None) is not None)
        self.step(CallsGivenBack(number, self._lives[number], back))


MEASUREMENT = Measurement(
    "core",
    f"the scheduler alone, {NODES:,} nodes: cost of a node in iterations of a bare loop measured beside it",
    Calls,
    run,
    bars=tuple(
        Bar(f"{what} on {engines} engines, iterations", f"{name}_{engines}_iterations", limit)
        for what, name, limit in (("trees", "trees", 430), ("fan-in of 3", "fan_in", 750))
        for engines in (16, 1000)
    ),
    only=frozenset({"nbcluster"}),
)
