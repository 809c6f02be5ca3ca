"""Stories of calls between a client that speaks the protocol and the controller, with real engines behind it."""

from __future__ import annotations

import asyncio
import pickle
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import msgspec
import numpy as np
import pytest

from nbcluster import Cluster
from nbcluster.client.connection import Connection
from nbcluster.errors import EngineLost, NBClusterError, UsageError, ValueReleased
from nbcluster.ids import CellId, TaskId
from nbcluster.payload.envelopes import is_envelope
from nbcluster.payload.functions import FunctionDumper
from nbcluster.payload.values import ArgumentDumper
from nbcluster.protocol import calls as c
from nbcluster.protocol import codec
from nbcluster.protocol import messages as m
from nbcluster.protocol import tasks as t
from nbcluster.protocol.outcomes import EngineGone, Rejected, Returned, Threw, Withdrawn
from nbcluster.transport.frames import Buffer
from nbcluster.transport.rendezvous import ConnectionFile, connection_path, read_connection_file

DEADLINE = 20.0
LARGE = 1 << 20
FUNCTIONS = FunctionDumper()


@pytest.fixture(scope="module")
def address(shared_cluster: Cluster) -> ConnectionFile:
    """Where the module's cluster is: each test has directories of its own."""
    return read_connection_file(connection_path("shared"))


@pytest.fixture
def shared(shared_cluster: Cluster, address: ConnectionFile) -> Cluster:
    """Lend the module's cluster, with two engines that answer."""
    Caller.file = address
    shared_cluster.wait_for_engines(2, DEADLINE)
    return shared_cluster


class Ticket:
    """What stands for the value of another call in arguments."""

    def __init__(self, task: str) -> None:
        self.task = task


ARGUMENTS = ArgumentDumper(FUNCTIONS, (Ticket,), lambda ticket: ticket.task)


class Caller:
    """A client without Futures."""

    file: ConnectionFile

    def __init__(self) -> None:
        self.connection = Connection(self.file, "a caller", self._noticed, lambda _: None)
        self.ends: dict[TaskId, c.CallDone] = {}
        self.notices: list[m.Notice] = []
        self._news = asyncio.Event()
        self._count = 0

    async def __aenter__(self) -> Self:
        self.status = await self.connection.open(DEADLINE)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()

    def _noticed(self, notice: m.Notice, buffers: Sequence[Buffer]) -> None:
        if isinstance(notice, c.CallsDone):
            for end in notice.calls:
                assert end.task not in self.ends, f"{end.task} ended twice"
                self.ends[end.task] = end
        else:
            self.notices.append(notice)
        self._news.set()

    async def ask(self, request: m.Request, kind: type[Any] = m.Done, buffers: Sequence[Buffer] = ()) -> Any:
        return await self.connection.ask(request, kind, timeout=DEADLINE, buffers=buffers)

    async def fetch(self, task: TaskId) -> Any:
        answer, buffers = await self.connection.ask_for_buffers(
            c.FetchValue(task), c.ValueBytes, timeout=DEADLINE
        )
        assert tuple(len(buffer) for buffer in buffers) == answer.sizes
        return pickle.loads(answer.payload, buffers=buffers)

    async def call(self, function: Callable[..., Any], *args: Any, key: str = "", **options: Any) -> TaskId:
        """Submit one call; return when it was accepted."""
        self._count += 1
        dumped, arguments = FUNCTIONS.dump(function), ARGUMENTS.dump(args, {})
        buffers = [buffer.raw() for buffer in arguments.buffers]
        task = TaskId(f"{self.connection.id[:8]}-{self._count}")
        spec = c.CallSpec(
            task,
            0,
            dumped.digest,
            arguments.payload,
            tuple(buffer.nbytes for buffer in buffers),
            tuple(TaskId(name) for name in arguments.inputs),
            key=key,
        )
        kind = c.CallOptions(label=function.__name__, **options)
        order = c.SubmitCalls((kind,), (spec,), {dumped.digest: dumped.payload})
        assert await self.ask(order, c.CallsAccepted, buffers) == c.CallsAccepted(1)
        return task

    async def until(self, is_so: Callable[[], Any], what: str) -> Any:
        async with asyncio.timeout(DEADLINE):
            while not (found := is_so()):
                self._news.clear()
                await self._news.wait()
        assert found, what
        return found

    async def end(self, task: TaskId) -> c.CallDone:
        await self.until(lambda: task in self.ends, f"the end of {task}")
        return self.ends[task]

    async def value(self, task: TaskId) -> Any:
        end = await self.end(task)
        assert isinstance(end.outcome, Returned), end
        if end.payload is None or is_envelope(end.payload):
            return await self.fetch(task)
        return pickle.loads(end.payload)

    async def held_bytes(self) -> int:
        return int((await self.ask(m.Describe(), m.Status)).status.held_bytes)

    async def task_with(self, kind: type[Any], task: TaskId) -> Any:
        """A notice of a kind about a task."""
        return await self.until(
            lambda: next((it for it in self.notices if isinstance(it, kind) and it.task == task), None),
            f"{kind.__name__} of {task}",
        )


def run(story: Callable[[Caller], Any]) -> None:
    async def tell() -> None:
        async with Caller() as caller:
            await story(caller)

    asyncio.run(tell())


def add(*numbers: int) -> int:
    return sum(numbers)


def zeros(size: int) -> Any:
    import numpy

    return numpy.zeros(size, dtype="u1")


def total(array: Any) -> int:
    return int(array.sum())


def nap(seconds: float) -> str:
    import time

    time.sleep(seconds)
    return "slept"


def test_values_come_home_or_stay_until_they_are_fetched_and_nothing_is_kept_after(shared: Cluster) -> None:
    async def story(caller: Caller) -> None:
        before = await caller.held_bytes()
        small, large = await caller.call(add, 1, 2), await caller.call(zeros, LARGE)
        assert await caller.value(small) == 3
        assert (await caller.end(small)).payload is not None
        end = await caller.end(large)
        assert end.payload is not None
        assert is_envelope(end.payload), "it says where the value lies"
        assert end.outcome == Returned(end.outcome.nbytes, home=False)  # type: ignore[union-attr]
        assert (await caller.value(large)).nbytes == LARGE
        caller.connection.tell(c.ReleaseValues((small, large)))
        for task in (small, large):
            with pytest.raises(ValueReleased, match="not kept any more"):
                await caller.fetch(task)
        functions = sum(len(FUNCTIONS.dump(function).payload) for function in (add, zeros))
        assert await caller.held_bytes() - before <= functions

    run(story)


def test_large_arguments_ride_in_frames_and_a_message_cut_off_is_refused_whole(shared: Cluster) -> None:
    async def story(caller: Caller) -> None:
        array = np.ones(LARGE, dtype="u1")
        assert await caller.value(await caller.call(total, array)) == LARGE
        dumped, arguments = FUNCTIONS.dump(total), ARGUMENTS.dump((array,), {})
        spec = c.CallSpec(TaskId("cut"), 0, dumped.digest, arguments.payload, (LARGE,))
        order = c.SubmitCalls((c.CallOptions(),), (spec,), {})
        for buffers in ([], [b"short"]):
            with pytest.raises(UsageError, match="cut off"):
                await caller.ask(order, c.CallsAccepted, buffers)
        assert "cut" not in caller.ends
        assert (await caller.ask(order, c.CallsAccepted, [arguments.buffers[0].raw()])).count == 1
        assert await caller.value(TaskId("cut")) == LARGE

    run(story)


def test_a_function_that_the_controller_does_not_have_ends_its_call_alone(shared: Cluster) -> None:
    async def story(caller: Caller) -> None:
        dumped = FUNCTIONS.dump(add)
        calls = (c.CallSpec(TaskId("good"), 0, dumped.digest), c.CallSpec(TaskId("bad"), 0, "unheard of"))
        order = c.SubmitCalls((c.CallOptions(label="f"),), calls, {dumped.digest: dumped.payload})
        assert (await caller.ask(order, c.CallsAccepted)).count == 2
        assert (await caller.end(TaskId("good"))).outcome == Returned(5, home=True)
        refused = (await caller.end(TaskId("bad"))).outcome
        assert isinstance(refused, Rejected)
        assert "submit the call again" in refused.message
        with pytest.raises(UsageError, match="in use"):
            await caller.ask(order, c.CallsAccepted)

    run(story)


def test_values_go_from_engine_to_engine(shared: Cluster) -> None:
    async def story(caller: Caller) -> None:
        small = await caller.call(add, 2, 3, targets="0", pinned=True)
        large = await caller.call(zeros, LARGE, targets="0", pinned=True)
        sums = [
            await caller.call(add, Ticket(small), 1, targets=engine, pinned=True) for engine in ("0", "1")
        ]
        sizes = [
            await caller.call(total, Ticket(large), targets=engine, pinned=True) for engine in ("0", "1")
        ]
        assert [await caller.value(task) for task in sums] == [6, 6]
        assert [await caller.value(task) for task in sizes] == [0, 0]
        assert [(await caller.end(task)).engine for task in sizes] == [0, 1]

    run(story)


def test_what_a_call_says_while_it_runs_reaches_its_owner(shared: Cluster) -> None:
    def talk() -> int:
        import time

        from nbcluster import report

        print("first")
        report(0.5, loss=2.0)
        time.sleep(0.6)
        print("last")
        return 1

    async def story(caller: Caller) -> None:
        task = await caller.call(talk)
        begun = await caller.until(
            lambda: next((it for it in caller.notices if isinstance(it, c.CallsBegun)), None), "CallsBegun"
        )
        assert [call.task for call in begun.calls] == [task]
        assert time.time() - begun.calls[0].since < DEADLINE
        status = (await caller.ask(m.Describe(), m.Status)).status
        assert [engine.running for engine in status.engines if engine.running] == ["talk"]
        said = msgspec.msgpack.decode(
            (await caller.task_with(c.CallOutput, task)).output, type=tuple[c.OutputPiece, ...]
        )
        assert [(piece.msg_type, piece.text) for piece in said] == [("stdout", "first\n")]
        assert (await caller.task_with(c.CallReport, task)).values["loss"] == 2.0
        end = await caller.end(task)
        rest = msgspec.msgpack.decode(end.output, type=tuple[c.OutputPiece, ...])
        assert [piece.text for piece in rest] == ["last\n"]
        assert end.seconds >= 0.6

    run(story)


def test_cancelled_calls_end_as_withdrawn_queued_or_running(shared: Cluster) -> None:
    async def story(caller: Caller) -> None:
        running = [await caller.call(nap, 60.0) for _ in range(2)]
        queued = [await caller.call(nap, 60.0) for _ in range(8)]
        await caller.until(
            lambda: sum(isinstance(it, c.CallsBegun) for it in caller.notices) == 2, "two that run"
        )
        began = time.monotonic()
        await caller.ask(m.CancelTasks((*running, *queued)))
        outcomes = [(await caller.end(task)).outcome for task in (*running, *queued)]
        assert all(isinstance(outcome, Withdrawn) for outcome in outcomes), outcomes
        assert time.monotonic() - began < 15  # each would take a minute
        assert await caller.value(await caller.call(add, 1)) == 1

    run(story)


def test_a_lost_engine_loses_its_values_and_pinned_calls_and_others_run_again(shared: Cluster) -> None:
    async def story(caller: Caller) -> None:
        large = await caller.call(zeros, LARGE, targets="0", pinned=True)
        await caller.end(large)
        pinned = await caller.call(nap, 60.0, targets="0", pinned=True)
        other = await caller.call(nap, 1.0)
        await caller.until(lambda: any(isinstance(it, c.CallsBegun) for it in caller.notices), "one runs")
        shared.signal(signal.SIGKILL, 0)
        gone = (await caller.end(pinned)).outcome
        assert isinstance(gone, EngineGone)
        assert "engine 0" in gone.reason
        with pytest.raises(EngineLost, match="bound to one engine never run again unasked"):
            await caller.fetch(large)
        assert await caller.value(other) == "slept"
        again = await caller.call(add, 4, targets="0", pinned=True)
        assert await caller.value(again) == 4

    run(story)


def test_an_agent_that_is_cut_off_costs_its_engine_and_no_wait_is_for_ever(shared: Cluster) -> None:
    async def story(caller: Caller) -> None:
        pinned = await caller.call(nap, 60.0, targets="0", pinned=True)
        await caller.until(lambda: any(isinstance(it, c.CallsBegun) for it in caller.notices), "it runs")
        cut = (
            "import threading\n"
            "for thread in threading.enumerate():\n"
            "    if thread.name == 'nbcluster agent': thread.close()"
        )
        await caller.ask(m.SubmitCell(CellId("cut"), cut, "0", live=True), m.Accepted)
        gone = (await caller.end(pinned)).outcome
        assert isinstance(gone, EngineGone)
        assert "lost the connection of its agent" in gone.reason
        again = await caller.call(add, 4, targets="0", pinned=True)
        assert await caller.value(again) == 4

    run(story)


def test_agents_answer_while_their_engines_compute_and_one_that_does_not_is_named(shared: Cluster) -> None:
    question = codec.encode_task(t.DescribeNames())[1]

    async def story(caller: Caller) -> None:
        await caller.ask(m.SubmitCell(CellId("bind"), "weights = [1, 2]", "0"), m.Accepted)
        busy = await caller.call(nap, 2.0, targets="0", pinned=True)
        await caller.until(lambda: any(isinstance(it, c.CallsBegun) for it in caller.notices), "it runs")
        answers = await caller.ask(c.AskEngines(question, "0"), c.EngineAnswers)
        reply = msgspec.msgpack.decode(answers.answers[0], type=t.Reply)
        assert isinstance(reply, t.NamesDescribed)
        assert [name.name for name in reply.names] == ["weights"]
        assert busy not in caller.ends
        shared.signal(signal.SIGSTOP, 1)
        try:
            answers = await caller.ask(c.AskEngines(question, "0,1", timeout=0.3), c.EngineAnswers)
            assert (list(answers.answers), answers.silent) == ([0], (1,))
        finally:
            shared.signal(signal.SIGCONT, 1)
        await caller.end(busy)

    run(story)


def test_what_a_key_holds_outlives_its_client_and_is_let_go_when_forgotten(shared: Cluster) -> None:
    async def story(caller: Caller) -> None:
        task = await caller.call(add, 40, 2, key="answer")
        await caller.end(task)
        async with Caller() as other:
            mine = await other.call(nap, 1.0, key="later")
        records = (await caller.ask(c.ListTasks(keyed=True), c.Records)).records
        assert {record.key: record.label for record in records} == {"answer": "add", "later": "nap"}
        assert {record.key: record.state for record in records}["answer"] == "done"
        assert await caller.fetch(task) == 42
        assert await caller.fetch(mine) == "slept"  # waits for its end
        for key in ("answer", "later"):
            await caller.ask(c.ForgetKey(key))
        with pytest.raises(NBClusterError, match="answer"):
            await caller.ask(c.ForgetKey("answer"))
        caller.connection.tell(c.ReleaseValues((task,)))
        assert (await caller.ask(c.ListTasks(keyed=True), c.Records)).records == ()

    run(story)


def test_tasks_are_listed_and_explained_and_their_history_is_kept(shared: Cluster) -> None:
    def fail() -> None:
        raise RuntimeError("on purpose")

    async def story(caller: Caller) -> None:
        began = time.time()
        tasks = [await caller.call(nap, 0.5, key=f"nap {number}") for number in range(4)]
        records = (await caller.ask(c.ListTasks(), c.Records)).records
        assert {record.task for record in records} == set(tasks)
        assert (await caller.ask(c.ListTasks(limit=1), c.Records)).left_out == 3
        assert "nap" in (await caller.ask(c.Explain("nap 3"), m.LogText)).text
        failed = await caller.call(fail)
        assert isinstance((await caller.end(failed)).outcome, Threw)
        await caller.ask(m.SubmitCell(CellId("cell"), "6 * 7", "0"), m.Accepted)
        await caller.until(lambda: any(isinstance(it, m.TaskDone) for it in caller.notices), "the cell's end")
        for task in tasks:
            await caller.end(task)
        history = await caller.ask(c.ReadHistory(since=began), c.Records)
        assert sorted(record.label for record in history.records) == ["6 * 7", "fail", *["nap"] * 4]
        assert {record.kind for record in history.records} == {"call", "cell"}
        [record] = (await caller.ask(c.ReadHistory(state="failed", since=began), c.Records)).records
        assert (record.task, record.error) == (failed, "RuntimeError: on purpose")
        page = await caller.ask(c.ReadHistory(label="nap", since=began, offset=1, limit=2), c.Records)
        assert (len(page.records), page.left_out, page.note) == (2, 1, "")
        for record in page.records:
            assert record.started - record.submitted < DEADLINE
            assert 0.4 < record.seconds < DEADLINE

    run(story)


def test_what_a_client_left_behind_is_in_the_history_too(shared: Cluster) -> None:
    async def story(caller: Caller) -> None:
        began = time.time()
        async with Caller() as other:
            await other.ask(m.SubmitCell(CellId("left"), "import time; time.sleep(0.5)", "0"), m.Accepted)
            await other.call(nap, 0.5, targets="1")
        labels: list[str] = []
        async with asyncio.timeout(DEADLINE):
            while len(labels) < 2:
                history = await caller.ask(c.ReadHistory(since=began), c.Records)
                labels = sorted(record.label for record in history.records)
        assert labels == ["import time; time.sleep(0.5)", "nap"]
        assert {record.state for record in history.records} == {"done"}
        assert {record.owner for record in history.records} == {"a caller"}

    run(story)


def test_live_cells_run_beside_what_runs_and_cells_in_named_namespaces(shared: Cluster) -> None:
    async def story(caller: Caller) -> None:
        def done(cell: str) -> Any:
            return next((it for it in caller.notices if isinstance(it, m.TaskDone) and it.cell == cell), None)

        async def cell(name: str, code: str, **fields: Any) -> None:
            await caller.ask(m.SubmitCell(CellId(name), code, "0", want_value=True, **fields), m.Accepted)

        await cell("busy", "import time; x = 1; time.sleep(2)")
        for name in ("first", "second"):
            await cell(name, "x + 1", live=True)
            ended = await caller.until(lambda name=name: done(name), "a live cell's end")  # type: ignore[misc]
            assert isinstance(ended.outcome, m.Succeeded)
            assert pickle.loads(ended.outcome.values[""]) == 2
            assert done("busy") is None
        await cell("named", "x = 'of exp'; x", namespace="exp")
        await cell("own", "x")
        ended = await caller.until(lambda: done("own"), "the last cell's end")
        assert pickle.loads(ended.outcome.values[""]) == 1
        named = done("named").outcome
        assert pickle.loads(named.values[""]) == "of exp"

    run(story)
