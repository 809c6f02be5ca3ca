"""A cluster without processes: a real scheduler, fake engines, virtual time. Knows no sockets.

A story steps the scheduler and says what it expects:

>>> sim = Simulation().engines(2)
>>> _ = sim.submit("a", on="1").expect(TellAccepted).expect(TellStarted, engine=1).expect(RunCell, task="a.0")
>>> _ = sim.and_nothing_else()
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self, assert_never

from nbcluster.core.effects import (
    ClearTimer,
    DropValues,
    Effect,
    ForgetPayloads,
    ForgetValues,
    InterruptCell,
    KeepRecipes,
    LoseValues,
    MakeAgain,
    RunCalls,
    RunCell,
    SetTimer,
    ShowEngine,
    StartEngine,
    StopCalls,
    StopEngine,
    TakeBackCalls,
    TellAccepted,
    TellCallsBegun,
    TellCallsDone,
    TellCallsRemade,
    TellDone,
    TellEngines,
    TellRefused,
    TellStarted,
)
from nbcluster.core.inputs import (
    Add,
    Cancel,
    CellReturned,
    ClientLeft,
    EngineDied,
    EngineReady,
    Input,
    SubmitTasks,
    TimerFired,
)
from nbcluster.core.invariants import check
from nbcluster.core.recipes import LIMIT
from nbcluster.core.scheduler import Scheduler
from nbcluster.ids import CellId, ClientId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import KernelSpecRef, Outcome, SubmitCell, Succeeded
from nbcluster.testing.call_stories import CallStories
from nbcluster.testing.fake_calls import CallWorld, FakeCalls

LANGUAGES = {"": "python", "python3": "python", "bash": "bash", "ir": "R"}
"""What the fake kernels speak; another kernel speaks a language of its own name."""


@dataclass(slots=True)
class FakeEngine:
    """A process as the scheduler may know it: up or not, asked to end or not, at one cell or none."""

    incarnation: Incarnation
    spec: KernelSpecRef
    is_ready: bool = False
    is_asked_to_end: bool = False
    run: RunCell | None = None
    beside: dict[TaskId, RunCell] = field(default_factory=dict)
    """Live cells."""
    interrupts: int = 0
    calls: FakeCalls = field(default_factory=FakeCalls)


class Simulation(CallStories):
    """Drives a scheduler and performs its effects on fake engines.

    After every step the invariants are checked, and each effect is refused with AssertionError when no real
    process could follow it: a cell for a busy engine, a timer set twice, a task told its end twice.

    Attributes
    ----------
    processes : dict of EngineNumber to FakeEngine
    timers : dict of str to float
        When each fires, in virtual seconds.
    owners : dict of TaskId to ClientId
        Every task that was accepted, also startup runs once they were told of.
    outcomes : dict of TaskId to Outcome
        What the owners were told.
    runs : list of RunCell
        Every cell that was ever sent to an engine.
    world : CallWorld
        What is known of calls.
    """

    def __init__(self, recipe_limit: int = LIMIT) -> None:
        self.scheduler = Scheduler(recipe_limit)
        self.now = 0.0
        self.processes: dict[EngineNumber, FakeEngine] = {}
        self.timers: dict[str, float] = {}
        self.owners: dict[TaskId, ClientId] = {}
        self.outcomes: dict[TaskId, Outcome] = {}
        self.runs: list[RunCell] = []
        self.world = CallWorld()
        self.gone: set[ClientId] = set()
        self.unseen: list[Effect] = []
        self._last_incarnation = 0

    # -- what happens -------------------------------------------------------------------------

    def step(self, input: Input) -> list[Effect]:
        """Tell the scheduler anything, and perform what it answers."""
        effects, sent = self.scheduler.step(input), len(self.world.sent)
        for effect in effects:
            self._perform(effect)
        for _, _, run in self.world.sent[sent:]:
            self.world.check_after(run)
        check(self.scheduler)
        self.unseen += effects
        return effects

    def engines(
        self, n: int, kernel: str = "", tags: Iterable[str] = (), resources: dict[str, float] | None = None
    ) -> Self:
        """Add engines and let them get ready; what that told is forgotten."""
        self.step(Add(n, KernelSpecRef(kernel, tuple(tags), resources or {})))
        for number in sorted(self.processes):
            if not self.processes[number].is_ready:
                self.ready(number)
        return self.forget()

    def submit(
        self, cell: str, on: str = "", client: str = "ann", language: str = "python", **options: Any
    ) -> Self:
        """Submit a cell; its tasks are called cell.0, cell.1 and so on."""
        order = SubmitCell(CellId(cell), options.pop("code", cell), on, **options)
        ids = tuple(TaskId(f"{cell}.{i}") for i in range(max(1, len(self.scheduler.engines))))
        self.step(SubmitTasks(ClientId(client), language, order, ids))
        return self

    def ready(self, number: int) -> Self:
        """An engine answers for the first time."""
        process = self.processes[EngineNumber(number)]
        process.is_ready = True
        language = LANGUAGES.get(process.spec.kernel, process.spec.kernel)
        kernel = process.spec.kernel or "python3"
        can_call = language == "python"
        self.step(EngineReady(EngineNumber(number), process.incarnation, language, kernel, "here", can_call))
        return self

    def lose(self, number: int, cause: str = "killed by SIGKILL") -> Self:
        """An engine's process ends, asked or not."""
        process = self.processes.pop(EngineNumber(number))
        self.step(EngineDied(EngineNumber(number), process.incarnation, self.now, cause))
        return self

    def answer(self, number: int, outcome: Outcome | None = None) -> Self:
        """The cell that an engine runs ends; Succeeded unless told."""
        run = self.processes[EngineNumber(number)].run
        assert run is not None, f"engine {number} runs nothing"
        return self.answer_to(run, outcome)

    def answer_to(self, run: RunCell, outcome: Outcome | None = None) -> Self:
        """An answer to this run arrives, perhaps late."""
        process = self.processes.get(run.engine)
        if process is not None and process.run is run:
            process.run = None
        if process is not None and process.beside.get(run.task) is run:
            del process.beside[run.task]
        self.step(CellReturned(run.task, run.engine, run.incarnation, run.attempt, outcome or Succeeded()))
        return self

    def cancel(self, *tasks: str, force: bool = False) -> Self:
        """The owner cancels tasks."""
        self.step(Cancel(tuple(TaskId(task) for task in tasks), "cancelled by its owner", force))
        return self

    def leave(self, client: str, goodbye: bool = False) -> Self:
        """A client vanishes, or closes."""
        self.step(ClientLeft(ClientId(client), goodbye))
        self.gone.add(ClientId(client))
        return self

    def wait(self, seconds: float) -> Self:
        """Time passes; timers fire when they are due."""
        end = self.now + seconds
        while due := [(at, timer) for timer, at in self.timers.items() if at <= end]:
            self.now, timer = min(due)
            del self.timers[timer]
            self.step(TimerFired(timer))
        self.now = end
        return self

    def drain(self) -> Self:
        """Let everything come to its end: what is asked to end does, what starts gets up, cells succeed."""
        for _ in range(10_000):
            for number, process in sorted(self.processes.items()):
                if process.is_asked_to_end:
                    self.lose(number, "exited with code 0")
                elif not process.is_ready:
                    self.ready(number)
                elif process.run is not None:
                    self.answer(number)
                elif process.beside:
                    self.answer_to(next(iter(process.beside.values())))
                elif process.calls.is_asked_to_give:
                    self.give_back(number, but=1)
                elif process.calls.sent:
                    self.give(number, *process.calls.sent, kept=len(process.calls.sent) % 2 == 0)
                else:
                    continue
                break
            else:
                return self
        raise AssertionError("the cluster does not come to rest")

    # -- what is expected ---------------------------------------------------------------------

    def forget(self) -> Self:
        """Expect nothing of what was told so far."""
        self.unseen.clear()
        return self

    def expect(self, kind: type[Any], **fields: Any) -> Self:
        """Expect an effect of this kind with these fields among those not yet expected.

        `fields` may name fields of the outcome by its type: ``outcome=Lost``.
        """
        for effect in self.unseen:
            if isinstance(effect, kind) and all(_agrees(effect, *field) for field in fields.items()):
                self.unseen.remove(effect)
                return self
        raise AssertionError(f"expected {kind.__name__} {fields}, found {self.unseen}")

    def and_nothing_else(self) -> Self:
        """Expect no more; that engines changed their looks does not count."""
        rest = [effect for effect in self.unseen if not isinstance(effect, ShowEngine)]
        assert not rest, f"expected nothing else, found {rest}"
        return self.forget()

    # -- the fake world -----------------------------------------------------------------------

    def _fake(self, number: int) -> tuple[Incarnation, FakeCalls] | None:
        process = self.processes.get(EngineNumber(number))
        return (process.incarnation, process.calls) if process is not None else None

    def _perform(self, effect: Effect) -> None:
        match effect:
            case StartEngine(number, incarnation, spec):
                assert number not in self.processes, f"engine {number} was started while it lives"
                assert incarnation > self._last_incarnation, f"incarnation {incarnation} was used before"
                self._last_incarnation = incarnation
                self.processes[number] = FakeEngine(incarnation, spec)
            case StopEngine(number, incarnation):
                process = self._process(number, incarnation)
                assert not process.is_asked_to_end, f"engine {number} was asked to end twice"
                process.is_asked_to_end = True
            case RunCell():
                self._run(effect)
            case InterruptCell(task, number, incarnation, attempt):
                process = self._process(number, incarnation)
                run = process.beside.get(task, process.run)
                assert run is not None, f"{effect} hits nothing"
                assert (run.task, run.attempt) == (task, attempt), f"{effect} hits {run}"
                process.interrupts += 1
            case SetTimer(timer, seconds):
                assert timer not in self.timers, f"timer {timer} was set twice"
                self.timers[timer] = self.now + seconds
            case ClearTimer(timer):
                assert timer in self.timers, f"timer {timer} was cleared and is not set"
                del self.timers[timer]
            case TellAccepted(client, _, places):
                for place in places:
                    assert place.task not in self.owners, f"task {place.task} was accepted twice"
                    self.owners[place.task] = client
            case TellStarted(client, _, task):
                self._hear(client, task)
            case TellDone(client, _, task, _, _, outcome):
                self._hear(client, task)
                self.outcomes[task] = outcome
            case RunCalls():
                self._run_calls(effect)
            case TakeBackCalls(number, incarnation, refs):
                self._process(number, incarnation).calls.ask_back(refs)
            case StopCalls(number, incarnation, refs):
                self._process(number, incarnation).calls.ask_to_stop(refs)
            case DropValues(number, incarnation, tasks):
                self._process(number, incarnation).calls.drop(tasks)
            case TellCallsBegun(client, number, begins):
                for begin in begins:
                    self.world.hear_of_begin(client, begin)
                    assert begin.task in self.processes[number].calls.sent, f"{begin} is not on {number}"
            case TellCallsDone(client, ends):
                self.world.hear_of_ends(client, ends)
            case ForgetPayloads(tasks):
                self.world.forget_payloads(tasks)
            case KeepRecipes(tasks):
                self.world.keep_recipes(tasks)
            case MakeAgain(tasks):
                self.world.make_again(tasks)
            case TellCallsRemade(ends):
                self.world.hear_of_remade(ends)
            case LoseValues(losses):
                self.world.lose_values(losses)
            case ForgetValues(tasks):
                self.world.forget_values(tasks)
            case TellRefused(_, message):
                assert message, "a refusal without a reason"
            case TellEngines() | ShowEngine():
                pass
            case _:
                assert_never(effect)

    def _process(self, number: EngineNumber, incarnation: Incarnation) -> FakeEngine:
        process = self.processes.get(number)
        assert process is not None, f"engine {number} has no process"
        assert process.incarnation == incarnation, f"engine {number} has no life {incarnation}: {process}"
        return process

    def _run(self, run: RunCell) -> None:
        process = self._process(run.engine, run.incarnation)
        assert process.is_ready, f"{run} for an engine that is not up: {process}"
        assert not process.is_asked_to_end, f"{run} for an engine that is asked to end: {process}"
        self.runs.append(run)
        if run.order.live:
            process.beside[run.task] = run
            return
        assert process.run is None, f"{run} for an engine that runs {process.run}"
        assert not process.calls.sent, f"{run} for an engine that has calls: {process.calls.sent}"
        process.run = run
        process.interrupts = 0

    def _run_calls(self, effect: RunCalls) -> None:
        process = self._process(effect.engine, effect.incarnation)
        assert process.is_ready, f"{effect} for an engine that is not up: {process}"
        assert not process.is_asked_to_end, f"{effect} for an engine that is asked to end: {process}"
        assert process.run is None, f"{effect} for an engine that runs {process.run}"
        for run in effect.calls:
            self.world.check_place(run, effect.engine, process.spec)
            self.world.check_run(
                run, {n: other.calls.values for n, other in self.processes.items()}, process.calls
            )
            process.calls.take(run)
            self.world.sent.append((effect.engine, effect.incarnation, run))

    def _hear(self, client: ClientId, task: TaskId) -> None:
        assert client not in self.gone, f"{client} has left and was told of {task}"
        assert task not in self.outcomes, f"{client} was told of {task} after its end {self.outcomes[task]}"
        if "/startup/" in task:
            self.owners.setdefault(task, client)
        assert self.owners.get(task) == client, f"{client} was told of {task}, which is not its own"


def _agrees(effect: Effect, name: str, wanted: Any) -> bool:
    value = getattr(effect, name)
    return isinstance(value, wanted) if isinstance(wanted, type) else bool(value == wanted)
