"""Receives, lets the scheduler decide, performs. Decides nothing about tasks itself.

Requests of clients and facts of engines become inputs of the scheduler; its effects become messages, processes and
timers. Everything runs on one asyncio loop, in callbacks that do not wait.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, assert_never

import zmq

from nbcluster.controller.calls import CallDesk
from nbcluster.controller.cells import CellDesk
from nbcluster.controller.clients import BEAT_INTERVAL, Clients
from nbcluster.controller.config import ControllerConfig
from nbcluster.controller.feed import Feed
from nbcluster.controller.history import History
from nbcluster.controller.listing import Listing
from nbcluster.controller.orders import Refusal, check_cell, check_signal, split_targets
from nbcluster.controller.pool import EnginePool, EngineProcess
from nbcluster.controller.relay import Relay
from nbcluster.controller.status import Picture
from nbcluster.controller.tasks import TaskChannel
from nbcluster.controller.work import Work
from nbcluster.core import effects, inputs
from nbcluster.core.scheduler import Scheduler
from nbcluster.core.targets import parse
from nbcluster.errors import NBClusterError, UsageError, VersionMismatch
from nbcluster.ids import ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.launchers.base import Supervisor
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m
from nbcluster.protocol.feed import StopWork, WatchWork
from nbcluster.protocol.tasks import FromEngine
from nbcluster.transport.frames import Buffer, Message
from nbcluster.transport.kernel import Channel
from nbcluster.transport.ports import Hub
from nbcluster.transport.rendezvous import DYING
from nbcluster.transport.wire import Arrival, Wire
from nbcluster.transport.zmqports import Curve

log = logging.getLogger(__name__)


class Controller:
    """One cluster: clients on one side, engines on the other, the scheduler between.

    Parameters
    ----------
    config : ControllerConfig
    context : zmq.Context
    supervisor : Supervisor
        The way to the parent of local processes.
    """

    def __init__(
        self, config: ControllerConfig, context: zmq.Context[zmq.Socket[bytes]], supervisor: Supervisor
    ) -> None:
        self._config = config
        self._scheduler = Scheduler(config.recipe_limit)
        self._clients = Clients()
        self._pool = EnginePool(config, context, supervisor, self)
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._relay = Relay(self._clients, self._pool)
        self._history = History(Path(config.directory))
        self._work = Work()
        self._cells = CellDesk(
            self._clients, self._pool, self._relay, self._history, self._work, self._step, self._spawn
        )
        self._calls = CallDesk(
            self._clients, self._pool, self._history, self._work, self._step, config.shared
        )
        self._picture = Picture(config, self._scheduler, self._pool, self._clients, self._calls)
        self._feed = Feed(self._work, self._clients, self._picture)
        self._listing = Listing(self._scheduler, self._clients, self._cells, self._calls, self._pool)
        self._idle_timeout = config.idle_timeout
        self._idle_since = self._loop.time()
        self._children: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.stopped = asyncio.Event()

    def serve(self, wire: Wire[m.Request], tasks: Hub, curve: Curve | None) -> None:
        """Begin to answer clients over this wire, and agents over this hub.

        Its url and the public key of `curve` are what engines are told.
        """
        self._clients.wire = wire
        self._pool.channel = self._calls.dispatch.channel = TaskChannel(tasks, self)
        self._pool.tasks_url = f"{tasks.url} {curve.public.decode()}" if curve is not None else tasks.url
        self._loop.call_later(BEAT_INTERVAL, self._look_after_clients)

    async def stop(self, reason: str) -> None:
        """Tell everyone, end every engine."""
        log.info("the cluster ends: %s", reason)
        Path(self._config.connection_file).unlink(missing_ok=True)  # nobody shall find it any more
        self._clients.tell_all(m.ClusterStopping(reason))  # first: this is why their cells are lost
        self._step(inputs.Remove(tuple(self._scheduler.engines)))
        await self._pool.wait_empty()
        self._end()

    def abandon(self, reason: str) -> None:
        """Tell everyone and end at once: the operating system ends the engines with this process."""
        self._stopping = True
        self._clients.tell_all(m.ClusterStopping(reason))
        self._end()

    def _end(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._calls.dispatch.flush()
        self._pool.close()
        if self._pool.channel is not None:
            self._pool.channel.close()
        self._history.close()
        self.stopped.set()

    def stop_soon(self, reason: str) -> None:
        """Begin to stop; `stopped` is set when it is done."""
        if not self._stopping:
            self._stopping = True
            self._spawn(self.stop(reason))

    # -- clients ------------------------------------------------------------------------------

    def arrived(self, arrival: Arrival[m.Request]) -> None:
        """Handle one request; whatever happens, it is answered."""
        self._calls.take_answers()
        client = ClientId(arrival.ident.decode(errors="replace"))
        known = self._clients.heard(client, self._loop.time())
        if known is None and not isinstance(arrival.message, m.Hello):
            self._answer(
                arrival, m.Refused("ControllerLost", "this controller does not know you; connect again")
            )
            return
        try:
            self._handle(client, arrival)
        except Refusal as refusal:
            self._answer(arrival, m.Refused(refusal.error, refusal.message))
        except NBClusterError as error:
            self._answer(arrival, m.Refused(type(error).__name__, str(error)))
        except Exception as error:
            log.exception("a request could not be handled: %s", type(arrival.message).__name__)
            self._answer(
                arrival,
                m.Refused(
                    "NBClusterError", f"the controller failed at this request ({error!r}); see its log"
                ),
            )

    def unreadable(self, ident: bytes, msg_id: str, error: VersionMismatch) -> None:
        """Answer a message of another version."""
        self._clients.send(ident, m.Refused("VersionMismatch", str(error)), msg_id)

    def _answer(self, arrival: Arrival[m.Request], answer: m.Answer) -> None:
        self._clients.send(arrival.ident, answer, arrival.msg_id)

    def _handle(self, client: ClientId, arrival: Arrival[m.Request]) -> None:
        order = arrival.message
        match order:  # what comes most often first: cases are tried one by one
            case c.SubmitCalls():
                self._calls.submit(client, order, arrival)
            case c.ReleaseValues(tasks):
                self._step(inputs.ReleaseCalls(client, tasks))
            case m.Hello():
                self._welcome(order, arrival)
            case m.Goodbye():
                self._client_left(client, goodbye=True)
                self._answer(arrival, m.Done())
            case m.Beat(received):
                self._clients.acknowledge(client, received)
                self._answer(arrival, m.Done())
            case m.SubmitCell():
                self._submit(client, order, arrival)
            case m.CancelTasks(tasks, reason, force):
                self._order(inputs.Cancel(tasks, reason, force), arrival)
            case m.CancelAll():
                self._order(inputs.CancelOwned(client, "cancelled by its owner"), arrival)
            case m.InterruptEngines(targets):
                numbers = self._meant(client, targets)
                for number in numbers:
                    self._pool.interrupt(self._scheduler.engines[number].incarnation, None)
                self._answer(arrival, m.Engines(numbers))
            case m.SignalEngines(signum, targets):
                check_signal(signum)
                numbers = self._meant(client, targets)
                for number in numbers:
                    self._pool.signal(self._scheduler.engines[number].incarnation, signum)
                self._answer(arrival, m.Engines(numbers))
            case m.AddEngines(n, spec, up_to):
                self._pool.check(spec)
                self._order(inputs.Add(n, spec, up_to), arrival)
            case m.ScaleEngines(n, spec):
                self._pool.check(spec)
                self._order(inputs.Scale(n, spec), arrival)
            case m.RemoveEngines(targets):
                self._order(inputs.Remove(self._meant(client, targets, failed_too=True)), arrival)
            case m.RestartEngines(targets):
                reason = f"restarted at {time.strftime('%H:%M:%S')} by {self._clients.label(client)}"
                self._order(inputs.Restart(self._meant(client, targets, failed_too=True), reason), arrival)
            case m.Describe(usage):
                self._answer(arrival, m.Status(self._picture.cluster(self._idle_timeout, usage=usage)))
            case m.Complete(targets=targets) | m.Inspect(targets=targets):
                process = self._process(self._meant(client, targets, any_too=True)[0])
                self._spawn(self._relay.ask(order, process, lambda reply: self._answer(arrival, reply)))
            case m.SendInput(task, value):
                self._relay.give_input(task, value)
                self._answer(arrival, m.Done())
            case m.SendComm():
                self._relay.send_comm(client, order, self._process(order.engine), arrival.buffers)
                self._answer(arrival, m.Done())
            case m.ReadLog(number, lines):
                self._answer(arrival, m.LogText(self._read_log(number, lines)))
            case m.SetOptions(idle_timeout):
                if idle_timeout is not None:
                    self._idle_timeout = None if idle_timeout < 0 else idle_timeout
                self._answer(arrival, m.Done())
            case m.StopCluster(force):
                self._stop_ordered(client, force, arrival)
            case c.ForgetKey(key):
                self._order(inputs.ReleaseKey(key), arrival)
            case c.FetchValue():
                self._calls.fetch(client, order, arrival)
            case c.ListTasks():
                self._answer(arrival, self._listing.list(order, client))
            case c.ReadHistory():
                self._calls.read_history(order, arrival)
            case c.Explain(task):
                self._answer(arrival, m.LogText(self._listing.explain(task)))
            case c.AskEngines(targets=targets):
                engines = [(number, self._process(number)) for number in self._meant(client, targets)]
                self._calls.questions.ask(
                    order,
                    arrival.buffers,
                    engines,
                    lambda answers, buffers: self._clients.send(
                        arrival.ident, answers, arrival.msg_id, buffers
                    ),
                )
            case WatchWork(on):
                self._feed.watch(client, on=on)
                self._answer(arrival, m.Done())
            case StopWork(work):
                self._stop_work(work, client)
                self._answer(arrival, m.Done())
            case _:
                assert_never(order)

    def _welcome(self, hello: m.Hello, arrival: Arrival[m.Request]) -> None:
        if hello.protocol != m.PROTOCOL_VERSION:
            raise VersionMismatch(
                f"the client speaks version {hello.protocol} of the protocol (nbcluster {hello.version}), this cluster "
                f"version {m.PROTOCOL_VERSION}; `nbcluster stop {self._config.name} --force` ends it"
            )
        self._clients.join(hello, self._loop.time())
        self._answer(arrival, m.Welcome(self._picture.cluster(self._idle_timeout, usage=False)))

    def _client_left(self, client: ClientId, *, goodbye: bool = False) -> None:
        goodbye |= self._clients.is_inside(client)  # nobody can come back as what ran on an engine
        if not self._clients.leave(client):
            return
        self._relay.forget_client(client)
        self._cells.client_left(client)
        self._calls.client_left(client)
        self._work.client_left(client)
        self._idle_since = self._loop.time()
        self._step(inputs.ClientLeft(client, goodbye))
        if not len(self._clients) and self._idle_timeout is not None:
            self._loop.call_later(self._idle_timeout, self._end_if_idle)

    def peer_left(self) -> None:
        """A connection broke: perhaps a client was killed. It closes its sockets a moment before it is gone."""
        self._loop.call_later(DYING, self._forget_gone)

    def _forget_gone(self) -> None:
        for client in self._clients.gone(self._loop.time()):
            log.info("%s is gone", self._clients.label(client))
            self._client_left(client)

    def _look_after_clients(self) -> None:
        self._forget_gone()
        self._calls.sweep_shared(self._config.spill)
        self._end_if_idle()
        self._loop.call_later(BEAT_INTERVAL, self._look_after_clients)

    def _end_if_idle(self) -> None:
        is_working = bool(self._scheduler.queued or self._scheduler.running)
        if len(self._clients) or (is_working and not self._config.ends_with_clients):
            self._idle_since = self._loop.time()
            return
        if self._idle_timeout is None or self._stopping:
            return
        if self._loop.time() - self._idle_since >= self._idle_timeout:
            self.stop_soon(f"no client and no work for {self._idle_timeout:g} s")

    def _stop_ordered(self, client: ClientId, force: bool, arrival: Arrival[m.Request]) -> None:
        others = self._clients.labels(but=client)
        if others and not force:
            raise Refusal(
                "ClusterInUse",
                f"the cluster {self._config.name!r} is also used by {', '.join(others)}; "
                "stop it all the same with --force (force=True), or leave it with close()",
            )
        self._answer(arrival, m.Done())
        self.stop_soon(f"stopped by {self._clients.label(client)}")

    def _stop_work(self, work: str, client: ClientId) -> None:
        if work and not self._feed.stop_wanted(work):
            raise Refusal(
                "UsageError", f"nobody waits for work on {self._config.name!r} in a notebook any more"
            )
        for owner in () if work else self._clients.ids:
            self._step(inputs.CancelOwned(owner, f"stopped by {self._clients.label(client)}"))

    # -- orders -------------------------------------------------------------------------------

    def _meant(
        self, client: ClientId, targets: str, *, failed_too: bool = False, any_too: bool = False
    ) -> tuple[EngineNumber, ...]:
        if parse(targets).any and not any_too:
            raise UsageError("`any` is for cells; name the engines that this is about, or `all`")
        link = self._clients.heard(client, self._loop.time())
        language = link.language if link else "python"
        return split_targets(self._scheduler, targets, language, failed_too=failed_too)

    def _submit(self, client: ClientId, order: m.SubmitCell, arrival: Arrival[m.Request]) -> None:
        link = self._clients.heard(client, self._loop.time())
        language = link.language if link is not None else "python"
        check_cell(order, self._scheduler, language)
        tasks = tuple(
            TaskId(f"{order.cell}/{index}") for index in range(max(1, len(self._scheduler.engines)))
        )
        self._order(inputs.SubmitTasks(client, language, order, tasks), arrival)

    def _order(self, order: inputs.Order, arrival: Arrival[m.Request]) -> None:
        self._step(order, lambda answer: self._answer(arrival, answer))

    def _step(self, fact: inputs.Input, answer: Callable[[m.Answer], None] | None = None) -> None:
        self._calls.take_answers()
        answered = answer is None
        for effect in self._scheduler.step(fact):
            match effect:
                case effects.TellAccepted(client, cell, tasks):
                    assert isinstance(fact, inputs.SubmitTasks), "only a cell is accepted"
                    self._cells.accepted(client, fact.order, tasks)
                    reply: m.Answer = m.Accepted(cell, tasks)
                case effects.TellRefused(error, message):
                    reply = m.Refused(error, message)
                case effects.TellEngines(numbers):
                    reply = m.Engines(numbers)
                case _:
                    self._perform(effect)
                    continue
            if answer is not None and not answered:
                answer(reply)
                answered = True
        if answer is not None and not answered:
            answer(m.Done())
        self._calls.settle()

    def _perform(self, effect: effects.Effect) -> None:
        match effect:  # what comes most often first
            case (
                effects.RunCalls()
                | effects.TellCallsDone()
                | effects.ForgetPayloads()
                | effects.ForgetValues()
                | effects.TakeBackCalls()
                | effects.StopCalls()
                | effects.TellCallsBegun()
                | effects.DropValues()
                | effects.KeepRecipes()
                | effects.MakeAgain()
                | effects.TellCallsRemade()
                | effects.LoseValues()
            ):
                self._calls.perform(effect)
            case effects.StartEngine(number, incarnation, spec):
                self._start_engine(number, incarnation, spec)
            case effects.StopEngine(number, incarnation):
                engine = self._scheduler.engines.get(number)
                busy = engine is not None and (
                    engine.running is not None or bool(engine.inflight or engine.suspended)
                )
                self._pool.stop(incarnation, busy=busy or self._is_executing(incarnation))
            case effects.RunCell():
                self._cells.run(effect, self._scheduler.tasks[effect.task].owner)
            case effects.InterruptCell():
                self._cells.interrupt(effect)
            case effects.SetTimer(timer, seconds):
                self._timers[timer] = self._loop.call_later(seconds, self._timer_fired, timer)
            case effects.ClearTimer(timer):
                handle = self._timers.pop(timer, None)
                if handle is not None:
                    handle.cancel()
            case effects.TellStarted(client, cell, task, number, attempt, notice):
                self._clients.tell(client, m.TaskStarted(cell, task, number, attempt, notice))
            case effects.TellDone():
                self._cells.done(effect)
            case effects.ShowEngine(number, gone):
                self._picture.show(number, gone=gone)
            case effects.TellAccepted() | effects.TellRefused() | effects.TellEngines():
                raise AssertionError("answers are given where the order came from")
            case _:
                assert_never(effect)

    def _process(self, number: EngineNumber) -> EngineProcess | None:
        engine = self._scheduler.engines.get(number)
        return self._pool.by_incarnation.get(engine.incarnation) if engine is not None else None

    def _is_executing(self, incarnation: Incarnation) -> bool:
        process = self._pool.by_incarnation.get(incarnation)
        return process is not None and process.executions.any_running()

    def _start_engine(self, number: EngineNumber, incarnation: Incarnation, spec: m.KernelSpecRef) -> None:
        try:
            self._pool.start(number, incarnation, spec)
        except (NBClusterError, OSError) as error:
            log.exception("engine %s could not be started", number)
            self._loop.call_soon(self._never_started, number, incarnation, str(error))

    def _never_started(self, number: EngineNumber, incarnation: Incarnation, reason: str) -> None:
        cause = f"could not be started: {reason}"
        self._step(inputs.EngineDied(number, incarnation, self._loop.time(), cause))

    def _timer_fired(self, timer: str) -> None:
        if self._timers.pop(timer, None) is not None:
            self._step(inputs.TimerFired(timer))

    def _read_log(self, number: EngineNumber | None, lines: int) -> str:
        names = ("controller.log", "supervisor.log") if number is None else (f"engine-{number}.log",)
        if number is not None and number not in self._scheduler.engines:
            raise Refusal("UnknownTarget", f"there is no engine {number}")
        texts = []
        for name in names:
            try:
                with open(os.path.join(self._config.directory, name), errors="replace") as file:
                    texts.append("".join(file.readlines()[-lines:]))
            except OSError:
                continue
        return "".join(texts)

    # -- engines ------------------------------------------------------------------------------

    def engine_ready(self, engine: EngineProcess, language: str, can_call: bool) -> None:
        """An engine answered for the first time."""
        self._step(
            inputs.EngineReady(
                engine.number, engine.incarnation, language, engine.kernel.name, engine.host, can_call
            )
        )

    def engine_died(self, engine: EngineProcess, cause: str) -> None:
        """An engine's process ended."""
        self._relay.forget_engine(engine)
        self._cells.engine_gone(engine, cause)
        self._calls.engine_gone(engine)
        self._step(inputs.EngineDied(engine.number, engine.incarnation, self._loop.time(), cause))
        self._calls.engine_mourned(engine)

    def engine_replied(self, engine: EngineProcess, channel: Channel, message: Message) -> None:
        """A kernel answered something that nothing waited for."""
        self._cells.replied(engine, message)

    def engine_published(self, engine: EngineProcess, message: Message) -> None:
        """A kernel published something."""
        self._cells.published(engine, message)

    def engine_asked(self, engine: EngineProcess, message: Message) -> None:
        """A kernel wants input."""
        self._relay.asked(engine, message)

    def agent_said(self, incarnation: Incarnation, message: FromEngine, buffers: Sequence[Buffer]) -> None:
        """An agent sent a message."""
        engine = self._pool.by_incarnation.get(incarnation)
        if engine is not None:
            self._calls.agent_said(engine, message, buffers)

    def agent_lost(self, incarnation: Incarnation) -> None:
        """The connection of an agent broke."""
        engine = self._pool.by_incarnation.get(incarnation)
        if engine is not None:
            self._pool.agent_lost(engine)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._children.add(task)
        task.add_done_callback(self._child_ended)

    def _child_ended(self, task: asyncio.Task[None]) -> None:
        self._children.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a child of the controller failed", exc_info=task.exception())
