"""A controller, a client and an agent in one process: what passes between them when calls are slow, large or late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zmq

from nbcluster.controller import calls as calls_module
from nbcluster.controller import clients as clients_module
from nbcluster.controller.config import ControllerConfig
from nbcluster.controller.driver import Controller
from nbcluster.controller.payloads import OVERHEAD
from nbcluster.ids import ClientId, TaskId
from nbcluster.protocol import calls as c
from nbcluster.protocol import codec
from nbcluster.protocol import messages as m
from nbcluster.protocol import tasks as t
from nbcluster.protocol.outcomes import Returned, Threw, Withdrawn
from nbcluster.protocol.supervision import FromSupervisor, ToSupervisor
from nbcluster.transport.ends import bind_hub, connect_port
from nbcluster.transport.frames import Frames
from nbcluster.transport.wire import Arrival, Wire

ME = ClientId("me")
NOTHING = b"\x80\x05N."
K = TypeVar("K")


class Supervisor:
    """A parent of no processes."""

    def send(self, order: ToSupervisor) -> None:
        """Take an order."""

    def subscribe(self, report: Callable[[FromSupervisor], None]) -> None:
        """Take a subscriber."""


class Ear:
    """Messages that came and were not looked at yet."""

    def __init__(self) -> None:
        self.came: list[Any] = []
        self._news = asyncio.Event()

    def hear(self, message: Any) -> None:
        self.came.append(message)
        self._news.set()

    async def next(self, kind: type[K], is_meant: Callable[[K], bool] = lambda _: True) -> K:
        """The next message of a kind; those before it stay."""
        async with asyncio.timeout(10):
            while True:
                for message in self.came:
                    if isinstance(message, kind) and is_meant(message):
                        self.came.remove(message)
                        return message
                self._news.clear()
                await self._news.wait()


class Stage:
    """A controller with one engine, whose agent is ours."""

    def __init__(self, directory: Path) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        config = ControllerConfig("stage", str(directory), str(directory / "connection.json"))
        self.controller = Controller(config, self.context, Supervisor())
        clients, tasks = (bind_hub(self.context, f"unix:{directory}/{name}", None) for name in "ct")
        self.tasks_url = tasks.url
        self.served: Wire[m.Request] = Wire(
            clients, b"key", codec.decode_request, self.controller.arrived, self.controller.unreadable
        )
        self.controller.serve(self.served, tasks, None)
        self.client = Ear()
        port = connect_port(self.context, clients.url, ME.encode(), None)
        self.wire: Wire[m.FromController] = Wire(port, b"key", codec.decode_from_controller, self._told)
        self.agent = Ear()
        self._count = 0

    def _told(self, arrival: Arrival[m.FromController]) -> None:
        message = arrival.message
        for part in message.parts if isinstance(message, m.Bundle) else (m.Part(arrival.parent_id, message),):
            self.client.hear(part.message)

    async def open(self) -> None:
        self.wire.send(m.Hello(ME, "me"), msg_id="hello")
        await self.client.next(m.Welcome)
        self.wire.send(m.AddEngines(1), msg_id="add")
        await self.client.next(m.Engines)
        [process] = self.controller._pool.by_incarnation.values()
        self.process = process
        self._frames = Frames(process.connection.key.encode())
        self._agent = connect_port(self.context, self.tasks_url, b"e%d-a9" % process.incarnation, None)
        self._agent.listen(
            lambda frames: self.agent.hear(codec.decode_to_engine(self._frames.unpack(frames).content)),
            lambda: None,
        )

    async def start(self) -> None:
        """Have the engine say that it is ready."""
        self.say(t.AgentHello(self.process.incarnation, 7, "3.11.0"))
        async with asyncio.timeout(10):
            await self.process.greeted.wait()
        self.process.ready = True
        self.controller.engine_ready(self.process, "python", True)

    def say(self, message: t.FromEngine) -> None:
        self._agent.send(self._frames.pack(*codec.encode_task(message))[1])

    def submit(self, *tasks: str, payload: bytes = b"", **options: Any) -> None:
        self._count += 1
        specs = tuple(c.CallSpec(TaskId(task), 0, "f", payload) for task in tasks)
        order = c.SubmitCalls((c.CallOptions(label="fit", **options),), specs, {"f": b"code"})
        self.wire.send(order, msg_id=f"submit {self._count}")

    def returned(
        self, *tasks: str, payload: bytes | None = NOTHING, attempt: int = 1, output: bytes = b""
    ) -> None:
        nbytes, home = (len(payload), True) if payload is not None else (1 << 20, False)
        self.say(
            t.CallsReturned(
                tuple(
                    t.CallResult(TaskId(task), attempt, Returned(nbytes, home), 1.0, 2.0, payload, output)
                    for task in tasks
                )
            )
        )

    async def held(self) -> int:
        self.wire.send(m.Describe(), msg_id="describe")
        return (await self.client.next(m.Status)).status.held_bytes

    async def close(self) -> None:
        self.controller.abandon("the story is over")
        await asyncio.sleep(0)  # for its last words
        self._agent.close()
        self.wire.close()
        self.served.close()
        self.context.destroy(linger=0)


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Stage]:
    stage = Stage(directory)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()


def play(directory: Path, story: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def tell() -> None:
        async with opened(directory) as stage:
            await story(stage)

    asyncio.run(tell())
    assert not (directory / "history.sqlite").exists()


def test_calls_are_sent_in_one_message_with_their_function_once_and_end_in_one(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a")
        first = await stage.agent.next(t.RunCalls)
        assert first.functions == {"f": b"code"}
        stage.returned("a")
        assert [end.task for end in (await stage.client.next(c.CallsDone)).calls] == ["a"]
        stage.submit("b", "c")
        second = await stage.agent.next(t.RunCalls)
        assert ([call.task for call in second.calls], second.functions) == (["b", "c"], {})
        assert second.options == (t.RunOptions(label="fit"),)
        stage.returned("b", "c")
        done = await stage.client.next(c.CallsDone)
        assert [(end.task, end.payload, end.started, end.seconds) for end in done.calls] == [
            ("b", NOTHING, 1.0, 2.0),
            ("c", NOTHING, 1.0, 2.0),
        ]

    play(tmp_path, story)


def test_clients_wait_while_too_many_bytes_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "HELD_LIMIT", 2 * (OVERHEAD + 100))

    async def story(stage: Stage) -> None:
        stage.submit("a", "b", payload=b"x" * 100)
        assert (await stage.client.next(c.CallsAccepted)).count == 2
        stage.submit("c", payload=b"x" * 100)
        stage.submit("d", "e", payload=b"x" * 100)
        held = await stage.held()
        assert held == 5 * (OVERHEAD + 100) + len(b"code")
        assert not any(isinstance(message, c.CallsAccepted) for message in stage.client.came)
        stage.wire.send(m.CancelTasks((TaskId("a"), TaskId("b"))), msg_id="cancel")
        await stage.client.next(c.CallsDone)
        await stage.held()
        assert not any(isinstance(message, c.CallsAccepted) for message in stage.client.came)
        stage.wire.send(m.CancelTasks((TaskId("c"), TaskId("d"))), msg_id="cancel more")
        assert (await stage.client.next(c.CallsAccepted)).count == 1
        assert (await stage.client.next(c.CallsAccepted)).count == 2
        stage.wire.send(m.CancelAll(), msg_id="cancel all")
        await stage.client.next(c.CallsDone, lambda done: done.calls[0].task == "e")
        assert await stage.held() == len(b"code")

    play(tmp_path, story)


def test_a_client_that_does_not_read_is_sent_no_values_until_it_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients_module, "UNREAD_LIMIT", 500)

    async def story(stage: Stage) -> None:
        await stage.start()
        value = b"v" * 600
        stage.submit("a")
        await stage.agent.next(t.RunCalls)
        stage.returned("a", payload=value)
        [end] = (await stage.client.next(c.CallsDone)).calls
        assert end.payload == value
        stage.submit("b")
        await stage.agent.next(t.RunCalls)
        stage.returned("b", payload=value, output=b"much was printed")
        [end] = (await stage.client.next(c.CallsDone)).calls
        assert (end.payload, end.outcome) == (None, Returned(600, home=False))
        assert b"16 bytes of output were dropped" in end.output
        stage.wire.send(c.FetchValue(TaskId("b")), msg_id="fetch")
        await stage.held()
        assert not any(isinstance(message, c.ValueBytes) for message in stage.client.came)
        stage.wire.send(m.Beat(700), msg_id="beat")
        assert (await stage.client.next(c.ValueBytes)).payload == value

    play(tmp_path, story)


def test_what_a_failed_attempt_printed_is_shown_also_when_the_call_runs_again(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a", retries=1)
        await stage.agent.next(t.RunCalls)
        stage.say(
            t.CallsReturned(
                (t.CallResult(TaskId("a"), 1, Threw("ValueError", "no"), 1.0, 2.0, None, b"of the first"),)
            )
        )
        again = await stage.agent.next(t.RunCalls)
        assert again.calls[0].attempt == 2
        shown = await stage.client.next(c.CallOutput)
        assert (shown.task, shown.attempt, shown.output) == ("a", 1, b"of the first")
        stage.returned("a", attempt=2, output=b"of the second")
        [end] = (await stage.client.next(c.CallsDone)).calls
        assert (end.attempt, end.output) == (2, b"of the second")
        assert not any(isinstance(message, c.CallOutput) for message in stage.client.came)

    play(tmp_path, story)


def test_an_answer_that_comes_too_late_is_not_believed_and_its_value_dropped(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.returned("never sent", payload=None)
        assert (await stage.agent.next(t.DropValues)).tasks == ("never sent",)
        stage.submit("a")
        await stage.agent.next(t.RunCalls)
        stage.wire.send(m.CancelTasks((TaskId("a"),)), msg_id="cancel")
        assert (await stage.agent.next(t.StopCalls)).calls == (t.CallRef(TaskId("a"), 1),)
        stage.say(t.CallsReturned((t.CallResult(TaskId("a"), 1, Withdrawn("interrupted")),)))
        [end] = (await stage.client.next(c.CallsDone)).calls
        assert isinstance(end.outcome, Withdrawn)
        stage.returned("a", payload=NOTHING)
        await stage.held()
        assert not any(isinstance(message, c.CallsDone) for message in stage.client.came)

    play(tmp_path, story)


def test_a_value_is_fetched_from_its_engine_and_an_engine_is_told_what_is_missing(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.submit("a")
        await stage.agent.next(t.RunCalls)
        stage.wire.send(c.FetchValue(TaskId("a")), msg_id="early")  # before it has ended
        stage.returned("a", payload=None)
        asked = await stage.agent.next(t.SendValue)
        assert asked.task == "a"
        stage.say(t.ValueSent(asked.request, b"pickle"))
        assert (await stage.client.next(c.ValueBytes)).payload == b"pickle"
        stage.say(t.SendMe(TaskId("unheard of")))
        assert "not kept any more" in (await stage.agent.next(t.TakeValue)).missing
        stage.say(t.SendMe(TaskId("a")))
        asked = await stage.agent.next(t.SendValue)
        stage.say(t.ValueSent(asked.request, missing="gone"))
        assert (await stage.agent.next(t.TakeValue)).missing == "gone"
        stage.wire.send(c.ReleaseValues((TaskId("a"),)), msg_id="release")
        assert (await stage.agent.next(t.DropValues)).tasks == ("a",)

    play(tmp_path, story)


def test_output_of_a_call_that_is_over_still_finds_its_client(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.start()
        stage.say(t.Printed(TaskId("me-1"), 1, b"late"))
        assert (await stage.client.next(c.CallOutput)).output == b"late"
        stage.say(t.Printed(TaskId("nobody-1"), 1, b"lost"))
        stage.say(t.Printed(TaskId("me-2"), 1, b"last"))
        assert (await stage.client.next(c.CallOutput)).output == b"last"

    play(tmp_path, story)


def test_an_agent_of_another_version_is_ended_with_that_reason(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.say(t.AgentHello(stage.process.incarnation, 7, "3.11.0", protocol=0))
        async with asyncio.timeout(10):
            while not stage.process.stopping:
                await asyncio.sleep(0.005)
        assert "version 0 of the protocol" in stage.process.tail(5)
        assert not stage.process.greeted.is_set()

    play(tmp_path, story)
