"""Puts together what every engine is sent in one turn of the loop. Knows bytes and engines; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nbcluster.controller.functions import Functions, SentFunctions
from nbcluster.controller.payloads import Payloads, Values
from nbcluster.controller.tasks import TaskChannel
from nbcluster.core.effects import CallRun, InputPlace
from nbcluster.ids import EngineNumber, Incarnation, TaskId
from nbcluster.protocol import tasks as t
from nbcluster.transport.frames import Buffer
from nbcluster.transport.turns import at_end_of_turn


@dataclass(slots=True)
class _Draft:
    """A RunCalls that is being put together."""

    options: dict[int, int] = field(default_factory=dict)
    """Index of each RunOptions, by its identity."""
    kinds: list[t.RunOptions] = field(default_factory=list)
    calls: list[t.CallOrder] = field(default_factory=list)
    functions: dict[str, bytes] = field(default_factory=dict)
    buffers: list[Buffer] = field(default_factory=list)


class Dispatch:
    """Sends to agents, in order, many calls in one message."""

    def __init__(self, payloads: Payloads, functions: Functions, values: Values) -> None:
        self._payloads = payloads
        self._functions = functions
        self._values = values
        self._drafts: dict[Incarnation, _Draft] = {}
        self._sent: dict[Incarnation, SentFunctions] = {}
        self._there: dict[Incarnation, dict[tuple[TaskId, int], str]] = {}
        self.channel: TaskChannel | None = None

    def run(self, engine: EngineNumber, incarnation: Incarnation, calls: Sequence[CallRun]) -> None:
        """Send calls to run, together with what else is to run there in this turn."""
        draft = self._drafts.get(incarnation)
        if draft is None:
            if not self._drafts:
                at_end_of_turn(self.flush)
            draft = self._drafts[incarnation] = _Draft()
        sent = self._sent.get(incarnation)
        if sent is None:
            sent = self._sent[incarnation] = SentFunctions()
            self._there[incarnation] = {}
        there = self._there[incarnation]
        for call in calls:
            kept = self._payloads.get(call.task)
            assert kept is not None, f"the bytes of call {call.task} were forgotten before it ran"
            kept.attempt, kept.engine, kept.incarnation, kept.started = call.attempt, engine, incarnation, 0.0
            spec, kind = kept.spec, kept.run
            index = draft.options.get(id(kind))
            if index is None:
                index = draft.options[id(kind)] = len(draft.kinds)
                draft.kinds.append(kind)
            function = spec.function
            there[call.task, call.attempt] = function
            blob = self._functions[function]
            if sent.begin(function, len(blob)):
                draft.functions[function] = blob
            if spec.sizes:
                draft.buffers += kept.frames
            inputs = tuple(self._input(place, engine) for place in call.inputs) if call.inputs else ()
            draft.calls.append(
                t.CallOrder(call.task, call.attempt, index, function, spec.payload, spec.sizes, inputs)
            )

    def ended(self, incarnation: Incarnation, task: TaskId, attempt: int) -> None:
        """An attempt that was sent there is not there any more."""
        function = self._there.get(incarnation, {}).pop((task, attempt), None)
        if function is not None:
            self._sent[incarnation].end(function)

    def send(self, incarnation: Incarnation, message: t.ToEngine, buffers: Sequence[Buffer] = ()) -> None:
        """Send anything else, after what was to run."""
        if incarnation in self._drafts:
            self._finish(incarnation, self._drafts.pop(incarnation))
        if self.channel is not None:
            self.channel.send(incarnation, message, buffers)

    def flush(self) -> None:
        """Send what was put together."""
        drafts, self._drafts = self._drafts, {}
        for incarnation, draft in drafts.items():
            self._finish(incarnation, draft)

    def forget_engine(self, incarnation: Incarnation) -> None:
        """An engine has gone."""
        self._drafts.pop(incarnation, None)
        self._sent.pop(incarnation, None)
        self._there.pop(incarnation, None)

    def _finish(self, incarnation: Incarnation, draft: _Draft) -> None:
        message = t.RunCalls(
            tuple(draft.kinds), tuple(draft.calls), draft.functions, self._sent[incarnation].surplus()
        )
        if self.channel is not None:
            self.channel.send(incarnation, message, draft.buffers)

    def _input(self, place: InputPlace, engine: EngineNumber) -> t.Input:
        if place.attempt:
            return t.Input(place.task, made=place.attempt)
        if place.engine is None:
            return t.Input(place.task, payload=self._values.here(place.task))
        if place.engine == engine:
            return t.Input(place.task, here=True)
        return t.Input(place.task, payload=self._values.shared(place.task))
