"""What happens to calls in a simulation, as the verbs of a story. Knows fake engines; knows no sockets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from nbcluster.core.effects import CallRun, Effect
from nbcluster.core.inputs import (
    CallOrder,
    CallReturn,
    CallsAnswered,
    CallsGivenBack,
    CallsHaveBegun,
    EnginesAnswered,
    Input,
    ReleaseCalls,
    SubmitCallOrders,
)
from nbcluster.ids import ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.outcomes import CallOutcome, Returned, Withdrawn
from nbcluster.protocol.tasks import CallRef
from nbcluster.testing.fake_calls import CallWorld, FakeCalls


class CallStories:
    """The part of Simulation that is about calls."""

    world: CallWorld

    def _fake(self, number: int) -> tuple[Incarnation, FakeCalls] | None:
        """The life that an engine has and its calls, if it has one."""
        raise AssertionError("a simulation has processes")

    def _alive(self, number: int) -> tuple[Incarnation, FakeCalls]:
        fake = self._fake(number)
        assert fake is not None, f"engine {number} has no process"
        return fake

    def step(self, input: Input) -> list[Effect]:
        """Tell the scheduler anything."""
        raise AssertionError("a simulation has a scheduler")

    def call(self, *names: str, client: str = "ann", **options: Any) -> Self:
        """Submit calls that are alike, in one message.

        Options that are no field of CallOptions are fields of CallOrder.
        """
        own = {name: options.pop(name) for name in ("inputs", "after", "key", "function") if name in options}
        own.setdefault("function", "f")
        alike = CallOptions(**{"label": "f", **options})
        return self.submit_calls(*(CallOrder(TaskId(name), alike, **own) for name in names), client=client)

    def submit_calls(self, *orders: CallOrder, client: str = "ann") -> Self:
        """Submit calls in one message."""
        for order in orders:
            self.world.enter(order, ClientId(client))
        self.step(SubmitCallOrders(ClientId(client), orders))
        return self

    def give(
        self,
        number: int,
        *names: str,
        outcome: CallOutcome | None = None,
        seconds: float = 0.0,
        kept: bool = True,
        recipe: int = 0,
        function_bytes: int = 0,
    ) -> Self:
        """An engine answers these calls; without names the first that it has. Returned unless told."""
        incarnation, calls = self._alive(number)
        runs = [calls.sent[TaskId(name)] for name in names or tuple(calls.sent)[:1]]
        return self.give_to(
            number, incarnation, runs, outcome or Returned(8), seconds, kept, recipe, function_bytes
        )

    def give_to(
        self,
        number: int,
        incarnation: int,
        runs: Iterable[CallRun],
        outcome: CallOutcome,
        seconds: float = 0.0,
        kept: bool = True,
        recipe: int = 0,
        function_bytes: int = 0,
    ) -> Self:
        """Answers to these attempts arrive, perhaps late."""
        life = Incarnation(incarnation)
        results, back = self._end_there(number, life, runs, outcome, seconds, kept, recipe, function_bytes)
        self.step(CallsAnswered(EngineNumber(number), life, results))
        if back:
            self.step(CallsGivenBack(EngineNumber(number), life, back))
        return self

    def _end_there(
        self,
        number: int,
        incarnation: Incarnation,
        runs: Iterable[CallRun],
        outcome: CallOutcome,
        seconds: float = 0.0,
        kept: bool = True,
        recipe: int = 0,
        function_bytes: int = 0,
    ) -> tuple[tuple[CallReturn, ...], tuple[CallRef, ...]]:
        """What an engine says at the end of these attempts, and which calls it gives back since they failed."""
        fake = self._fake(number)
        here = fake[1] if fake is not None and fake[0] == incarnation else None
        results: list[CallReturn] = []
        back: list[CallRef] = []
        for run in runs:
            if here is not None and CallRef(run.task, run.attempt) in back:
                continue
            came = Withdrawn("it had not begun") if here is not None and here.lacks(run) else outcome
            results.append(CallReturn(run.task, run.attempt, came, seconds, kept, recipe, function_bytes))
            if here is None or not here.end(run.task, run.attempt):
                continue
            if not isinstance(came, Returned):
                back += here.give_up_on([CallRef(run.task, run.attempt)])
            elif not kept:
                here.values.add(run.task)
        return tuple(results), tuple(back)

    def give_together(
        self, numbers: Iterable[int], most: int, outcome: CallOutcome, seconds: float = 0.0, kept: bool = True
    ) -> Self:
        """These engines answer the first calls that they have, all at one time."""
        answers: list[CallsAnswered] = []
        given_back: list[CallsGivenBack] = []
        for number in map(EngineNumber, numbers):
            incarnation, calls = self._alive(number)
            life = Incarnation(incarnation)
            results, back = self._end_there(
                number, life, list(calls.sent.values())[:most], outcome, seconds, kept
            )
            answers.append(CallsAnswered(number, life, results))
            if back:
                given_back.append(CallsGivenBack(number, life, back))
        self.step(EnginesAnswered(tuple(answers)))
        for fact in given_back:
            self.step(fact)
        return self

    def begin(self, number: int) -> Self:
        """An engine says that the first call that it has has been running for a while."""
        incarnation, calls = self._alive(number)
        first = next(iter(calls.sent.values()))
        refs = (CallRef(first.task, first.attempt),)
        self.step(CallsHaveBegun(EngineNumber(number), incarnation, refs))
        return self

    def give_back(self, number: int, but: int = 0) -> Self:
        """An engine gives back what it was asked for, but the first so many, which have begun."""
        incarnation, calls = self._alive(number)
        refs = tuple(calls.hand_over(but))
        self.step(CallsGivenBack(EngineNumber(number), incarnation, refs))
        return self

    def release(self, *names: str, client: str = "ann") -> Self:
        """A client drops its Futures of these calls."""
        self.step(ReleaseCalls(ClientId(client), tuple(TaskId(name) for name in names)))
        return self

    def flight(self, number: int) -> list[str]:
        """The calls that an engine has been sent and has not answered, in order."""
        return list(self._alive(number)[1].sent)
