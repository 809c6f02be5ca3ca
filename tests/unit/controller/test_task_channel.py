"""Who may speak for an engine on the task channel: its own agent, once, in whole messages, over one connection."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from nbcluster.controller.tasks import TaskChannel
from nbcluster.ids import Incarnation, TaskId
from nbcluster.protocol import codec
from nbcluster.protocol import tasks as t
from nbcluster.transport.ends import bind_hub, connect_port
from nbcluster.transport.frames import Buffer, Frames

ONE, TWO = Incarnation(1), Incarnation(2)
KEYS = {ONE: "key of one", TWO: "key of two"}


class Heard:
    """What a controller was told."""

    def __init__(self) -> None:
        self.said: list[tuple[Incarnation, t.FromEngine, Sequence[Buffer]]] = []
        self.lost: list[Incarnation] = []
        self.news = asyncio.Event()

    def agent_said(self, incarnation: Incarnation, message: t.FromEngine, buffers: Sequence[Buffer]) -> None:
        self.said.append((incarnation, message, buffers))
        self.news.set()

    def agent_lost(self, incarnation: Incarnation) -> None:
        self.lost.append(incarnation)
        self.news.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so():
                self.news.clear()
                await self.news.wait()

    def messages(self) -> list[t.FromEngine]:
        return [message for _, message, _ in self.said]


class Agent:
    """An agent's end of the channel, or somebody's who claims to be one."""

    def __init__(self, context: zmq.Context[Any], url: str, incarnation: int, key: str) -> None:
        self.frames = Frames(key.encode())
        self.identity = b"e%d-%s" % (incarnation, os.urandom(8).hex().encode())
        self.port = connect_port(context, url, self.identity, None)
        self.heard: list[t.ToEngine] = []
        self.is_sent_away = False
        self.port.listen(self._came, self._gone)

    def _came(self, frames: list[Any]) -> None:
        self.heard.append(codec.decode_to_engine(self.frames.unpack(frames).content))

    def _gone(self) -> None:
        self.is_sent_away = True

    def pack(self, message: t.FromEngine, buffers: Sequence[bytes] = ()) -> list[Any]:
        return self.frames.pack(*codec.encode_task(message), buffers=buffers)[1]

    def say(self, message: t.FromEngine, buffers: Sequence[bytes] = ()) -> None:
        self.send(self.pack(message, buffers))

    def send(self, frames: list[Any]) -> None:
        assert self.port.send(frames)

    def close(self) -> None:
        self.port.close()


class Stage:
    """A channel that expects two engines, and whoever connects."""

    def __init__(self, url: str) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        hub = bind_hub(self.context, url, None)
        self.url = hub.url
        self.heard = Heard()
        self.agents: list[Agent] = []
        self.channel = TaskChannel(hub, self.heard)
        for incarnation, key in KEYS.items():
            self.channel.admit(incarnation, key)

    def agent(self, incarnation: int, key: str) -> Agent:
        self.agents.append(Agent(self.context, self.url, incarnation, key))
        return self.agents[-1]

    async def greeted(self, incarnation: Incarnation) -> Agent:
        agent = self.agent(incarnation, KEYS[incarnation])
        agent.say(hello(incarnation))
        await self.heard.until(lambda: self.channel.has_agent(incarnation))
        return agent


@pytest.fixture(params=["unix", "tcp"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a channel listens."""
    return f"unix:{tmp_path}/t" if request.param == "unix" else "tcp://127.0.0.1"


@asynccontextmanager
async def stage(url: str) -> AsyncIterator[Stage]:
    made = Stage(url)
    try:
        yield made
    finally:
        made.channel.close()
        for agent in made.agents:
            agent.close()
        made.context.destroy(linger=0)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for a fact that nobody tells."""
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.005)


def hello(incarnation: Incarnation) -> t.AgentHello:
    return t.AgentHello(incarnation, 7, "3.11.0")


def begun(task: str) -> t.Begun:
    return t.Begun(TaskId(task), 1, 0.0)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("another engine's key", "not signed with this cluster's key"),
        ("no key", "not signed with this cluster's key"),
        ("no signature", "not signed with this cluster's key"),
        ("cut off", "was cut off"),
        ("garbage", "no Jupyter message"),
        ("unknown engine", "no engine of this cluster"),
        ("ended engine", "no engine of this cluster"),
        ("replay", "a replay"),
        ("no hello", "before its hello"),
        ("nonsense", "cannot read"),
    ],
)
def test_what_does_not_check_is_dropped_and_logged(
    address: str, caplog: pytest.LogCaptureFixture, what: str, why: str
) -> None:
    async def told() -> None:
        async with stage(address) as on:
            honest = await on.greeted(ONE)
            key = {"another engine's key": KEYS[ONE], "no key": "", "unknown engine": KEYS[ONE]}.get(
                what, KEYS[TWO]
            )
            other = on.agent(9 if what == "unknown engine" else TWO, key)
            first, lie = other.pack(hello(TWO)), other.pack(begun("a lie"))
            sent = {
                "no signature": [[first[0], b"", *first[2:]]],
                "cut off": [first[:4]],
                "garbage": [[b"x" * 500] * 7],
                "replay": [first, first],
                "no hello": [lie],
                "nonsense": [first, other.frames.pack("Begun", b"\xa5nope")[1]],
            }.get(what, [first, lie])
            if what == "ended engine":
                on.channel.dismiss(TWO)
            for frames in sent:
                other.send(frames)
            await until(lambda: on.channel.refused > 0)
            honest.say(begun("true"))
            await on.heard.until(lambda: begun("true") in on.heard.messages())
            believed = [hello(TWO)] if what in ("replay", "nonsense") else []
            assert on.heard.messages() == [hello(ONE), *believed, begun("true")]
            assert on.heard.lost == []

    with caplog.at_level(logging.WARNING):
        asyncio.run(told())
    assert why in caplog.text


@pytest.mark.parametrize("greets", [True, False])
def test_who_comes_second_as_an_engine_is_not_heard_and_takes_nothing_over(
    address: str, greets: bool
) -> None:
    async def story() -> None:
        async with stage(address) as on:
            honest = await on.greeted(ONE)
            thief = on.agent(ONE, KEYS[ONE])
            thief.say(hello(ONE) if greets else begun("a lie"))
            await until(lambda: on.channel.refused == 1)
            on.channel.send(ONE, t.DropValues((TaskId("a"),)))
            await until(lambda: bool(honest.heard))
            assert honest.heard == [t.DropValues((TaskId("a"),))]
            thief.close()
            honest.say(begun("true"))
            await on.heard.until(lambda: len(on.heard.said) > 1)
            assert on.heard.messages() == [hello(ONE), begun("true")]
            assert (on.heard.lost, thief.heard) == ([], [])

    asyncio.run(story())


def test_buffers_that_are_not_those_announced_end_the_wait_with_a_reason(address: str) -> None:
    async def story() -> None:
        async with stage(address) as on:
            agent = await on.greeted(ONE)
            agent.say(t.ValueSent(1, b"p", (5, 100_000)), [b"12345", b"x" * 100_000])
            agent.say(t.ValueSent(2, b"p", (5, 100_000)), [b"12345"])
            agent.say(t.Answered(3, b"r", (5,)), [b"1234"])
            agent.say(begun("with a buffer"), [b"1234"])
            agent.say(begun("last"))
            await on.heard.until(lambda: begun("last") in on.heard.messages())
            _, whole, cut, answered, last = on.heard.said
            assert [bytes(buffer) for buffer in whole[2]] == [b"12345", b"x" * 100_000]
            assert isinstance(cut[1], t.ValueSent)
            assert (cut[1].request, cut[2]) == (2, ())
            assert "truncated" in cut[1].missing
            assert isinstance(answered[1], t.Answered)
            assert b"truncated" in answered[1].reply
            assert last[1] == begun("last")
            assert on.channel.refused == 3

    asyncio.run(story())


def test_a_connection_that_breaks_is_told_once_and_also_when_it_comes_back(address: str) -> None:
    async def story() -> None:
        async with stage(address) as on:
            await on.greeted(TWO)
            agent = await on.greeted(ONE)
            agent.close()
            await on.heard.until(lambda: bool(on.heard.lost))
            assert not on.channel.has_agent(ONE)
            on.channel.send(ONE, t.DropValues(()))  # to nobody
            again = await on.greeted(ONE)
            again.say(begun("again"))
            await on.heard.until(lambda: begun("again") in on.heard.messages())
            on.channel.dismiss(TWO)
            again.close()
            await on.heard.until(lambda: len(on.heard.lost) > 1)
            assert on.heard.lost == [ONE, ONE]

    asyncio.run(story())
