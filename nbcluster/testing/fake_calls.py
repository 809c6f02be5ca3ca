"""Calls as fake engines and a fake controller know them: what was sent, asked, told. Knows no scheduler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nbcluster.core.effects import CallBegin, CallEnd, CallRun, ValueLoss
from nbcluster.core.inputs import CallOrder
from nbcluster.ids import ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import KernelSpecRef
from nbcluster.protocol.outcomes import CallOutcome, Returned
from nbcluster.protocol.tasks import CallRef


@dataclass(slots=True)
class FakeCalls:
    """The calls of one fake engine. Refuses with AssertionError what no real one could follow."""

    sent: dict[TaskId, CallRun] = field(default_factory=dict)
    """What has not been answered, in the order of sending."""
    recalled: dict[TaskId, int] = field(default_factory=dict)
    """Attempts that it was asked to give back since it last did."""
    is_asked_to_give: bool = False
    stops: set[TaskId] = field(default_factory=set)
    """Calls that it was asked to stop."""
    values: set[TaskId] = field(default_factory=set)
    """Calls whose values lie here."""

    def take(self, run: CallRun) -> None:
        """A call arrives."""
        assert run.task not in self.sent, f"{run} is there already"
        self.recalled.pop(run.task, None)
        self.sent[run.task] = run

    def ask_back(self, refs: Iterable[CallRef]) -> None:
        """The controller wants calls back."""
        for ref in refs:
            assert self.recalled.get(ref.task) != ref.attempt, f"{ref} is asked back twice"
            self._check(ref)
            self.recalled[ref.task] = ref.attempt
        self.is_asked_to_give = True

    def ask_to_stop(self, refs: Iterable[CallRef]) -> None:
        """The controller wants calls to end."""
        for ref in refs:
            self._check(ref)
            self.stops.add(ref.task)

    def drop(self, tasks: Iterable[TaskId]) -> None:
        """Values are not needed any more."""
        for task in tasks:
            assert task in self.values, f"the value of {task} is not there"
            self.values.remove(task)

    def end(self, task: TaskId, attempt: int) -> bool:
        """An attempt ends, unless another or none is here."""
        if task not in self.sent or self.sent[task].attempt != attempt:
            return False
        del self.sent[task]
        self.stops.discard(task)
        return True

    def hand_over(self, but: int) -> list[CallRef]:
        """Give up what was asked back and is still here, but the first so many."""
        refs = [CallRef(task, attempt) for task, attempt in self.recalled.items()]
        refs = [ref for ref in refs if ref.task in self.sent and self.sent[ref.task].attempt == ref.attempt]
        self.recalled.clear()
        self.is_asked_to_give = False
        given = [ref for ref in refs[but:] if self.end(ref.task, ref.attempt)]
        return given + self.give_up_on(given)

    def lacks(self, run: CallRun) -> bool:
        """Whether a call was sent ahead of one that has not ended."""
        return any(place.attempt and place.task in self.sent for place in run.inputs)

    def give_up_on(self, gone: Iterable[CallRef]) -> list[CallRef]:
        """Attempts will make no value: those that were sent ahead of them are given back, and those of these."""
        names = {ref.task for ref in gone}
        given = []
        for run in list(self.sent.values()):
            if any(place.attempt and place.task in names for place in run.inputs):
                names.add(run.task)
                self.end(run.task, run.attempt)
                given.append(CallRef(run.task, run.attempt))
        return given

    def _check(self, ref: CallRef) -> None:
        run = self.sent.get(ref.task)
        assert run is not None, f"{ref} is not there"
        assert run.attempt == ref.attempt, f"{ref} is about another attempt than {run}"


class CallWorld:
    """What clients and controller know of calls.

    Attributes
    ----------
    owners : dict of TaskId to ClientId
        Every call that was submitted.
    orders : dict of TaskId to CallOrder
        What was submitted.
    outcomes : dict of TaskId to CallOutcome
        What the owners were told.
    sent : list of (EngineNumber, Incarnation, CallRun)
        Every attempt that was ever sent to an engine.
    payloads, known : set of TaskId
        Calls whose arguments, and whose values, the controller has not been told to forget.
    recipes : set of TaskId
        Calls that have ended and whose arguments are kept to make their values again.
    losses : dict of TaskId to str
        Values that were lost for good, with the reason.
    """

    def __init__(self) -> None:
        self.owners: dict[TaskId, ClientId] = {}
        self.orders: dict[TaskId, CallOrder] = {}
        self.outcomes: dict[TaskId, CallOutcome] = {}
        self.sent: list[tuple[EngineNumber, Incarnation, CallRun]] = []
        self.payloads: set[TaskId] = set()
        self.recipes: set[TaskId] = set()
        self.known: set[TaskId] = set()
        self.losses: dict[TaskId, str] = {}

    def enter(self, order: CallOrder, client: ClientId) -> None:
        """A client submits a call."""
        task = order.task
        self.owners[task], self.orders[task] = client, order
        self.payloads.add(task)
        self.known.add(task)

    def check_run(self, run: CallRun, values: Mapping[EngineNumber, set[TaskId]], there: FakeCalls) -> None:
        """A call that is sent has its arguments, and its inputs are where it is said or will be there in time."""
        assert run.task in self.payloads, f"the arguments of {run} were forgotten"
        for place in run.inputs:
            if place.attempt:
                before = there.sent.get(place.task)
                assert before is not None, f"{run} was sent ahead of {place}, which is not there"
                assert before.attempt == place.attempt, f"{run} was sent ahead of {place}, which is {before}"
                continue
            kept = self.known if place.engine is None else values[place.engine]
            assert place.task in kept, f"{run} takes {place}, which is not there"

    def check_place(self, run: CallRun, number: EngineNumber, spec: KernelSpecRef) -> None:
        """A call is sent where it may run."""
        order = self.orders[run.task]
        wanted = order.options.targets
        assert spec.kernel in ("", "python3"), f"{run} was sent to {spec}, which runs no functions"
        for name, amount in order.options.resources.items():
            assert spec.resources.get(name, 0.0) >= amount, f"{run} needs {amount} of {name}, and {spec} came"
        if wanted.isalpha() and wanted != "any":
            assert wanted in spec.tags, f"{run} is for engines called {wanted!r}, not for {spec}"
        elif wanted.replace(",", "").isdigit():
            assert str(number) in wanted.split(","), f"{run} is for the engines {wanted}, not for {number}"

    def check_after(self, run: CallRun) -> None:
        """A call is sent when what it comes after has returned, or is made where it waits for the value."""
        made_there = {place.task for place in run.inputs if place.attempt}
        for name in self.orders[run.task].after:
            if name not in self.orders or name in made_there:
                continue  # a cell: of those the simulation knows; or its engine does not begin without the value
            assert isinstance(self.outcomes.get(name), Returned), f"{run} comes before {name} has returned"

    def hear_of_begin(self, client: ClientId, begin: CallBegin) -> None:
        """A client is told that its call runs."""
        assert self.owners[begin.task] == client, f"{client} was told of {begin}"
        assert begin.task not in self.outcomes, f"{begin} comes after the end"

    def hear_of_ends(self, client: ClientId, ends: Iterable[CallEnd]) -> None:
        """A client is told of ends, of each call once."""
        for end in ends:
            assert self.owners[end.task] == client, f"{client} was told of {end}"
            assert end.task not in self.outcomes, f"{client} was told twice of {end}"
            self.outcomes[end.task] = end.outcome

    def forget_payloads(self, tasks: Iterable[TaskId]) -> None:
        """Arguments are not needed any more."""
        for task in tasks:
            assert task in self.outcomes, f"the arguments of {task} are forgotten before its end"
            (self.recipes if task in self.recipes else self.payloads).remove(task)

    def keep_recipes(self, tasks: Iterable[TaskId]) -> None:
        """Arguments are kept although their calls have ended."""
        for task in tasks:
            assert task in self.outcomes, f"the arguments of {task} are a recipe before its end"
            self.payloads.remove(task)
            self.recipes.add(task)

    def make_again(self, tasks: Iterable[TaskId]) -> None:
        """Calls whose values are gone will run again."""
        for task in tasks:
            self.recipes.remove(task)
            self.payloads.add(task)
            self.known.add(task)

    def hear_of_remade(self, ends: Iterable[CallEnd]) -> None:
        """Who waits for values that are made again is told how that went."""
        for end in ends:
            assert end.task in self.payloads, f"{end.task} was not to be made again"
            if not isinstance(end.outcome, Returned):
                self.lose_values([ValueLoss(end.task, str(end.outcome))])

    def lose_values(self, losses: Iterable[ValueLoss]) -> None:
        """Values are lost for good."""
        for loss in losses:
            assert loss.task in self.outcomes, f"the value of {loss.task} is lost before it was made"
            self.losses[loss.task] = loss.why

    def forget_values(self, tasks: Iterable[TaskId]) -> None:
        """Nobody asks for these any more."""
        for task in tasks:
            assert task in self.outcomes, f"{task} is forgotten before its end"
            self.known.remove(task)
