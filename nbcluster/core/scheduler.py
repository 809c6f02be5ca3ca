"""The scheduler: facts and orders in, effects out. Knows who decides what; knows no clock and no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import assert_never

from nbcluster.core import cells, fleet
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
    EngineReady,
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
from nbcluster.core.model import Engine, StartupCell, Task, TaskState
from nbcluster.errors import NBClusterError, UsageError
from nbcluster.ids import CellId, ClientId, EngineNumber, TaskId


class Scheduler:
    """Decides what runs where.

    `step` takes one input and returns what is to be done, in order. An order that cannot be followed changes
    nothing and returns one TellRefused. The attributes are views to read.

    Examples
    --------
    >>> from nbcluster.core.inputs import Add
    >>> from nbcluster.protocol.messages import KernelSpecRef
    >>> [type(effect).__name__ for effect in Scheduler().step(Add(1, KernelSpecRef()))]
    ['StartEngine', 'TellEngines', 'ShowEngine']
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.engines: Mapping[EngineNumber, Engine] = MappingProxyType(self.ledger.engines)
        self.tasks: Mapping[TaskId, Task] = MappingProxyType(self.ledger.tasks)
        """Those that have not ended."""
        self.startup: Mapping[CellId, StartupCell] = MappingProxyType(self.ledger.startup)

    @property
    def running(self) -> int:
        """How many tasks engines are at, also those that were given up."""
        return sum(engine.running is not None for engine in self.engines.values())

    @property
    def queued(self) -> int:
        """How many tasks wait."""
        return len(self.tasks) - self.running

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
        match input:
            case SubmitTasks():
                cells.submit(ledger, input)
            case CellReturned():
                cells.returned(ledger, input)
            case TimerFired(timer):
                self._force_out(cells.timer_fired(ledger, timer))
            case Cancel():
                for engine in cells.cancel(ledger, input):
                    self._force_out(engine)
            case CancelOwned(client, reason):
                cells.cancel(ledger, Cancel(cells.owned_by(ledger, client), reason))
            case ClientLeft(client):
                self._mute(client)
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
            case (
                SubmitCallOrders()
                | CallsHaveBegun()
                | CallsAnswered()
                | CallsGivenBack()
                | ReleaseCalls()
                | ReleaseKey()
            ):
                raise UsageError("calls are not scheduled yet")
            case _:
                assert_never(input)

    def _settle(self) -> None:
        """Draw the consequences: tasks without hope, cells that fail fast, engines free for the next task."""
        cells.lose_hopeless(self.ledger)
        cells.fail_fast(self.ledger)
        for number in sorted(self.ledger.hungry):
            if number in self.engines:
                cells.feed(self.ledger, self.engines[number])

    def _force_out(self, engine: Engine | None) -> None:
        """Restart an engine that does not let go of a task whose owner asked for force."""
        if engine is None or engine.running is None:
            return
        task = self.tasks[engine.running]
        reason = (
            f"restarted because {task.stop_reason or 'a cell out of time'!r} did not end when interrupted"
        )
        told = cells.stopped(task, note=f"engine {engine.number} would not let go of it and was restarted")
        fleet.restart_one(self.ledger, engine, reason, told if task.state is TaskState.STOPPING else None)

    def _mute(self, client: ClientId) -> None:
        for task in self.tasks.values():
            task.muted |= task.owner == client
        for cell in self.startup.values():
            cell.muted |= cell.owner == client
