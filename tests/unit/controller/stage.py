"""A controller, a client and an agent in one process, for stories of what passes between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import zmq

from nbcluster.controller.config import ControllerConfig
from nbcluster.controller.driver import Controller
from nbcluster.ids import ClientId, TaskId
from nbcluster.protocol import calls as c
from nbcluster.protocol import codec
from nbcluster.protocol import messages as m
from nbcluster.protocol import tasks as t
from nbcluster.protocol.outcomes import Returned
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
        self._connect()

    def _connect(self) -> None:
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

    def die(self) -> None:
        """End the engine's process; the agent of its next life is ours as well."""
        self._agent.close()
        del self.controller._pool.by_incarnation[self.process.incarnation]
        self.controller.engine_died(self.process, "killed by SIGKILL")
        self.agent = Ear()
        self._connect()

    def say(self, message: t.FromEngine) -> None:
        self._agent.send(self._frames.pack(*codec.encode_task(message))[1])

    def submit(self, *tasks: str, payload: bytes = b"", **options: Any) -> None:
        self._count += 1
        specs = tuple(c.CallSpec(TaskId(task), 0, "f", payload) for task in tasks)
        order = c.SubmitCalls((c.CallOptions(label="fit", **options),), specs, {"f": b"code"})
        self.wire.send(order, msg_id=f"submit {self._count}")

    def hears(self, message: t.FromEngine) -> None:
        """Have the controller hear of the agent within the present round of the loop."""
        self.controller.agent_said(self.process.incarnation, message, ())

    def returned(self, *tasks: str, **told: Any) -> None:
        self.say(answer(*tasks, **told))

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


def answer(
    *tasks: str, payload: bytes | None = NOTHING, attempt: int = 1, output: bytes = b""
) -> t.CallsReturned:
    """What an agent says of calls that have returned."""
    nbytes, home = (len(payload), True) if payload is not None else (1 << 20, False)
    outcome = Returned(nbytes, home)
    return t.CallsReturned(
        tuple(t.CallResult(TaskId(task), attempt, outcome, 1.0, 2.0, payload, output) for task in tasks)
    )


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
