"""Cells and calls that come after each other at random: what runs had its reasons, and all come to an end."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nbcluster.core.effects import TellAccepted, TellRefused
from nbcluster.core.explain import explain
from nbcluster.core.inputs import Add, Remove
from nbcluster.ids import EngineNumber, TaskId
from nbcluster.protocol.messages import KernelSpecRef, Succeeded, Unmet
from nbcluster.protocol.outcomes import Rejected, Returned
from nbcluster.testing import strategies
from nbcluster.testing.simulation import Simulation

AGOS = st.lists(st.integers(1, 6), max_size=3)


class Waiting(RuleBasedStateMachine):
    """Random stories. The simulation checks each step; this class checks that order was kept."""

    def __init__(self):
        super().__init__()
        self.sim = Simulation()
        self.names = []
        """Of cells and calls, in the order of submission."""
        self.after, self.behind, self.near, self.brought = {}, {}, {}, {}
        self.pushes = {}
        """Calls that are pinned, with their engine."""
        self.seen = 0

    @initialize(n=st.integers(1, 3))
    def start(self, n):
        self.sim.engines(n)

    def recent(self, agos):
        return tuple(
            TaskId(name) for name in dict.fromkeys(self.names[-ago] for ago in agos if ago <= len(self.names))
        )

    def cells_of(self, names):
        return tuple(name for name in names if name in self.sim.owners)

    def became(self, name):
        """True or False for what has ended well or not, None for what has not ended."""
        if name in self.sim.outcomes:
            return isinstance(self.sim.outcomes[name], Succeeded)
        outcome = self.sim.world.outcomes.get(name)
        return None if outcome is None else isinstance(outcome, Returned)

    def look(self):
        """The cells that were sent since the last look had their turn."""
        for run in self.sim.runs[self.seen :]:
            for name in self.after.get(run.task, ()):
                assert self.became(name), f"{run.task} runs, and {name} is {self.became(name)}"
            for name in self.behind.get(run.task, ()):
                assert self.became(name) is not None, f"{run.task} runs, and {name} has not ended"
            for name in self.brought.get(run.task, ()):
                if self.pushes[name] == run.engine:
                    assert self.became(name), f"{run.task} runs, and {name} is {self.became(name)}"
            near = self.near.get(run.task)
            if near is not None:
                where = [other.engine for other in self.sim.runs if other.task == near][-1]
                assert run.engine == where, f"{run.task} runs on {run.engine}, and {near} on {where}"
        self.seen = len(self.sim.runs)

    @rule(
        on=st.sampled_from(["", "any", "any", "0", "-1"]),
        after=AGOS,
        behind=AGOS,
        near=st.booleans(),
        brought=AGOS,
        retries=st.sampled_from([0, 1]),
    )
    def submit_cell(self, on, after, behind, near, brought, retries):
        name = f"c{len(self.names)}"
        needs, before = self.recent(after), self.cells_of(self.recent(behind))
        cells = self.cells_of(needs)
        options = {"near": cells[0]} if near and on == "any" and cells else {}
        pushed = () if on == "any" else tuple(each for each in self.recent(brought) if each in self.pushes)
        self.sim.forget().submit(
            name, on, after=needs, behind=before, brought=pushed, retries=retries, **options
        )
        answer = next(e for e in self.sim.unseen if isinstance(e, TellAccepted | TellRefused))
        if isinstance(answer, TellAccepted):
            for place in answer.tasks:
                self.names.append(place.task)
                self.after[place.task], self.behind[place.task] = needs, before
                self.near[place.task] = options.get("near")
                self.brought[place.task] = pushed
        self.look()

    @rule(after=AGOS, inputs=AGOS, near=st.booleans())
    def submit_call(self, after, inputs, near):
        name = f"f{len(self.names)}"
        needs = self.recent(after)
        cells = self.cells_of(needs)
        taken = tuple(each for each in self.recent(inputs) if each not in self.sim.owners)
        options = {"near": cells[0], "pinned": True} if near and cells else {}
        self.sim.call(name, after=needs, inputs=taken, **options)
        self.names.append(name)
        self.after[name] = needs + taken
        self.look()

    @rule(engine=st.integers(0, 2), inputs=AGOS)
    def push(self, engine, inputs):
        name = f"p{len(self.names)}"
        taken = tuple(each for each in self.recent(inputs) if each not in self.sim.owners)
        self.sim.call(name, inputs=taken, targets=str(engine), pinned=True)
        self.names.append(name)
        self.after[name], self.pushes[name] = taken, engine
        self.look()

    @rule(n=strategies.numbers(), outcome=strategies.outcomes())
    def answer(self, n, outcome):
        busy = sorted(k for k, process in self.sim.processes.items() if process.run)
        if busy:
            self.sim.answer(busy[n % len(busy)], outcome)
        self.look()

    @rule(n=strategies.numbers(), outcome=strategies.call_outcomes(), kept=st.booleans())
    def answer_call(self, n, outcome, kept):
        having = sorted(k for k, process in self.sim.processes.items() if process.calls.sent)
        if having:
            self.sim.give(having[n % len(having)], outcome=outcome, kept=kept)
        self.look()

    @rule(ago=st.integers(1, 6))
    def cancel(self, ago):
        self.sim.cancel(*self.recent([ago]))
        self.look()

    @rule(n=strategies.numbers(), cause=strategies.causes())
    def die(self, n, cause):
        ready = sorted(k for k, process in self.sim.processes.items() if process.is_ready)
        if ready:
            self.sim.lose(ready[n % len(ready)], cause)
        self.look()

    @rule(n=strategies.numbers())
    def remove_or_add(self, n):
        if n % 2:
            self.sim.step(Remove((EngineNumber(n // 2),)))
        elif len(self.sim.scheduler.engines) < 4:
            self.sim.step(Add(1, KernelSpecRef()))
        self.look()

    @rule()
    def ready(self):
        for number in sorted(k for k, process in self.sim.processes.items() if not process.is_ready):
            self.sim.ready(number)
        self.look()

    @rule(seconds=st.sampled_from([4.0, 6.0]))
    def time_passes(self, seconds):
        self.sim.wait(seconds)
        self.look()

    @invariant()
    def all_can_be_explained(self):
        for name in (*self.sim.scheduler.tasks, *self.sim.scheduler.calls):
            assert explain(self.sim.scheduler, name)

    def teardown(self):
        self.sim.drain().wait(1000.0).drain()
        self.look()
        scheduler = self.sim.scheduler
        assert not scheduler.tasks, f"left: {scheduler.tasks}"
        assert not scheduler.ledger.awaited, f"still waited for: {scheduler.ledger.awaited}"
        for name in self.names:
            assert self.became(name) is not None, f"nobody was told the end of {name}"
            outcome = self.sim.outcomes.get(name) or self.sim.world.outcomes.get(name)
            if isinstance(outcome, Unmet) or (
                isinstance(outcome, Rejected) and outcome.error == "DependencyFailed"
            ):
                needed = (*self.after[name], *self.brought.get(name, ()))
                failed = [each for each in needed if self.became(each) is False]
                assert failed, f"{name} did not run, and all of {self.after[name]} have succeeded"
                assert self.became(outcome.cause) is False, f"{outcome.cause} is no cause"


Waiting.TestCase.settings = settings(max_examples=max(200, settings.default.max_examples))

TestWaiting = Waiting.TestCase
