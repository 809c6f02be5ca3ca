"""The lane of calls: who runs when, and what a signal does at each point of a call."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import FrameType
from typing import Any

import pytest

from nbcluster.engine import context
from nbcluster.engine.capture import CallOutput
from nbcluster.engine.gate import Gate
from nbcluster.engine.interrupts import Interrupts
from nbcluster.engine.runner import SHORT, Runner
from nbcluster.engine.waiting import CallQueue, Waiting
from nbcluster.protocol.outcomes import CallOutcome, Rejected, Returned, Threw, Withdrawn
from nbcluster.protocol.tasks import CallOrder, CallResult, RunOptions


class Steps:
    """Work whose every step can be made to do something."""

    def __init__(self) -> None:
        self.at: dict[str, Callable[[], Any]] = {}
        self.done: list[str] = []

    def _step(self, name: str) -> Any:
        self.done.append(name)
        return self.at.get(name, lambda: None)()

    def start(self, waiting: Waiting) -> Any:
        return self._step("start")

    def pack(self, waiting: Waiting, held: list[Any]) -> tuple[CallOutcome, bytes | None]:
        self._step("pack")
        return Returned(1), b"v"

    def explain(self, waiting: Waiting, error: BaseException) -> CallOutcome:
        self._step("explain")
        return Threw(type(error).__name__, str(error))

    def end(self) -> None:
        self._step("end")

    def put_aside(self) -> Any:
        return None

    def take_up(self, aside: Any) -> None:
        assert aside is None


class Lane:
    """A runner on a loop, with the handler that a kernel would have."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.interrupts = Interrupts()
        self.queue = CallQueue(self.interrupts.begin_call)
        self.gate = Gate()
        self.steps = Steps()
        self.results: list[CallResult] = []
        self.sent = 0
        self.idle_signals = 0
        self.runner = Runner(
            self.queue,
            self.gate,
            self.interrupts,
            self.steps,
            self.loop,
            self._ended,
            self._send,
            self._hurry,
            self._on_sigint,
            take_raw=self._take_raw,
        )
        self.raw: list[tuple[str, int]] = []
        """Behind which calls it was looked for raw output, and how many had ended before."""
        self.gate.on_open = self.runner.go_on
        self._handler = self.runner._on_sigint

    def _ended(self, call: context.RunningCall, result: CallResult) -> None:
        self.steps._step("ended")
        self.results.append(result)

    def _send(self) -> None:
        self.steps._step("send")
        self.sent = len(self.results)

    def _take_raw(self, call: context.RunningCall | None) -> None:
        assert call is not None
        self.raw.append((call.task, len(self.results)))

    def _hurry(self, output: CallOutput) -> None:
        raise AssertionError("nothing is printed here")

    def _on_sigint(self, signum: int, frame: FrameType | None) -> None:
        if self.interrupts.is_hit() and not self.runner.take_hit(frame):
            self.idle_signals += 1
            self.interrupts.postpone()

    def add(self, *tasks: str) -> None:
        self.queue.add([Waiting(CallOrder(task, 1, 0, "f"), RunOptions(), ()) for task in tasks])
        self.runner.wake()

    def run(self, until: int = 1) -> list[CallOutcome]:
        """Let the loop go on until so many calls have ended."""

        async def wait() -> None:
            async with asyncio.timeout(10):
                while self.sent < until:
                    await asyncio.sleep(0.001)

        self.loop.run_until_complete(wait())
        return [result.outcome for result in self.results]

    def spin(self, seconds: float) -> None:
        """Compute for so long."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass


@pytest.fixture
def lane() -> Iterator[Lane]:
    before = signal.getsignal(signal.SIGINT)
    made = Lane()
    signal.signal(signal.SIGINT, made._handler)
    try:
        yield made
    finally:
        signal.signal(signal.SIGINT, before)
        made.loop.close()


def hit(lane: Lane, name: str = "a/1") -> Callable[[], None]:
    return lambda: lane.interrupts.aim_at_call(name, lambda: signal.raise_signal(signal.SIGINT)) and None


def test_raw_output_is_taken_before_a_call_has_ended_unless_it_was_very_short(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane.steps.at["start"] = lambda: lane.spin(2 * SHORT)
    lane.add("a", "b")
    lane.run(2)
    assert lane.raw == [("a", 0), ("b", 1)]
    monkeypatch.setattr("nbcluster.engine.runner.SHORT", 60.0)
    lane.add("c")
    lane.run(3)
    assert lane.raw == [("a", 0), ("b", 1)]


def test_calls_run_in_order_and_their_results_are_sent(lane: Lane) -> None:
    lane.add("a", "b", "c")
    assert lane.run(3) == [Returned(1)] * 3
    assert [result.task for result in lane.results] == ["a", "b", "c"]
    assert lane.runner.running is None
    assert lane.interrupts.running is None
    assert context.current.get() is None


@pytest.mark.parametrize("step", ["start", "pack"])
def test_an_interrupt_in_the_users_code_is_what_came_of_the_call(lane: Lane, step: str) -> None:
    lane.steps.at[step] = hit(lane)
    lane.add("a", "b")
    assert lane.run(2) == [Threw("KeyboardInterrupt", ""), Returned(1)]


@pytest.mark.parametrize("step", ["explain", "end", "ended", "send"])
def test_an_interrupt_after_the_users_code_does_nothing(lane: Lane, step: str) -> None:
    if step == "explain":
        lane.steps.at["start"] = lambda: [][0]
    lane.steps.at[step] = lambda: signal.raise_signal(signal.SIGINT)
    lane.add("a", "b")
    outcomes = lane.run(2)
    assert [type(outcome) for outcome in outcomes] == [Threw if step == "explain" else Returned] * 2
    assert lane.idle_signals >= 1


def test_a_signal_that_was_aimed_is_waited_for_before_the_next_call(lane: Lane) -> None:
    # As if the signal were slow: it is sent when the call that it was aimed at has ended.
    def aim_without_sending() -> None:
        lane.interrupts.aim_at_call("a/1", lambda: None)
        lane.loop.run_in_executor(None, later)

    def later() -> None:
        time.sleep(0.05)
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.main_thread().ident or 0
    lane.steps.at["end"] = aim_without_sending
    lane.add("a")
    lane.steps.at["ended"] = lambda: lane.steps.at.clear()
    assert lane.run(1) == [Returned(1)]
    assert not lane.interrupts.is_owed
    assert lane.steps.done.index("ended") > lane.steps.done.index("end")


def test_a_stopped_call_that_was_interrupted_is_withdrawn(lane: Lane) -> None:
    lane.steps.at["start"] = hit(lane)
    lane.runner.stop_names.add("a/1")
    lane.add("a", "b")
    assert lane.run(2) == [Withdrawn("it was interrupted"), Returned(1)]


def test_an_interrupt_that_comes_as_the_call_begins_is_heard_when_its_code_does(lane: Lane) -> None:
    begin = lane.interrupts.begin_call

    def begin_and_hit(name: str) -> None:
        begin(name)
        if name == "a/1":
            hit(lane)()

    lane.queue._begin = begin_and_hit
    lane.add("a", "b")
    assert lane.run(2) == [Threw("KeyboardInterrupt", ""), Returned(1)]
    assert lane.steps.done.count("start") == 1


def test_calls_wait_for_the_gate_and_go_on_when_it_opens(lane: Lane) -> None:
    async def cell() -> None:
        with lane.gate.cell():
            lane.add("a")
            for _ in range(5):
                await asyncio.sleep(0)
            assert lane.results == []

    lane.loop.run_until_complete(cell())
    assert lane.run(1) == [Returned(1)]


def test_a_coroutine_holds_the_lane_and_cells_until_it_is_done(lane: Lane) -> None:
    log: list[str] = []
    free = asyncio.Event()

    async def body() -> str:
        log.append("begin")
        await free.wait()
        log.append("end")
        return "x"

    lane.steps.at["start"] = body
    lane.add("a")

    async def cell() -> None:
        while not log:
            await asyncio.sleep(0)
        lane.steps.at.clear()
        lane.add("b")
        waiting = asyncio.ensure_future(lane.gate.wait_for_call())
        await asyncio.sleep(0.01)
        assert lane.results == []
        assert not waiting.done()
        free.set()
        await waiting
        log.append("cell")

    lane.loop.run_until_complete(cell())
    assert lane.run(2) == [Returned(1)] * 2
    assert log == ["begin", "end", "cell"]


def test_a_suspended_coroutine_is_cancelled_by_an_interrupt(lane: Lane) -> None:
    begun = asyncio.Event()

    async def body() -> None:
        begun.set()
        await asyncio.sleep(60)

    lane.steps.at["start"] = body
    lane.add("a")

    async def interrupt() -> None:
        await begun.wait()
        await asyncio.sleep(0.01)
        hit(lane)()

    lane.loop.run_until_complete(interrupt())
    assert lane.run(1) == [Threw("KeyboardInterrupt", "")]
    lane.steps.at.clear()
    lane.add("b")
    assert lane.run(2)[1] == Returned(1)


def test_a_turn_ends_in_time_for_the_loop(lane: Lane) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while lane.sent < 20:
            turns += 1
            await asyncio.sleep(0)

    lane.steps.at["start"] = lambda: time.sleep(0.004)
    lane.add(*(f"t{number}" for number in range(20)))
    lane.loop.run_until_complete(count())
    assert turns >= 4, "80 ms of calls leave the loop some turns"


def test_what_a_call_sets_in_its_context_is_gone_in_the_next(lane: Lane) -> None:
    mark: ContextVar[str] = ContextVar("mark", default="clean")
    seen: list[str] = []

    def step() -> None:
        seen.append(mark.get())
        mark.set("dirty")
        seen.append(context.current.get().task)  # type: ignore[union-attr]

    lane.steps.at["start"] = step
    lane.add("a", "b")
    lane.run(2)
    assert seen == ["clean", "a", "clean", "b"]


def test_outcomes_of_other_kinds_pass_through(lane: Lane) -> None:
    rejected = Rejected("ValueReleased", "gone")
    lane.steps.at["start"] = lambda: [][0]
    lane.steps.explain = lambda waiting, error: rejected  # type: ignore[method-assign]
    lane.add("a")
    assert lane.run(1) == [rejected]


# -- calls on top of calls that wait ------------------------------------------------------------


def nest(lane: Lane, *names: str, level: int) -> None:
    """Let calls wait that are nested so deep."""
    lane.queue.add(
        Waiting(CallOrder(name, 1, 0, ""), RunOptions(label=name, level=level), ()) for name in names
    )


def test_a_call_that_waits_runs_deeper_ones_on_top_and_no_others(lane: Lane) -> None:
    seen: list[tuple[str, int]] = []
    nested = lane.runner.nested

    def start() -> None:
        call = context.current.get()
        assert call is not None
        seen.append((call.task, nested.depth))
        if call.task == "a":
            nest(lane, "same", level=0)
            nest(lane, "deep", level=1)
            nested.serve(lambda: len(seen) > 1, 5)
            assert context.current.get() is call
            assert lane.runner.running is call
            assert lane.interrupts.running == "a/1"

    lane.steps.at["start"] = start
    lane.add("a")
    lane.run(3)
    assert seen == [("a", 0), ("deep", 1), ("same", 0)]
    assert [result.task for result in lane.results] == ["deep", "a", "same"]


def test_a_stop_of_what_waits_spares_the_call_on_top_and_comes_when_that_has_ended(lane: Lane) -> None:
    def start() -> None:
        call = context.current.get()
        assert call is not None
        if call.task == "a":
            nest(lane, "deep", level=1)
            lane.runner.nested.serve(lambda: False, 5)
        else:
            lane.runner.stop_names.add("a/1")
            assert not lane.interrupts.aim_at_call("a/1", lambda: signal.raise_signal(signal.SIGINT))

    lane.steps.at["start"] = start
    lane.add("a")
    assert lane.run(2) == [Returned(1), Withdrawn("it was interrupted")]


def test_a_wait_on_top_of_too_many_is_an_error(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbcluster.engine.nested.DEEPEST", 3)

    def start() -> None:
        depth = lane.runner.nested.depth
        if depth < 3:
            nest(lane, f"deep{depth}", level=depth + 1)
        lane.runner.nested.serve(lambda: len(lane.results) >= 3 - depth > 0, 5)

    lane.steps.at["start"] = start
    lane.add("a")
    first, *others = lane.run(4)
    assert isinstance(first, Threw)
    assert first.ename == "UsageError"
    assert others == [Returned(1)] * 3
