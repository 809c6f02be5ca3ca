"""Random graphs on engines that die at random: each value that is held is there at the end, or lost for a reason."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nbcluster.core.calls import LOSSES
from nbcluster.core.inputs import CallOrder, CallsGivenBack
from nbcluster.core.model import EngineState, TaskState
from nbcluster.core.recipes import AGAIN, LIMIT, OVERHEAD
from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.outcomes import Returned
from nbcluster.protocol.tasks import CallRef
from nbcluster.testing.simulation import Simulation

AGO = st.integers(0, 9)


class Graphs(RuleBasedStateMachine):
    """What runs is checked by the simulation: a call is sent only where its inputs are, or will be made before."""

    @initialize(n=st.integers(1, 3), limit=st.sampled_from([LIMIT, LIMIT, 6 * OVERHEAD, 0]))
    def start(self, n, limit):
        self.sim = Simulation(limit).engines(n)
        self.limit = limit
        self.orders = {}
        self.held = {}
        self.unrepeatable = set()
        self.worn = set()
        self.had_engines = True

    def pick(self, numbers, n):
        return sorted(numbers)[n % len(numbers)]

    def having(self, wanted):
        return [number for number, process in self.sim.processes.items() if wanted(process)]

    @rule(
        agos=st.lists(AGO, max_size=4),
        n=st.sampled_from([1, 1, 3]),
        repeatable=st.sampled_from([True] * 5 + [False]),
        retries=st.sampled_from([0, 1]),
    )
    def submit(self, agos, n, repeatable, retries):
        held = list(self.held)
        inputs = tuple(dict.fromkeys(held[-1 - ago % len(held)] for ago in agos)) if held else ()
        options = CallOptions(label="f", repeatable=repeatable, retries=retries)
        names = [f"c{len(self.orders) + i}" for i in range(n)]
        for name in names:
            self.orders[name] = inputs
            self.held[name] = True
            if not repeatable:
                self.unrepeatable.add(name)
        self.sim.submit_calls(*(CallOrder(name, options, "f", 1, inputs) for name in names))

    @precondition(lambda self: self.held)
    @rule(agos=st.lists(AGO, min_size=1, max_size=3))
    def release(self, agos):
        for ago in agos:
            if self.held:
                name = list(self.held)[-1 - ago % len(self.held)]
                del self.held[name]
                self.sim.release(name)

    @rule(n=AGO, most=st.sampled_from([1, 2, 5]), kept=st.sampled_from([False, False, True]))
    def answer(self, n, most, kept):
        working = self.having(lambda process: process.calls.sent)
        if working:
            number = self.pick(working, n)
            names = self.sim.flight(number)[:most]
            self.sim.give(number, *names, kept=kept, recipe=n, function_bytes=100)

    @rule(n=AGO)
    def give_back(self, n):
        asked = self.having(lambda process: process.calls.is_asked_to_give)
        if asked:
            self.sim.give_back(self.pick(asked, n))

    @rule(n=AGO, which=AGO)
    def give_back_unasked(self, n, which):
        """As an engine does that could not get a value which was lost."""
        working = self.having(lambda process: process.calls.sent)
        if working:
            number = self.pick(working, n)
            process = self.sim.processes[number]
            sent = list(process.calls.sent.values())
            run = sent[which % len(sent)]
            if process.calls.lacks(run):
                return
            ref = CallRef(run.task, run.attempt)
            process.calls.end(run.task, run.attempt)
            refs = (ref, *process.calls.give_up_on([ref]))
            self.sim.step(CallsGivenBack(number, process.incarnation, refs))

    @rule(n=AGO)
    def die(self, n):
        ready = self.having(lambda process: process.is_ready)
        if ready:
            self.sim.lose(self.pick(ready, n))

    @rule()
    def ready(self):
        for number in self.having(lambda process: not process.is_ready):
            self.sim.ready(number)

    @rule()
    def time_passes(self):
        """So that engines are started again however often they die."""
        self.sim.wait(61.0)

    @invariant()
    def recipes_are_what_the_controller_keeps(self):
        if not hasattr(self, "sim"):
            return
        scheduler, world = self.sim.scheduler, self.sim.world
        recipes = scheduler.ledger.recipes
        for name, call in (*scheduler.calls.items(), *recipes.past.items()):
            if call.remade >= AGAIN or len(call.losses) >= LOSSES:
                self.worn.add(name)
        self.had_engines &= any(e.state is not EngineState.FAILED for e in scheduler.engines.values())
        here = {name for name, call in recipes.past.items() if call.kept}
        again = {name for name, call in scheduler.calls.items() if call.again}
        assert world.recipes == set(recipes.sizes) - here
        assert world.payloads == set(world.owners) - set(world.outcomes) | again
        for number, process in self.sim.processes.items():
            assert set(scheduler.engines[number].values) == process.calls.values

    def grew_from(self, name):
        """A call and all that it grew from."""
        found, coming = set(), [name]
        while coming:
            each = coming.pop()
            if each not in found:
                found.add(each)
                coming += self.orders[each]
        return found

    def may_be_lost(self, name):
        """Whether there is a true reason for which a value is gone."""
        grew_from = self.grew_from(name)
        return self.limit < LIMIT or not self.had_engines or bool(grew_from & (self.unrepeatable | self.worn))

    def teardown(self):
        if not hasattr(self, "sim"):
            return
        self.sim.drain()
        scheduler, world = self.sim.scheduler, self.sim.world
        assert set(world.outcomes) == set(self.orders)
        anywhere = {name for process in self.sim.processes.values() for name in process.calls.values}
        for name in self.held:
            call = scheduler.calls[name]
            assert not call.again
            if call.state is TaskState.DONE and not call.lost:
                assert isinstance(call.outcome, Returned)
                assert call.kept or name in anywhere, f"the value of {name} is nowhere"
            else:
                assert self.may_be_lost(name), f"{name} was lost without a reason: {call}"
        self.sim.release(*self.held)
        recipes = scheduler.ledger.recipes
        left = [scheduler.calls, recipes.past, recipes.sizes, recipes.functions]
        left += [world.recipes, world.payloads, world.known]
        left += [process.calls.values for process in self.sim.processes.values()]
        assert not any(left), f"left: {left}"
        assert recipes.nbytes == 0


Graphs.TestCase.settings = settings(
    max_examples=max(200, settings.default.max_examples), stateful_step_count=50
)

TestGraphs = Graphs.TestCase
