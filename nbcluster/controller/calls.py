"""The desk of calls: takes what clients ask and agents say of them, and carries out what was decided. Decides nothing.

Bytes of users pass through as they came. What engines answer in one round of the loop is one step of the scheduler and,
for each client, one message.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import assert_never

from msgspec import msgpack

from nbcluster.controller.clients import Clients
from nbcluster.controller.dispatch import Dispatch
from nbcluster.controller.functions import Functions
from nbcluster.controller.history import History, Row
from nbcluster.controller.holds import Holds
from nbcluster.controller.payloads import HELD_LIMIT, KeptCall, Payloads, Values
from nbcluster.controller.pool import EnginePool, EngineProcess
from nbcluster.controller.questions import Questions
from nbcluster.controller.records import call_row, error_of
from nbcluster.controller.work import Work
from nbcluster.core import effects, inputs
from nbcluster.core.recipes import forbids
from nbcluster.core.summary import Ended
from nbcluster.ids import ClientId, Incarnation, TaskId
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m
from nbcluster.protocol import tasks as t
from nbcluster.protocol.outcomes import Returned
from nbcluster.transport import segments
from nbcluster.transport.frames import Buffer
from nbcluster.transport.segments import client_owner, engine_owner
from nbcluster.transport.turns import Turn
from nbcluster.transport.wire import Arrival

log = logging.getLogger(__name__)

Step = Callable[[inputs.Input, Callable[[m.Answer], None] | None], None]
CallEffect = (
    effects.RunCalls
    | effects.TakeBackCalls
    | effects.StopCalls
    | effects.TellCallsBegun
    | effects.TellCallsDone
    | effects.DropValues
    | effects.ForgetPayloads
    | effects.KeepRecipes
    | effects.MakeAgain
    | effects.TellCallsRemade
    | effects.LoseValues
    | effects.ForgetValues
)


class CallDesk:
    """Everything about calls that is no decision.

    Parameters
    ----------
    clients, pool, history, work : Clients, EnginePool, History, Work
    step : callable
        Gives the scheduler an input and performs its effects; the second argument is called with the answer, if any.
    shared : str
        The directory of shared memory; "" for none.
    """

    def __init__(
        self, clients: Clients, pool: EnginePool, history: History, work: Work, step: Step, shared: str
    ) -> None:
        self._clients = clients
        self._pool = pool
        self._history = history
        self._work = work
        self._step = step
        self._functions = Functions()
        self._shared = shared
        self._payloads = Payloads(self._functions, Holds(shared).hold)
        self._values = Values()
        self.dispatch = Dispatch(self._payloads, self._functions, self._values)
        self.questions = Questions(self.dispatch, self._values)
        self._results: dict[TaskId, t.CallResult] = {}
        self._answers: list[tuple[EngineProcess, inputs.CallsAnswered]] = []
        """What engines have answered in this round of the loop, and the scheduler has not been told."""
        self._strays: list[tuple[Incarnation, tuple[TaskId, ...]]] = []
        """Values that engines have which nobody waits for any more."""
        self._since: dict[TaskId, float] = {}
        self._retired: list[TaskId] = []
        self._over: list[TaskId] = []
        self._keyed: dict[TaskId, Row] = {}
        self._held_back: deque[tuple[Arrival[m.Request], int]] = deque()
        self._awaited: dict[TaskId, list[Callable[[effects.CallEnd], None]]] = {}

    @property
    def held_bytes(self) -> int:
        """Bytes of users that the controller keeps."""
        payloads = self._payloads
        return payloads.nbytes + payloads.recipe_nbytes + self._values.nbytes + self._functions.nbytes

    def kept(self, task: TaskId) -> KeptCall | None:
        """What is kept of a call that may still run."""
        return self._payloads.get(task)

    def row_of(self, task: TaskId) -> Row | None:
        """What became of a call with a key that has ended, while its value is held."""
        return self._keyed.get(task)

    # -- clients ------------------------------------------------------------------------------

    def submit(self, client: ClientId, order: c.SubmitCalls, arrival: Arrival[m.Request]) -> None:
        """Take calls; the answer waits while too many bytes wait to be sent."""
        now = time.time()
        tallies = self._work.tallies_of(client, order.options)
        specs, rejected = self._payloads.keep(
            client, self._clients.label(client), order, arrival.buffers, now, tallies
        )
        self._work.count(tallies, specs, now)
        if rejected:
            ends = tuple(c.CallDone(task, None, 0, outcome) for task, outcome in rejected)
            self._clients.tell_calls(client, c.CallsDone(ends))
        kinds = order.options
        orders = tuple(
            inputs.CallOrder(
                spec.task,
                kinds[spec.options],
                spec.function,
                len(spec.payload) + (sum(spec.sizes) if spec.sizes else 0) + spec.shared,
                spec.inputs,
                spec.after,
                spec.key,
            )
            for spec in specs
        )

        def answer(reply: m.Answer) -> None:
            if isinstance(reply, m.Refused):
                self._work.uncount(tallies, specs)
                self._payloads.forget(spec.task for spec in specs)
                self._clients.send(arrival.ident, reply, arrival.msg_id)
            else:
                self._accept(arrival, len(order.calls))

        self._step(inputs.SubmitCallOrders(client, orders), answer)

    def _accept(self, arrival: Arrival[m.Request], count: int) -> None:
        if self._payloads.nbytes <= HELD_LIMIT and not self._held_back:
            self._clients.accept(arrival.ident, arrival.msg_id, count)
            return
        if not self._held_back:
            log.info(
                "%d MiB of arguments wait for engines: clients that submit more are made to wait",
                self._payloads.nbytes >> 20,
            )
        self._held_back.append((arrival, count))

    def fetch(self, client: ClientId, order: c.FetchValue, arrival: Arrival[m.Request]) -> None:
        """Bring the value of a call, once it has ended."""
        task = order.task
        if self._payloads.get(task) is None:
            self._clients.when_read(client, lambda: self._bring(client, order, arrival))
            return

        def ended(end: effects.CallEnd) -> None:
            if isinstance(end.outcome, Returned):
                self._bring(client, order, arrival)
            elif why := self._values.why_lost(task):
                self._clients.send(arrival.ident, m.Refused("EngineLost", why), arrival.msg_id)
            else:
                refused = m.Refused("ValueReleased", f"{task} has no value: {error_of(end.outcome)}")
                self._clients.send(arrival.ident, refused, arrival.msg_id)

        self._awaited.setdefault(task, []).append(ended)

    def _bring(self, client: ClientId, order: c.FetchValue, arrival: Arrival[m.Request]) -> None:
        def came(sent: t.ValueSent, buffers: Sequence[Buffer]) -> None:
            if sent.lost:
                if why := self._values.why_lost(order.task):
                    self._clients.send(arrival.ident, m.Refused("EngineLost", why), arrival.msg_id)
                else:
                    self.fetch(client, order, arrival)  # it is made again, or has been elsewhere
            elif sent.missing:
                refused = m.Refused("ValueReleased", sent.missing)
                self._clients.send(arrival.ident, refused, arrival.msg_id)
            else:
                self._clients.send_value(
                    client, c.ValueBytes(sent.payload, sent.sizes, sent.offer), arrival.msg_id, buffers
                )

        self.questions.fetch(order.task, came, whole=order.whole, direct=order.direct)

    def sweep_shared(self, spill: str = "") -> None:
        """Unlink what clients and engines that are gone left in shared memory or on disk, unless something needs it."""
        living = {engine_owner(incarnation) for incarnation in self._pool.by_incarnation}
        if spill:
            segments.sweep(spill, living)
        if self._shared:
            living |= {client_owner(client) for client in self._clients.ids}
            living |= self._payloads.sharers()
            segments.sweep(self._shared, living)

    def read_history(self, question: c.ReadHistory, arrival: Arrival[m.Request]) -> None:
        """Answer from the history, when its thread has read it."""
        loop = asyncio.get_running_loop()

        def answer(records: c.Records) -> None:
            loop.call_soon_threadsafe(self._clients.send, arrival.ident, records, arrival.msg_id)

        self._history.read(question, answer)

    def client_left(self, client: ClientId) -> None:
        """A client has gone."""
        self.take_answers()
        self._functions.forget_client(client)
        ident = client.encode()
        self._held_back = deque(held for held in self._held_back if held[0].ident != ident)

    # -- effects ------------------------------------------------------------------------------

    def perform(self, effect: CallEffect) -> None:
        """Carry out what was decided."""
        match effect:
            case effects.RunCalls(engine, incarnation, calls):
                self.dispatch.run(engine, incarnation, calls)
            case effects.TellCallsDone():
                self._tell_done(effect)
            case effects.KeepRecipes(tasks):
                self._retired.extend(tasks)
            case effects.ForgetPayloads(tasks):
                self._over.extend(tasks)
            case effects.MakeAgain(tasks):
                self._payloads.revive(tasks)
                self._values.forget(tasks)
            case effects.TellCallsRemade(ends):
                self._tell_remade(ends)
            case effects.LoseValues(losses):
                for loss in losses:
                    self._values.mourn(loss.task, loss.why)
            case effects.ForgetValues(tasks):
                self._values.forget(tasks)
                if self._keyed:
                    for task in tasks:
                        self._keyed.pop(task, None)
            case effects.TellCallsBegun(client, engine, begun):
                self._clients.tell(
                    client,
                    c.CallsBegun(
                        tuple(
                            c.CallBegun(call.task, engine, call.attempt, self._since.get(call.task, 0.0))
                            for call in begun
                        )
                    ),
                )
            case effects.TakeBackCalls(_, incarnation, refs):
                self.dispatch.send(incarnation, t.TakeBack(refs))
            case effects.StopCalls(_, incarnation, refs):
                self.dispatch.send(incarnation, t.StopCalls(refs))
            case effects.DropValues(_, incarnation, tasks):
                self.dispatch.send(incarnation, t.DropValues(tasks))
            case _:
                assert_never(effect)

    def settle(self) -> None:
        """Let go of what is over, once all that was decided in a step is carried out."""
        if self._retired:
            self._payloads.retire(self._retired)
            self._retired.clear()
        if self._over:
            self._payloads.forget(self._over)
            self._over.clear()
        while self._held_back and self._payloads.nbytes <= HELD_LIMIT:
            arrival, count = self._held_back.popleft()
            self._clients.send(arrival.ident, c.CallsAccepted(count), arrival.msg_id)

    def _tell_done(self, effect: effects.TellCallsDone) -> None:
        now = time.time()
        behind = self._clients.is_behind(effect.client)
        summary = self._work.watched.get(effect.client)
        ended: list[Ended] = []
        ends = []
        for end in effect.calls:
            result = self._results.pop(end.task, None)
            if result is not None and result.attempt != end.attempt:
                result = None
            kept = self._payloads.get(end.task)
            if kept is not None:
                row = call_row(end, kept, result, now)
                if not kept.options.quiet:
                    self._history.add(row)
                tally = kept.tally
                if tally is not None:
                    state, seconds = row[4], row[11] or 0.0
                    tally.ended(state, seconds, now)
                    if summary is not None:
                        ended.append((tally.label, end.engine, state, row[9] or 0.0, seconds, row[13]))
                if kept.spec.key:
                    self._keyed[end.task] = row
            ends.append(_call_done(end, result, behind=behind))
            self._tell_awaiting(end)
        if summary is not None:
            summary.ended(ended, now)
        self._clients.tell_calls(effect.client, c.CallsDone(tuple(ends)))

    def _tell_remade(self, ends: Sequence[effects.CallEnd]) -> None:
        """Values were made again, or not: what their calls printed was seen the first time."""
        for end in ends:
            self._results.pop(end.task, None)
            if not isinstance(end.outcome, Returned):
                self._values.mourn(end.task, f"the value of {end.task} is no more: {error_of(end.outcome)}")
            self._tell_awaiting(end)

    def _tell_awaiting(self, end: effects.CallEnd) -> None:
        if end.task in self._awaited:
            for tell in self._awaited.pop(end.task):
                tell(end)

    # -- agents -------------------------------------------------------------------------------

    def agent_said(self, engine: EngineProcess, message: t.FromEngine, buffers: Sequence[Buffer]) -> None:
        """Take a message of an agent."""
        if type(message) is not t.CallsReturned:
            self.take_answers()
        match message:
            case t.CallsReturned(results):
                self._returned(engine, results)
            case t.Begun(task, attempt, since):
                kept = self._payloads.get(task)
                if kept is not None and kept.attempt == attempt:
                    kept.started = since
                self._since[task] = since
                refs = (t.CallRef(task, attempt),)
                self._step(inputs.CallsHaveBegun(engine.number, engine.incarnation, refs), None)
                self._since.clear()
            case t.GaveBack(refs):
                for ref in refs:
                    self.dispatch.ended(engine.incarnation, ref.task, ref.attempt)
                self._step(inputs.CallsGivenBack(engine.number, engine.incarnation, refs), None)
            case t.Lends(level):
                self._step(inputs.EngineLends(engine.number, engine.incarnation, level), None)
            case t.Printed(task, attempt, output):
                self._printed(engine, task, attempt, output)
            case t.Reported(task, attempt, values):
                kept = self._payloads.get(task)
                if kept is not None and (kept.attempt, kept.incarnation) == (attempt, engine.incarnation):
                    kept.progress = values
                    self._clients.tell(kept.client, c.CallReport(task, engine.number, values))
                    self._work.reported(kept.client, kept.options.label, engine.number, values, time.time())
            case t.SendMe():
                self._send_on(engine.incarnation, message)
            case t.ValueSent():
                self.questions.fetched(message, buffers)
            case t.Answered():
                self.questions.answered(message, buffers)
            case t.MemoryTold():
                engine.memory = message
            case t.AgentHello():
                self._pool.greeted(engine, message)
            case _:
                assert_never(message)

    def engine_gone(self, engine: EngineProcess) -> None:
        """An engine's process has ended, and its values with it."""
        self.take_answers()
        self._values.lose(engine.incarnation)
        self.dispatch.forget_engine(engine.incarnation)

    def engine_mourned(self, engine: EngineProcess) -> None:
        """It has been decided what becomes of an engine's values: whoever waits for its agent is told."""
        self.questions.forget_engine(
            engine.incarnation, f"the value was lost with engine {engine.number}, which ended"
        )

    def _returned(self, engine: EngineProcess, results: Sequence[t.CallResult]) -> None:
        incarnation = engine.incarnation
        returns = []
        strays = []
        for result in results:
            task, outcome, kept_here = result.task, result.outcome, True
            recipe = function = 0
            self.dispatch.ended(incarnation, task, result.attempt)
            kept = self._payloads.get(task)
            awaited = kept is not None and kept.attempt == result.attempt and kept.incarnation == incarnation
            if type(outcome) is Returned:
                payload = result.payload
                kept_here = outcome.home and payload is not None and len(payload) <= c.KEPT_BY_CONTROLLER
                if not awaited:
                    if not kept_here and (kept is None or kept.incarnation != incarnation):
                        strays.append(task)
                elif kept_here and payload is not None:
                    self._values.keep(task, payload)
                else:
                    self._values.leave(task, incarnation, None if outcome.home else payload)
                    if kept is not None and not forbids(kept.options):
                        recipe, function = self._payloads.cost(kept)
            if awaited:
                self._results[task] = result
            returns.append(
                inputs.CallReturn(task, result.attempt, outcome, result.seconds, kept_here, recipe, function)
            )
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._take_answers_of_the_round)
        self._answers.append((engine, inputs.CallsAnswered(engine.number, incarnation, tuple(returns))))
        if strays:  # late answers, of calls that ended otherwise
            self._strays.append((incarnation, tuple(strays)))

    def _take_answers_of_the_round(self) -> None:
        with Turn():  # what follows from all of them is sent together
            self.take_answers()

    def take_answers(self) -> None:
        """Let the scheduler hear what engines have answered: before anything that was said after it is looked at."""
        if not self._answers:
            return
        answers, self._answers = self._answers, []
        facts = tuple([fact for _, fact in answers])
        self._step(facts[0] if len(facts) == 1 else inputs.EnginesAnswered(facts), None)
        if self._results:
            self._untold(answers)
        strays, self._strays = self._strays, []
        for incarnation, tasks in strays:
            self.dispatch.send(incarnation, t.DropValues(tasks))

    def _untold(self, answers: Sequence[tuple[EngineProcess, inputs.CallsAnswered]]) -> None:
        """Pass on the output of attempts that were not the last of their calls."""
        for engine, fact in answers:
            for returned in fact.results:
                result = self._results.get(returned.task)
                if result is not None and result.attempt == returned.attempt and result.output:
                    self._printed(engine, result.task, result.attempt, result.output)
        self._results.clear()

    def _printed(self, engine: EngineProcess, task: TaskId, attempt: int, output: bytes) -> None:
        kept = self._payloads.get(task)
        # Threads may print when their call is over: the first part of its id says whose it was.
        owner = kept.client if kept is not None else self._clients.find(task.partition("-")[0])
        if owner is not None and not self._clients.is_behind(owner):
            self._clients.tell_calls(owner, c.CallOutput(task, engine.number, attempt, output))

    def _send_on(self, incarnation: Incarnation, asked: t.SendMe) -> None:
        def came(sent: t.ValueSent, buffers: Sequence[Buffer]) -> None:
            is_lost = sent.lost or (bool(sent.missing) and self._is_lost(asked.task))
            value = t.TakeValue(asked.task, sent.payload, sent.sizes, sent.missing, sent.offer, is_lost)
            self.dispatch.send(incarnation, value, buffers)

        self.questions.fetch(asked.task, came, whole=asked.whole, direct=asked.direct)

    def _is_lost(self, task: TaskId) -> bool:
        """Whether a value was lost, be it for good or until it is made again."""
        return self._payloads.get(task) is not None or bool(self._values.why_lost(task))


def _call_done(end: effects.CallEnd, result: t.CallResult | None, *, behind: bool) -> c.CallDone:
    outcome = end.outcome
    if result is None:
        return c.CallDone(end.task, end.engine, end.attempt, outcome)
    payload = result.payload if type(outcome) is Returned else None
    output = result.output
    if behind:
        # The value stays where it is until it is fetched.
        if payload is not None and type(outcome) is Returned:
            payload, outcome = None, Returned(outcome.nbytes, home=False)
        if output:
            output = _dropped(len(output))
    return c.CallDone(
        end.task, end.engine, end.attempt, outcome, result.started, result.seconds, payload, output
    )


def _dropped(size: int) -> bytes:
    text = (
        f"nbcluster: {size} bytes of output were dropped, because this client had not read what came before\n"
    )
    return msgpack.encode((c.OutputPiece("stderr", text),))
