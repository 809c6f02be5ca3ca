"""The scheduler: facts and orders in, effects out. Knows who decides what; knows no clock and no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import assert_never

from nbcluster.core import awaiting, calls, cells, dispatch, fleet, recipes, stopping, values
from nbcluster.core.effects import Effect, TellRefused
from nbcluster.core.inputs import (
    Add,
    CallsAnswered,
    CallsGivenBack,
    CallsHaveBegun,
    Cancel,
    CancelOwned,
    CellReturned,
    ClientLeft,
    EngineDied,
    EngineLends,
    EngineReady,
    EnginesAnswered,
    Input,
    ReleaseCalls,
    ReleaseKey,
    Remove,
    Restart,
    Scale,
    SubmitCallOrders,
    SubmitTasks,
    TimerFired,
)
from nbcluster.core.ledger import Ledger
from nbcluster.core.model import Call, Engine, StartupCell, Task, TaskState, title
from nbcluster.errors import NBClusterError
from nbcluster.ids import CellId, ClientId, EngineNumber, TaskId


class Scheduler:
    """Decides what runs where.

    `step` takes one input and returns what is to be done, in order. An order that cannot be followed changes
    nothing and returns one TellRefused. The attributes are views to read.

    Parameters
    ----------
    recipe_limit : int
        Bytes that may be kept to make values again that are lost with an engine.

    Examples
    --------
    >>> from nbcluster.core.inputs import Add
    >>> from nbcluster.protocol.messages import KernelSpecRef
    >>> [type(effect).__name__ for effect in Scheduler().step(Add(1, KernelSpecRef()))]
    ['StartEngine', 'TellEngines', 'ShowEngine']
    """

    def __init__(self, recipe_limit: int = recipes.LIMIT) -> None:
        self.ledger = Ledger()
        self.ledger.recipes.limit = recipe_limit
        self.engines: Mapping[EngineNumber, Engine] = MappingProxyType(self.ledger.engines)
        self.tasks: Mapping[TaskId, Task] = MappingProxyType(self.ledger.tasks)
        """Those that have not ended."""
        self.calls: Mapping[TaskId, Call] = MappingProxyType(self.ledger.calls)
        """Those that have not ended, and those whose values someone may ask for."""
        self.keys: Mapping[str, TaskId] = MappingProxyType(self.ledger.keys)
        """The call that each key holds."""
        self.startup: Mapping[CellId, StartupCell] = MappingProxyType(self.ledger.startup)

    @property
    def running(self) -> int:
        """How many tasks engines are at, also those that were given up. Of the calls sent to one it is at the first."""
        return sum(
            (engine.running is not None) + len(engine.beside) + bool(engine.inflight) + len(engine.suspended)
            for engine in self.engines.values()
        )

    @property
    def queued(self) -> int:
        """How many tasks wait, here or on an engine behind others."""
        return len(self.tasks) + self.ledger.open_calls - self.running

    def doing(self, number: EngineNumber) -> str | None:
        """What an engine is at, for a person: the title of its cell, or the label of its first call."""
        engine = self.engines[number]
        if engine.running is not None:
            return title(self.tasks[engine.running].order)
        return next((call.title for call in (*engine.suspended.values(), *engine.inflight.values())), None)

    def step(self, input: Input) -> list[Effect]:
        """Take one fact or order.

        Parameters
        ----------
        input : Input

        Returns
        -------
        list of Effect
            What is to be done, in this order.
        """
        try:
            self._decide(input)
        except NBClusterError as error:  # raised before anything was changed
            return [TellRefused(type(error).__name__, str(error))]
        self._settle()
        return self.ledger.flush()

    def _decide(self, input: Input) -> None:
        ledger = self.ledger
        match input:  # what comes most often first
            case SubmitCallOrders():
                calls.submit(ledger, input)
            case CallsAnswered():
                calls.answered(ledger, input)
            case EnginesAnswered(answers):
                for answer in answers:
                    calls.answered(ledger, answer)
            case ReleaseCalls(client, tasks):
                values.release(ledger, client, tasks)
            case CallsHaveBegun():
                calls.begun(ledger, input)
            case CallsGivenBack():
                calls.given_back(ledger, input)
            case EngineLends():
                calls.lends(ledger, input)
            case SubmitTasks():
                cells.submit(ledger, input)
            case CellReturned():
                cells.returned(ledger, input)
            case TimerFired(timer):
                self._force_out(cells.timer_fired(ledger, timer), stopping.timer_fired(ledger, timer))
            case Cancel(tasks, reason, force):
                stuck = cells.cancel(ledger, input)
                self._force_out(stuck, stopping.cancel(ledger, tasks, reason, force))
            case CancelOwned(client, reason):
                cells.cancel(ledger, Cancel(cells.owned_by(ledger, client), reason))
                stopping.cancel(ledger, stopping.owned_by(ledger, client), reason)
            case ClientLeft(client, goodbye):
                self._mute(client)
                if goodbye:
                    values.release_all_of(ledger, client)
            case EngineReady():
                fleet.ready(ledger, input)
            case EngineDied():
                fleet.died(ledger, input)
            case Add():
                fleet.add(ledger, input)
            case Scale():
                fleet.scale(ledger, input)
            case Remove():
                fleet.remove(ledger, input)
            case Restart():
                fleet.restart(ledger, input)
            case ReleaseKey(key):
                values.release_key(ledger, key)
            case _:
                assert_never(input)

    def _settle(self) -> None:
        """Draw the consequences: tasks without hope, cells that fail fast, engines free for the next task."""
        ledger = self.ledger
        calls.draw_consequences(ledger)
        if ledger.moved:
            ledger.moved.clear()
            cells.lose_hopeless(ledger)
        if ledger.failing:
            cells.fail_fast(ledger)
        while ledger.over:
            awaiting.draw_consequences(ledger)
            calls.draw_consequences(ledger)
            if ledger.failing:
                cells.fail_fast(ledger)
        dispatch.settle(ledger)
        if ledger.recipes.nbytes > ledger.recipes.limit:
            recipes.trim(ledger)

    def _force_out(self, tasks: Sequence[Task], stuck: Sequence[Call]) -> None:
        """Restart engines that do not let go of tasks whose owners asked for force."""
        for task in tasks:
            if task.id in self.tasks:  # else the engine was restarted for another that it was stuck in
                self._restart(
                    cells.engine_of(self.ledger, task), task.stop_reason or "a cell out of time", task
                )
        for call in stuck:
            if call.state in (TaskState.STOPPING, TaskState.GIVEN_UP):
                engine = stopping.engine_of(self.ledger, call)
                self._restart(engine, call.stop_reason or "a call out of time")

    def _restart(self, engine: Engine, why: str, task: Task | None = None) -> None:
        reason = f"restarted because {why!r} did not end when interrupted"
        if task is not None and task.state is TaskState.STOPPING:
            note = f"engine {engine.number} would not let go of it and was restarted"
            self.ledger.end(task, *cells.stopped(task, note=note))
        fleet.restart_one(self.ledger, engine, reason)

    def _mute(self, client: ClientId) -> None:
        for task in self.tasks.values():
            task.muted |= task.owner == client
        for cell in self.startup.values():
            cell.muted |= cell.owner == client
