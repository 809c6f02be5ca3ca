"""The desk of cells: sends them to kernels, takes their answers, and keeps what the history says of them.

A cell is one execute_request. A live one goes to a subshell of the kernel, which runs it beside what runs there.
Decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, DecodeError, UnsetType, json

from nbcluster.controller.clients import Clients
from nbcluster.controller.executions import Execution
from nbcluster.controller.history import History
from nbcluster.controller.pool import EnginePool, EngineProcess
from nbcluster.controller.records import error_of, state_of
from nbcluster.controller.relay import Relay
from nbcluster.controller.watch import Watch
from nbcluster.controller.work import Work
from nbcluster.core import effects, inputs
from nbcluster.core.model import title
from nbcluster.core.tallies import Tally
from nbcluster.ids import ClientId, EngineNumber, TaskId
from nbcluster.protocol import messages as m
from nbcluster.transport.frames import Message

log = logging.getLogger(__name__)

SUBSHELL_PATIENCE = 10.0
"""Seconds that a kernel may take to make a subshell."""

SPARE_SUBSHELLS = 2
"""Subshells of an engine that are kept for the next live cells: each is a thread that sleeps."""

Tell = Callable[[inputs.Input], None]
Spawn = Callable[[Coroutine[Any, Any, None]], None]


@dataclass(slots=True)
class _Note:
    """What the history says of a cell that has not ended."""

    owner: ClientId
    owner_label: str
    label: str
    submitted: float
    quiet: bool
    tally: Tally | None = None
    started: float | None = None
    left: bool = False
    """Its owner has left: nobody is told its end, which is noted all the same."""


class CellDesk:
    """Everything about cells that is no decision.

    Parameters
    ----------
    clients, pool, relay, history, work : Clients, EnginePool, Relay, History, Work
    tell : callable
        Gives the scheduler a fact.
    spawn : callable
        Runs a coroutine.
    """

    def __init__(
        self,
        clients: Clients,
        pool: EnginePool,
        relay: Relay,
        history: History,
        work: Work,
        tell: Tell,
        spawn: Spawn,
    ) -> None:
        self._clients = clients
        self._pool = pool
        self._relay = relay
        self._history = history
        self._work = work
        self._tell = tell
        self._spawn = spawn
        self._watch = Watch()
        self._notes: dict[TaskId, _Note] = {}

    def accepted(self, client: ClientId, order: m.SubmitCell, tasks: tuple[m.TaskPlace, ...]) -> None:
        """Note cells that wait now."""
        now, label = time.time(), self._clients.label(client)
        tally = None if order.silent else self._work.tally(client, title(order))
        if tally is not None:
            tally.submitted(len(tasks), now)
        for place in tasks:
            self._notes[place.task] = _Note(client, label, title(order), now, order.silent, tally)

    def run(self, effect: effects.RunCell, owner: ClientId) -> None:
        """Send a cell to its kernel."""
        engine = self._pool.by_incarnation.get(effect.incarnation)
        if engine is None or engine.link is None or engine.ended:
            return  # its death is on the way and will answer for the task
        note = self._notes.get(effect.task)
        if note is None:  # of a startup cell
            order = effect.order
            note = self._notes[effect.task] = _Note(
                owner, self._clients.label(owner), title(order), time.time(), order.silent
            )
            note.left = owner not in self._clients
        note.started = time.time()
        if effect.order.live:
            self._spawn(self._run_live(engine, effect, owner))
        else:
            self._send(engine, effect, owner)
            self._watch.begin(engine)

    def interrupt(self, effect: effects.InterruptCell) -> None:
        """Interrupt an attempt of a cell."""
        engine = self._pool.by_incarnation.get(effect.incarnation)
        if engine is not None:
            self._pool.interrupt(
                effect.incarnation, engine.executions.message_of(effect.task, effect.attempt)
            )

    def done(self, effect: effects.TellDone) -> None:
        """Tell the owner that a cell has ended, and the history."""
        self._relay.forget_input(effect.task)
        dropped = self._clients.take_dropped(effect.cell)
        outcome = effect.outcome
        self._clients.tell(
            effect.client,
            m.TaskDone(effect.cell, effect.task, effect.engine, effect.attempt, outcome, dropped),
        )
        self._record(effect.task, effect.engine, effect.attempt, outcome)

    def _record(self, task: TaskId, engine: EngineNumber | None, attempt: int, outcome: m.Outcome) -> None:
        """Tell the history how a cell ended."""
        note = self._notes.pop(task, None)
        if note is None or note.quiet:
            return
        now = time.time()
        self._work.cell_ended(note.owner, note.tally, engine, outcome, note.started, now)
        self._history.add(
            (
                task,
                "",
                note.label,
                "cell",
                state_of(outcome),
                note.owner_label,
                engine,
                attempt,
                note.submitted,
                note.started,
                now,
                now - note.started if note.started is not None else None,
                None,
                error_of(outcome),
            )
        )

    def client_left(self, client: ClientId) -> None:
        """A client has gone: nobody is told the ends of its cells."""
        for note in self._notes.values():
            note.left |= note.owner == client

    def engine_gone(self, engine: EngineProcess, cause: str) -> None:
        """An engine has ended, and with it what it ran for clients that had left."""
        for execution in engine.executions.running():
            if self._is_left(execution.task):
                reason = f"engine {engine.number} ended: {cause}"
                self._record(execution.task, execution.engine, execution.attempt, m.Lost(reason))

    def _is_left(self, task: TaskId) -> bool:
        note = self._notes.get(task)
        return note is not None and note.left

    def submitted(self, task: TaskId) -> float | None:
        """When a cell that has not ended was submitted."""
        note = self._notes.get(task)
        return note.submitted if note is not None else None

    def started(self, task: TaskId) -> float | None:
        """When a cell that has not ended was sent to its engine last."""
        note = self._notes.get(task)
        return note.started if note is not None else None

    # -- kernels ------------------------------------------------------------------------------

    def replied(self, engine: EngineProcess, message: Message) -> None:
        """Take a reply that nothing waited for."""
        if message.header.msg_type == "kernel_info_reply":
            self._returned(engine, engine.executions.overtaken(message.parent_id))
        if message.header.msg_type != "execute_reply":
            return
        try:
            execution = engine.executions.replied(message.parent_id, message.content, message.metadata)
        except DecodeError as error:
            log.warning("engine %s sent an unreadable reply: %s", engine.number, error)
            content = json.encode(
                {"status": "error", "ename": "ProtocolError", "evalue": f"unreadable reply: {error}"}
            )
            execution = engine.executions.replied(message.parent_id, content, b"{}")
        self._returned(engine, execution)

    def published(self, engine: EngineProcess, message: Message) -> None:
        """Take what a kernel published."""
        if message.header.msg_type == "status":
            if b'"idle"' in message.content:
                self._returned(engine, engine.executions.idled(message.parent_id))
            return
        self._relay.published(engine, message)

    def _returned(self, engine: EngineProcess, execution: Execution | None) -> None:
        if execution is None or execution.outcome is None:
            return
        if execution.subshell:
            self._put_back(engine, execution.subshell)
        self._answer(execution, execution.outcome)

    def _answer(self, execution: Execution, outcome: m.Outcome) -> None:
        self._tell(
            inputs.CellReturned(
                execution.task, execution.engine, execution.incarnation, execution.attempt, outcome
            )
        )
        if self._is_left(execution.task):
            self._record(execution.task, execution.engine, execution.attempt, outcome)

    async def _run_live(self, engine: EngineProcess, effect: effects.RunCell, owner: ClientId) -> None:
        """Send a cell to a subshell that is free, or to a new one."""
        assert engine.link is not None, "it was looked at a moment ago"
        if engine.subshells:
            self._send(engine, effect, owner, engine.subshells.pop())
            return
        made: dict[str, Any] = {"evalue": f"it did not answer within {SUBSHELL_PATIENCE:g} s"}
        with suppress(TimeoutError):
            async with asyncio.timeout(SUBSHELL_PATIENCE):
                made = json.decode((await engine.link.ask("control", "create_subshell_request", {})).content)
        if made.get("status") == "ok":
            self._send(engine, effect, owner, made["subshell_id"])
            return
        reason = made.get("evalue", made)
        why = f"the kernel {engine.kernel.name!r} of engine {engine.number} made no subshell: {reason}"
        execution = Execution(
            owner, effect.order.cell, effect.task, effect.engine, effect.incarnation, effect.attempt
        )
        self._answer(execution, m.Raised("NotSupported", why))

    def _put_back(self, engine: EngineProcess, subshell: str) -> None:
        """Keep a subshell for the next live cell; a few are enough."""
        if len(engine.subshells) < SPARE_SUBSHELLS:
            engine.subshells.append(subshell)
        elif engine.link is not None:
            engine.link.request("control", "delete_subshell_request", {"subshell_id": subshell})

    def _send(
        self, engine: EngineProcess, effect: effects.RunCell, owner: ClientId, subshell: str = ""
    ) -> None:
        if engine.link is None or engine.ended:
            return
        order = effect.order
        ours: dict[str, Any] = {}
        if engine.can_call:
            ours = {"push": order.push, "pull": order.pull, "want_value": order.want_value}
            if order.origin is not None:
                ours["origin"] = order.origin
            if order.namespace:
                ours["namespace"] = order.namespace
        subshell_id: str | UnsetType = subshell or UNSET
        msg_id = engine.link.request(
            "shell",
            "execute_request",
            {
                "code": order.code,
                "silent": order.silent,
                "store_history": not order.silent,
                "user_expressions": {},
                "allow_stdin": order.allow_stdin,
                "stop_on_error": False,
            },
            metadata={"nbcluster": ours} if ours else None,
            subshell_id=subshell_id,
        )
        engine.executions.add(
            msg_id,
            Execution(
                owner,
                order.cell,
                effect.task,
                effect.engine,
                effect.incarnation,
                effect.attempt,
                subshell=subshell,
            ),
        )
