"""Collects what a step asks and tells about calls, and makes one effect of what goes to one place. Knows no rules."""

from __future__ import annotations

from collections.abc import Mapping

from nbcluster.core.effects import (
    CallBegin,
    CallEnd,
    CallRun,
    DropValues,
    Effect,
    ForgetPayloads,
    ForgetValues,
    KeepRecipes,
    LoseValues,
    RunCalls,
    StopCalls,
    TakeBackCalls,
    TellCallsBegun,
    TellCallsDone,
    TellCallsRemade,
    ValueLoss,
)
from nbcluster.core.model import Engine, is_up
from nbcluster.ids import ClientId, EngineNumber, TaskId
from nbcluster.protocol.tasks import CallRef


class Outbox:
    """Lists by destination, emptied at the end of each step.

    What is for an engine that was asked to end in the same step is dropped: the end of its process answers for it.
    """

    __slots__ = (
        "back",
        "begun",
        "drops",
        "ends",
        "forgotten",
        "lost",
        "over",
        "remade",
        "retired",
        "runs",
        "stops",
    )

    def __init__(self) -> None:
        self.stops: dict[EngineNumber, list[CallRef]] = {}
        self.back: dict[EngineNumber, list[CallRef]] = {}
        self.runs: dict[EngineNumber, list[CallRun]] = {}
        self.begun: dict[tuple[ClientId, EngineNumber], list[CallBegin]] = {}
        self.ends: dict[ClientId, list[CallEnd]] = {}
        self.drops: dict[EngineNumber, list[TaskId]] = {}
        self.over: list[TaskId] = []
        self.retired: list[TaskId] = []
        self.remade: list[CallEnd] = []
        self.lost: list[ValueLoss] = []
        self.forgotten: list[TaskId] = []

    def empty_into(self, effects: list[Effect], engines: Mapping[EngineNumber, Engine]) -> None:
        """Make effects of what was collected: first what engines wait for."""
        if self.stops or self.back or self.begun:
            self._empty_what_stops_and_begins(effects, engines)
        if self.runs:
            for number, runs in self.runs.items():
                effects.append(RunCalls(number, engines[number].incarnation, tuple(runs)))
            self.runs.clear()
        if self.ends:
            for client, ends in self.ends.items():
                effects.append(TellCallsDone(client, tuple(ends)))
            self.ends.clear()
        if self.drops or self.lost or self.remade or self.retired:
            self._empty_values_on_engines(effects, engines)
        if self.over:
            effects.append(ForgetPayloads(tuple(self.over)))
            self.over.clear()
        if self.forgotten:
            effects.append(ForgetValues(tuple(self.forgotten)))
            self.forgotten.clear()

    def _empty_what_stops_and_begins(
        self, effects: list[Effect], engines: Mapping[EngineNumber, Engine]
    ) -> None:
        for number, stops in self.stops.items():
            if number in engines and is_up(engines[number]):
                effects.append(StopCalls(number, engines[number].incarnation, tuple(stops)))
        for number, back in self.back.items():
            effects.append(TakeBackCalls(number, engines[number].incarnation, tuple(back)))
        for (client, number), begun in self.begun.items():
            effects.append(TellCallsBegun(client, number, tuple(begun)))
        self.stops.clear()
        self.back.clear()
        self.begun.clear()

    def _empty_values_on_engines(self, effects: list[Effect], engines: Mapping[EngineNumber, Engine]) -> None:
        for number, values in self.drops.items():
            if number in engines and is_up(engines[number]):
                effects.append(DropValues(number, engines[number].incarnation, tuple(values)))
        self.drops.clear()
        if self.lost:
            effects.append(LoseValues(tuple(self.lost)))
            self.lost.clear()
        if self.remade:
            effects.append(TellCallsRemade(tuple(self.remade)))
            self.remade.clear()
        if self.retired:
            effects.append(KeepRecipes(tuple(self.retired)))
            self.retired.clear()
