"""Who is connected, what is sent together, and what a client that does not read costs."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable

import pytest
from msgspec import Raw

from nbcluster.controller import clients as module
from nbcluster.controller.clients import SILENT_AFTER, Clients
from nbcluster.ids import CellId, ClientId, EngineNumber, TaskId
from nbcluster.protocol import calls as c
from nbcluster.protocol import codec
from nbcluster.protocol import messages as m
from nbcluster.protocol.outcomes import Returned
from nbcluster.transport.streams import StreamHub, StreamPort, connect
from nbcluster.transport.wire import Arrival, Wire

ME = ClientId("me")


def hello(client: ClientId = ME, **fields: object) -> m.Hello:
    return m.Hello(client, "a test", **fields)  # type: ignore[arg-type]


def output(text: str, cell: str = "cell") -> m.TaskOutput:
    return m.TaskOutput(
        CellId(cell), TaskId("t"), EngineNumber(0), "stream", Raw(b'{"text":"%s"}' % text.encode())
    )


async def between(talk: Callable[[Clients], None], expected: int) -> list[Arrival[m.FromController]]:
    """Have a controller's end say something to a client over sockets within this process; return what came."""
    with tempfile.TemporaryDirectory() as directory:
        return await _between(f"{directory}/c", talk, expected)


async def _between(
    path: str, talk: Callable[[Clients], None], expected: int
) -> list[Arrival[m.FromController]]:
    hub = StreamHub(path)
    port = StreamPort(connect(hub.url, ME.encode()))
    came: list[Arrival[m.FromController]] = []
    enough = asyncio.Event()

    def arrived(arrival: Arrival[m.FromController]) -> None:
        came.append(arrival)
        if len(came) >= expected:
            enough.set()

    known = asyncio.Event()
    there: Wire[m.Request] = Wire(hub, b"key", codec.decode_request, lambda _: known.set())
    here: Wire[m.FromController] = Wire(port, b"key", codec.decode_from_controller, arrived)
    here.send(hello(), msg_id="1")
    async with asyncio.timeout(10):
        await known.wait()
        clients = Clients()
        clients.wire = there
        clients.join(hello(), now=0.0)
        talk(clients)
        await enough.wait()
    here.close()
    there.close()
    return came


def test_what_is_said_in_one_turn_goes_as_one_message_in_order() -> None:
    def talk(clients: Clients) -> None:
        clients.send(ME.encode(), m.Done(), "request")
        clients.tell(ME, m.ClusterStopping("first"))
        clients.tell(ME, m.ClusterStopping("second"))

    [arrival] = asyncio.run(between(talk, 1))
    assert isinstance(arrival.message, m.Bundle)
    assert [(part.parent, part.message) for part in arrival.message.parts] == [
        ("request", m.Done()),
        ("", m.ClusterStopping("first")),
        ("", m.ClusterStopping("second")),
    ]


def test_a_single_word_is_no_bundle_and_buffers_keep_their_place() -> None:
    def talk(clients: Clients) -> None:
        clients.tell(ME, m.ClusterStopping("before"))
        clients.tell_output(ME, output("x"), [b"buffer"])
        clients.tell(ME, m.ClusterStopping("after"))

    before, shown, after = asyncio.run(between(talk, 3))
    assert before.message == m.ClusterStopping("before")
    assert isinstance(shown.message, m.TaskOutput)
    assert [bytes(buffer) for buffer in shown.buffers] == [b"buffer"]
    assert after.message == m.ClusterStopping("after")


def test_output_that_is_not_taken_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNREAD_LIMIT", 30)
    dropped: list[int] = []

    def talk(clients: Clients) -> None:
        for _ in range(3):
            clients.tell_output(ME, output("0123456789"), [])
        dropped.append(clients.take_dropped(CellId("cell")))
        dropped.append(clients.take_dropped(CellId("cell")))
        clients.acknowledge(ME, 22)
        clients.tell_output(ME, output("0123456789"), [])
        dropped.append(clients.take_dropped(CellId("cell")))

    [arrival] = asyncio.run(between(talk, 1))
    assert isinstance(arrival.message, m.Bundle)
    assert len(arrival.message.parts) == 2
    assert dropped == [2, 0, 0]


def ends(*tasks: str) -> c.CallsDone:
    return c.CallsDone(tuple(c.CallDone(TaskId(task), None, 1, Returned()) for task in tasks))


def test_ends_of_calls_are_joined_and_keep_their_place_among_the_others() -> None:
    def talk(clients: Clients) -> None:
        clients.tell(ME, m.ClusterStopping("one"))
        clients.tell(ME, m.ClusterStopping("two"))
        clients.tell_calls(ME, ends("a"))
        clients.tell_calls(ME, ends("b", "c"))
        clients.tell_calls(ME, c.CallOutput(TaskId("d"), EngineNumber(0), 1, b"said"))
        clients.tell_calls(ME, ends("d"))
        clients.tell(ME, m.ClusterStopping("three"))

    bundle, *rest = asyncio.run(between(talk, 5))
    assert isinstance(bundle.message, m.Bundle)
    assert [part.message for part in bundle.message.parts] == [
        m.ClusterStopping("one"),
        m.ClusterStopping("two"),
    ]
    assert [arrival.message for arrival in rest] == [
        ends("a", "b", "c"),
        c.CallOutput(TaskId("d"), EngineNumber(0), 1, b"said"),
        ends("d"),
        m.ClusterStopping("three"),
    ]


def test_values_wait_until_a_client_has_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNREAD_LIMIT", 100)
    brought: list[str] = []

    def talk(clients: Clients) -> None:
        clients.when_read(ME, lambda: brought.append("at once"))
        clients.send_value(ME, c.ValueBytes(b"x" * 200), "1", ())
        assert clients.is_behind(ME)
        clients.when_read(ME, lambda: brought.append("later"))
        clients.acknowledge(ME, 50)
        assert brought == ["at once"]
        clients.acknowledge(ME, c.weight(c.ValueBytes(b"x" * 200)))
        assert not clients.is_behind(ME)

    asyncio.run(between(talk, 1))
    assert brought == ["at once", "later"]


def test_one_process_is_one_user_however_many_connections_it_has() -> None:
    clients = Clients()
    here = {"pid": os.getpid(), "host": socket.gethostname()}
    for name, fields in {"me": here, "again": here, "far": {"pid": os.getpid(), "host": "far"}}.items():
        clients.join(m.Hello(ClientId(name), name, "python", **fields), 0.0)  # type: ignore[arg-type]
    assert clients.labels(but=ME) == ("far",)
    assert clients.labels(but=ClientId("far")) == ("again", "me")
    assert clients.labels() == ("again", "far", "me")


def test_one_that_left_is_told_nothing() -> None:
    def talk(clients: Clients) -> None:
        assert clients.leave(ME)
        assert not clients.leave(ME)
        clients.tell(ME, m.ClusterStopping("not heard"))
        clients.tell_output(ME, output("not heard"), [])
        clients.join(hello(), now=0.0)
        clients.tell(ME, m.ClusterStopping("heard"))

    [arrival] = asyncio.run(between(talk, 1))
    assert arrival.message == m.ClusterStopping("heard")


def test_one_elsewhere_is_gone_when_silent_and_one_here_when_its_process_is() -> None:
    clients = Clients()
    clients.join(hello(ClientId("elsewhere"), host="far", pid=1), now=0.0)
    clients.join(hello(ClientId("here"), host=socket.gethostname(), pid=os.getpid()), now=0.0)
    clients.join(hello(ClientId("dead"), host=socket.gethostname(), pid=2**22 + 1), now=0.0)
    assert clients.gone(1.0) == ["dead"]
    assert clients.gone(SILENT_AFTER + 1) == ["elsewhere", "dead"]
    clients.heard(ClientId("elsewhere"), SILENT_AFTER)
    assert clients.gone(SILENT_AFTER + 1) == ["dead"]
    assert clients.labels(but=ClientId("here")) == ("a test", "a test")
