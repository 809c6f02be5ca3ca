"""Local streams between processes of one user: order, ends, what does not fit at once, and who is refused."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nbcluster.engine.linkends import StreamEnd
from nbcluster.transport.framing import chunks_of
from nbcluster.transport.streams import StreamHub, StreamPort, connect
from nbcluster.transport.turns import at_end_of_turn


class Ear:
    """What one end heard."""

    def __init__(self) -> None:
        self.frames: list[list[Any]] = []
        self.gone: list[bytes] = []
        self._news = asyncio.Event()

    def hear(self, frames: list[Any]) -> None:
        self.frames.append([bytes(frame) for frame in frames])
        self._news.set()

    def lose(self, identity: bytes = b"") -> None:
        self.gone.append(identity)
        self._news.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so():
                self._news.clear()
                await self._news.wait()


class Stage:
    def __init__(self, path: Path) -> None:
        self.hub, self.ear = StreamHub(f"{path}/s"), Ear()
        self.hub.listen(self.ear.hear, self.ear.lose)
        self.opened: list[StreamPort] = []

    def port(self, identity: bytes) -> tuple[StreamPort, Ear]:
        port, ear = StreamPort(connect(self.hub.url, identity)), Ear()
        port.listen(ear.hear, ear.lose)
        self.opened.append(port)
        return port, ear


@asynccontextmanager
async def stage(path: Path) -> AsyncIterator[Stage]:
    on = Stage(path)
    yield on
    for port in on.opened:
        port.close()
    on.hub.close()


def test_messages_go_both_ways_in_order_and_the_end_comes_behind_them(tmp_path: Path) -> None:
    async def story() -> None:
        async with stage(tmp_path) as on:
            port, ear = on.port(b"one")
            for number in range(100):
                assert port.send([b"%d" % number, b""])
            await on.ear.until(lambda: len(on.ear.frames) == 100)
            assert on.ear.frames == [[b"one", b"%d" % number, b""] for number in range(100)]
            assert on.hub.send([b"one", b"answer"])
            await ear.until(lambda: bool(ear.frames))
            port.send([b"last"])
            port.close()
            await on.ear.until(lambda: bool(on.ear.gone))
            assert on.ear.frames[100:] == [[b"one", b"last"]]
            assert (on.ear.gone, ear.frames, ear.gone) == ([b"one"], [[b"answer"]], [])
            assert not on.hub.send([b"one", b"too late"])
            assert not on.hub.send([b"nobody", b"?"])

    asyncio.run(story())


def test_what_does_not_fit_at_once_arrives_whole_and_keeps_its_order(tmp_path: Path) -> None:
    large = os.urandom(5 << 20)

    async def story() -> None:
        async with stage(tmp_path) as on:
            port, ear = on.port(b"one")
            await asyncio.sleep(0)
            for number in range(3):
                assert port.send([b"%d" % number, large, b"tail"])
            port.send([b"small"])
            await on.ear.until(lambda: len(on.ear.frames) == 4)
            assert [frames[1] for frames in on.ear.frames] == [b"0", b"1", b"2", b"small"]
            assert all(frames[2:] == [large, b"tail"] for frames in on.ear.frames[:3])
            for _ in range(3):
                assert on.hub.send([b"one", large])
            await ear.until(lambda: len(ear.frames) == 3)
            assert ear.frames == [[large]] * 3

    asyncio.run(story())


def test_last_words_of_a_hub_that_closes_are_heard(tmp_path: Path) -> None:
    async def story() -> None:
        async with stage(tmp_path) as on:
            port, ear = on.port(b"one")
            port.send([b"hello"])
            await on.ear.until(lambda: bool(on.ear.frames))
            on.hub.send([b"one", b"goodbye"])
            on.hub.close(linger=200)
            await ear.until(lambda: bool(ear.gone))
            assert (ear.frames, ear.gone) == ([[b"goodbye"]], [b""])
            assert not port.send([b"too late"])
            assert not Path(f"{tmp_path}/s").exists()

    asyncio.run(story())


def test_what_comes_behind_a_bad_identity_is_not_heard(tmp_path: Path) -> None:
    async def story() -> None:
        async with stage(tmp_path) as on:
            raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            raw.connect(f"{tmp_path}/s")
            raw.sendall(
                chunks_of([b""])[0] + chunks_of([b"an identity after all"])[0] + chunks_of([b"word"])[0]
            )
            bad, ear = StreamPort(raw), Ear()
            bad.listen(ear.hear, ear.lose)
            await ear.until(lambda: bool(ear.gone))
            port, _ = on.port(b"good")
            port.send([b"first"])
            await on.ear.until(lambda: bool(on.ear.frames))
            assert on.ear.frames == [[b"good", b"first"]]

    asyncio.run(story())


@pytest.mark.parametrize(
    "said", [[b""], [b"x" * 256], [b"one", b"more"], [b"taken"]], ids=["none", "long", "two", "taken"]
)
def test_who_says_no_good_identity_is_sent_away_and_others_go_on(tmp_path: Path, said: list[bytes]) -> None:
    async def story() -> None:
        async with stage(tmp_path) as on:
            port, _ = on.port(b"taken")
            port.send([b"here"])
            await on.ear.until(lambda: bool(on.ear.frames))
            raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            raw.connect(f"{tmp_path}/s")
            bad, ear = StreamPort(raw), Ear()
            bad.listen(ear.hear, ear.lose)
            bad.send(said)
            await ear.until(lambda: bool(ear.gone))
            port.send([b"still here"])
            await on.ear.until(lambda: len(on.ear.frames) == 2)
            assert (on.ear.frames[1], on.ear.gone) == ([b"taken", b"still here"], [])

    asyncio.run(story())


def test_garbage_ends_its_connection_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with stage(tmp_path) as on:
            good, _ = on.port(b"good")
            raw = connect(on.hub.url, b"bad")
            raw.sendall(chunks_of([b"hello"])[0])
            await on.ear.until(lambda: on.ear.frames == [[b"bad", b"hello"]])
            raw.sendall(b"\xff" * 500)
            await on.ear.until(lambda: on.ear.gone == [b"bad"])
            assert await asyncio.to_thread(raw.recv, 1) == b""
            raw.close()
            good.send([b"fine"])
            await on.ear.until(lambda: len(on.ear.frames) == 2)
            assert on.ear.frames[1] == [b"good", b"fine"]

    asyncio.run(story())
    assert "a connection was closed: a message of" in caplog.text


def test_a_handler_that_fails_is_logged_and_what_is_due_at_the_end_of_a_turn_is_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        hub, done = StreamHub(f"{tmp_path}/s"), asyncio.Event()

        def take(frames: list[Any]) -> None:
            at_end_of_turn(done.set)
            raise RuntimeError("of the handler")

        hub.listen(take, lambda identity: None)
        port = StreamPort(connect(hub.url, b"one"))
        port.send([b"message"])
        async with asyncio.timeout(10):
            await done.wait()
        port.close()
        hub.close()

    asyncio.run(story())
    assert "of the handler" in caplog.text


def test_a_path_in_use_is_refused_and_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with stage(tmp_path) as on:
            assert stat.S_IMODE(os.stat(f"{tmp_path}/s").st_mode) == 0o600
            with pytest.raises(OSError, match="in use"):
                StreamHub(f"{tmp_path}/s")
            port, _ = on.port(b"one")
            port.send([b"taken by the first"])
            await on.ear.until(lambda: bool(on.ear.frames))

    asyncio.run(story())
    gc.collect()


def test_an_engines_end_waits_for_room_and_sends_the_rest(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(f"{tmp_path}/s")
    listening.listen()
    end = StreamEnd(f"unix:{tmp_path}/s", b"e1-a")
    there, _ = listening.accept()
    poll = select.poll()
    large = os.urandom(3 << 20)
    assert end.send([large])
    assert end.is_to_be_looked_at()
    end.register(poll)
    assert not end.is_to_be_looked_at()
    expected = b"".join(bytes(chunk) for frames in ([b"e1-a"], [large]) for chunk in chunks_of(frames))
    got = bytearray()
    while len(got) < len(expected):
        got += there.recv(1 << 20)
        if len(got) < len(expected):
            assert poll.poll(10_000)
        assert end.receive() == ([], False)
        end.register(poll)
    assert got == expected
    assert not poll.poll(0)
    there.sendall(chunks_of([b"order"])[0])
    assert poll.poll(10_000)
    assert end.receive() == ([[b"order"]], False)
    there.close()
    assert poll.poll(10_000)
    assert end.receive() == ([], False)
    end.register(poll)
    assert poll.poll(0) == []  # a broken connection does not keep its thread busy
    assert end.send([b"to nobody"])
    end.close()
    listening.close()
