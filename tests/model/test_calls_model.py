"""Calls beside cells under random orders, answers, deaths and delays: nothing contradicts, nothing is left."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from nbcluster.core.explain import explain
from nbcluster.core.inputs import (
    Add,
    CallOrder,
    CancelOwned,
    EngineLends,
    ReleaseKey,
    Remove,
    Restart,
    Scale,
)
from nbcluster.core.model import FINAL, EngineState, TaskState
from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.messages import KernelSpecRef
from nbcluster.protocol.outcomes import Returned
from nbcluster.testing import strategies
from nbcluster.testing.simulation import Simulation

AGO = st.integers(0, 7)


class Calls(RuleBasedStateMachine):
    """Random stories. The simulation checks each step; this class checks what only the whole story shows."""

    cells = Bundle("cells")

    def __init__(self):
        super().__init__()
        self.sim = Simulation()
        self.submitted = 0

    @initialize(n=st.integers(1, 3), fast=st.booleans())
    def start(self, n, fast):
        self.sim.engines(n, tags=["gpu"], resources={"gpu": 2.0})
        if fast:  # then engines are sent many ahead
            self.sim.call("first", targets="0", pinned=True).give(0, seconds=1e-4).release("first")

    def pick(self, numbers, n):
        """One of these numbers; n itself when there are none."""
        return sorted(numbers)[n % len(numbers)] if numbers else n

    def having(self, wanted):
        """Numbers of the processes of which this is so."""
        return [number for number, process in self.sim.processes.items() if wanted(process)]

    def present(self, client):
        """Who comes back is a new client."""
        return f"{client}-{self.submitted}" if client in self.sim.gone else client

    def recent(self, *agos):
        """Calls that were submitted so many before the last; the last are the most interesting."""
        names = list(self.sim.world.owners)
        return tuple(names[-1 - ago % len(names)] for ago in agos)

    def in_flight(self, n):
        """One of the calls that engines have."""
        names = [name for number in sorted(self.sim.processes) for name in self.sim.flight(number)]
        return names[n % len(names)] if names else "nothing"

    # -- orders

    @rule(
        options=strategies.call_options(),
        n=st.sampled_from([1, 2, 3, 6]),
        client=st.sampled_from(strategies.CLIENTS),
        key=st.sampled_from(["", "", "", "train", "test"]),
    )
    def submit(self, options, n, client, key):
        self.submit_them(options, n, client, key)

    @rule(n=st.sampled_from([1, 4, 8]), priority=st.sampled_from([0, 0, 5]), pinned=st.booleans())
    def both_submit_plain_ones(self, n, priority, pinned):
        self.submit_them(CallOptions(label="plain"), n, "ann", "")
        self.submit_them(CallOptions(label="plain", priority=priority), n, "bob", "")
        if pinned:
            self.submit_them(CallOptions(targets="0", pinned=True), 1, "bob", "")

    @rule(
        options=st.just(CallOptions(label="sum")) | strategies.call_options(),
        agos=st.lists(AGO, min_size=1, max_size=4),
        n=st.sampled_from([1, 2]),
        split=st.integers(0, 4),
        client=st.sampled_from(strategies.CLIENTS),
    )
    @precondition(lambda self: self.sim.world.owners)
    def submit_dependants(self, options, agos, n, split, client):
        names = self.recent(*agos)
        self.submit_them(options, n, client, "", names[split:], names[:split])

    def submit_them(self, options, n, client, key, inputs=(), after=()):
        names = [f"c{self.submitted + i}" for i in range(n)]
        self.submitted += n
        function = "fg"[self.submitted % 2]
        orders = [CallOrder(name, options, function, 1, inputs, after, key) for name in names]
        self.sim.submit_calls(*orders, client=self.present(client))

    @rule(
        target=cells,
        on=st.sampled_from(["", "", "any", "0", "-1,"]),
        client=st.sampled_from(strategies.CLIENTS),
        timeout=st.sampled_from([None, None, 3.0]),
        startup=st.sampled_from([False, False, False, True]),
        live=st.sampled_from([False, False, False, True]),
        retries=st.sampled_from([0, 0, 1]),
        priority=st.sampled_from([0, 0, 5]),
        resources=st.sampled_from([{}, {}, {"gpu": 1.0}]),
    )
    def submit_cell(self, on, client, startup, **options):
        self.submitted += 1
        before = set(self.sim.owners)
        name, client = f"cell{self.submitted}", self.present(client)
        self.sim.submit(name, on, client, startup=startup and on != "any", **options)
        return multiple(*sorted(set(self.sim.owners) - before))

    @precondition(lambda self: self.sim.world.owners)
    @rule(ago=AGO, n=AGO, cell=st.none() | cells, force=st.sampled_from([False, False, True]))
    def cancel(self, ago, n, cell, force):
        self.sim.cancel(*self.recent(ago), self.in_flight(n), *([cell] if cell else []), force=force)

    @rule(n=AGO, seconds=st.sampled_from([0.0, 6.0]), force=st.sampled_from([False, False, True]))
    def cancel_what_does_not_end(self, n, seconds, force):
        name = self.in_flight(n)
        self.sim.cancel(name).wait(seconds).cancel(name, force=force)

    @rule(client=st.sampled_from(strategies.CLIENTS))
    def cancel_all(self, client):
        self.sim.step(CancelOwned(client, "cancelled by %cluster cancel"))

    @precondition(lambda self: self.sim.world.owners)
    @rule(ago=AGO, n=AGO, by_another=st.sampled_from([False, False, False, True]))
    def release(self, ago, n, by_another):
        for name in (*self.recent(ago), self.in_flight(n)):
            self.sim.release(name, client="nobody" if by_another else self.sim.world.owners.get(name, "ann"))

    @rule(key=st.sampled_from(["train", "test", "nothing"]))
    def forget_key(self, key):
        is_held = key in self.sim.scheduler.keys
        self.sim.forget().step(ReleaseKey(key))
        assert key not in self.sim.scheduler.keys
        assert is_held == (not any(hasattr(effect, "error") for effect in self.sim.unseen))

    @rule(client=st.sampled_from(strategies.CLIENTS), goodbye=st.booleans(), n=strategies.numbers())
    def a_client_leaves(self, client, goodbye, n):
        if n == 0 and client not in self.sim.gone:
            self.sim.leave(client, goodbye)

    @rule(what=st.sampled_from(["add", "scale", "remove"]), n=st.integers(0, 4), plain=st.booleans())
    def resize(self, what, n, plain):
        spec = KernelSpecRef("", (), {}) if plain else KernelSpecRef("", ("gpu",), {"gpu": 1.0})
        if what == "remove" and n:  # of those that are there from the beginning one mostly stays
            self.sim.step(Remove((n,)))
        elif what == "scale":
            self.sim.step(Scale(n, spec))
        elif len(self.sim.scheduler.engines) < 5:
            self.sim.step(Add(n, spec))

    @rule(n=strategies.numbers())
    def add_one_that_cannot_call(self, n):
        if n == 0 and len(self.sim.scheduler.engines) < 5:
            self.sim.step(Add(1, KernelSpecRef("bash")))

    @rule(n=strategies.numbers())
    def restart(self, n):
        if n > 2:
            self.sim.step(
                Restart((self.pick(self.sim.scheduler.engines, n),), "restarted by %cluster restart")
            )

    # -- facts

    @rule(n=strategies.numbers(), everyone=st.booleans())
    def ready(self, n, everyone):
        starting = sorted(self.having(lambda process: not process.is_ready))
        for number in starting if everyone else starting[n : n + 1]:
            self.sim.ready(number)

    @rule(
        n=strategies.numbers(),
        most=st.sampled_from([1, 1, 2, 5]),
        outcome=strategies.call_outcomes(),
        seconds=st.sampled_from([1e-5, 1e-5, 0.02, 2.0]),
        kept=st.booleans(),
    )
    def answer(self, n, most, outcome, seconds, kept):
        working = self.having(lambda process: process.calls.sent)
        if working:
            number = self.pick(working, n)
            kept = kept and (not isinstance(outcome, Returned) or outcome.home)
            names = self.sim.flight(number)[:most]
            self.sim.give(number, *names, outcome=outcome, seconds=seconds, kept=kept)

    @rule(
        most=st.sampled_from([1, 2, 5]),
        outcome=strategies.call_outcomes(),
        seconds=st.sampled_from([1e-5, 1e-5, 0.02, 2.0]),
        kept=st.booleans(),
    )
    def answer_all_together(self, most, outcome, seconds, kept):
        kept = kept and (not isinstance(outcome, Returned) or outcome.home)
        working = sorted(self.having(lambda process: process.calls.sent))
        self.sim.give_together(working, most, outcome, seconds, kept)

    @rule(n=strategies.numbers(), outcome=strategies.answers_to_a_stop())
    def obey(self, n, outcome):
        stopping = self.having(lambda process: process.calls.stops)
        if stopping:
            number = self.pick(stopping, n)
            names = [x for x in self.sim.flight(number) if x in self.sim.processes[number].calls.stops]
            self.sim.give(number, *names, outcome=outcome, kept=n % 2 == 0)

    @rule(n=strategies.numbers())
    def begin(self, n):
        if working := self.having(lambda process: process.calls.sent):
            self.sim.begin(self.pick(working, n))

    @rule(n=strategies.numbers(), but=st.sampled_from([0, 0, 1, 2]))
    def give_back(self, n, but):
        if asked := self.having(lambda process: process.calls.is_asked_to_give):
            self.sim.give_back(self.pick(asked, n), but)

    @precondition(lambda self: self.sim.world.sent)
    @rule(ago=st.integers(1, 10), outcome=strategies.call_outcomes(), elsewhere=st.booleans())
    def answer_late(self, ago, outcome, elsewhere):
        """What is not to the present attempt, from this engine in this life, counts for nothing."""
        number, life, run = self.sim.world.sent[-ago:][0]
        number += elsewhere
        process = self.sim.processes.get(number)
        if process is not None and elsewhere:
            life = process.incarnation
        here = process is not None and process.incarnation == life
        if here and process.calls.sent.get(run.task) == run:
            return
        self.sim.forget().give_to(number, life, [run], outcome)
        self.sim.and_nothing_else()

    @rule(n=strategies.numbers(), life=st.integers(1, 3))
    def a_former_life_lends(self, n, life):
        """What an engine said in a life that has ended counts for nothing in the next."""
        if self.sim.processes:
            number = self.pick(self.sim.processes, n)
            level = self.sim.scheduler.engines[number].level
            former = self.sim.processes[number].incarnation - life
            self.sim.forget().step(EngineLends(number, former, level + 1))
            self.sim.and_nothing_else()
            assert self.sim.scheduler.engines[number].level == level

    @rule(n=strategies.numbers(), outcome=strategies.outcomes())
    def answer_cell(self, n, outcome):
        busy = self.having(lambda process: process.run or process.beside)
        if busy:
            process = self.sim.processes[self.pick(busy, n)]
            self.sim.answer_to(process.run or next(iter(process.beside.values())), outcome)

    @rule(n=strategies.numbers(), before_it_is_up=st.sampled_from([False] * 5 + [True]))
    def die(self, n, before_it_is_up):
        able = self.having(lambda process: process.is_ready or before_it_is_up)
        if able:
            self.sim.lose(self.pick(able, n))

    @rule()
    def those_asked_end(self):
        for number in sorted(self.having(lambda process: process.is_asked_to_end)):
            self.sim.lose(number, "exited with code 0")

    @rule(seconds=st.sampled_from([0.5, 4.0, 6.0, 30.0]))
    def time_passes(self, seconds):
        self.sim.wait(seconds)

    # -- what holds

    @invariant()
    def every_call_can_be_explained(self):
        calls = list(self.sim.scheduler.calls)
        for call in {*calls[:3], *calls[-5:], self.in_flight(0)}:
            assert explain(self.sim.scheduler, call)
        for key in self.sim.scheduler.keys:
            assert explain(self.sim.scheduler, key)
        for task in self.sim.scheduler.tasks:
            assert explain(self.sim.scheduler, task)

    @invariant()
    def the_controller_knows_what_the_scheduler_knows(self):
        scheduler, world = self.sim.scheduler, self.sim.world
        assert set(self.sim.timers) == set(scheduler.ledger.timers) | set(scheduler.ledger.call_timers)
        recipes = scheduler.ledger.recipes
        values_here = {name for name, call in recipes.past.items() if call.kept}
        again = {name for name, call in scheduler.calls.items() if call.again}
        assert world.known == set(scheduler.calls) | values_here
        assert world.payloads == set(world.owners) - set(world.outcomes) | again
        assert world.recipes == set(recipes.sizes) - values_here
        told = {name for name, call in scheduler.calls.items() if call.outcome is not None or call.again}
        told |= values_here
        assert told == world.known & set(world.outcomes)
        for number, process in self.sim.processes.items():
            engine = scheduler.engines[number]
            if process.is_ready and not process.is_asked_to_end:
                assert list(engine.inflight) == list(process.calls.sent)
                assert set(engine.values) == process.calls.values

    # -- the end

    def teardown(self):
        self.sim.drain().wait(1000.0).drain()
        scheduler, world = self.sim.scheduler, self.sim.world
        assert set(world.outcomes) == set(world.owners), "nobody was told the end of some calls"
        assert scheduler.queued == scheduler.running == 0
        assert all(call.state in FINAL for call in scheduler.calls.values())
        for key in list(scheduler.keys):
            self.sim.step(ReleaseKey(key))
        for client in set(world.owners.values()):
            self.sim.release(*world.owners, client=client)
        ledger = scheduler.ledger
        left = [ledger.tasks, ledger.calls, ledger.keys, ledger.pools, ledger.cells, ledger.timers]
        left += [ledger.call_timers, ledger.turns.served, ledger.limited, ledger.laden, ledger.held_back]
        left += [kind.ready.by_client() for kind in ledger.kinds.values()]
        left += [engine.inflight for engine in ledger.engines.values()]
        left += [engine.values for engine in ledger.engines.values()]
        left += [process.calls.values for process in self.sim.processes.values()]
        left += [world.known, world.payloads, world.recipes, self.sim.timers]
        left += [ledger.recipes.sizes, ledger.recipes.past, ledger.recipes.functions]
        assert not any(left), f"left: {left}"
        assert all(e.state in (EngineState.IDLE, EngineState.FAILED) for e in ledger.engines.values())
        assert all(not engine.load and not engine.stuck for engine in ledger.engines.values())


Calls.TestCase.settings = settings(max_examples=max(200, settings.default.max_examples))

TestCalls = Calls.TestCase


def test_the_table_of_moves_ends():
    assert {state for state in TaskState if state in FINAL} == {
        TaskState.DONE,
        TaskState.FAILED,
        TaskState.CANCELLED,
        TaskState.LOST,
    }
