"""What an engine publishes is marked for its controller, sent to listeners alone, and reads as jupyter_client's own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ipykernel.iostream import BackgroundSocket
from jupyter_client.session import Session
from zmq import Frame

from nbcluster.engine.session import EngineSession, Listeners, is_for_main_shell
from nbcluster.protocol.topics import TOPIC

KEY = b"k" * 32


class Published(BackgroundSocket):
    """An iopub socket that keeps what is sent."""

    def __init__(self) -> None:
        super().__init__(io_thread=self)
        self.__dict__["sent"] = []

    def send_multipart(self, frames: list[bytes], **_: Any) -> None:
        self.sent.append(frames)


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def session() -> EngineSession:
    return EngineSession(key=KEY)


@pytest.fixture
def front() -> Session:
    return Session(key=KEY)


def request(front: Session, session: EngineSession, kind: str = "execute_request") -> Any:
    """Send a request from a front end, as the engine opens it."""
    _, frames = session.feed_identities(front.serialize(front.msg(kind, {"code": "1"})))
    return session.deserialize(frames)


def cell(session: EngineSession, published: Published, parent: Any, *, loud: bool) -> bool:
    """Publish what a cell does; return whether its reply says that it was quiet."""
    session.send(published, "status", {"execution_state": "busy"}, parent, b"kernel.1.status")
    session.watch(parent["msg_id"])
    session.send(published, "execute_input", {"code": "1"}, parent, b"kernel.1.execute_input")
    if loud:
        session.send(published, "stream", {"name": "stdout", "text": "x"}, parent, b"stream.stdout")
    quiet = session.is_quiet(parent["msg_id"])
    session.send(published, "status", {"execution_state": "idle"}, parent, b"kernel.1.status")
    return quiet


def topics_of(published: Published) -> list[bytes]:
    return [frames[0] for frames in published.sent]


def test_a_front_end_hears_all_of_a_cell(
    front: Session, session: EngineSession, published: Published
) -> None:
    assert cell(session, published, request(front, session), loud=False)
    assert topics_of(published) == [b"kernel.1.status", b"kernel.1.execute_input", b"kernel.1.status"]


def test_a_controller_hears_output_and_the_end_of_it(
    front: Session, session: EngineSession, published: Published
) -> None:
    session.listeners.heard(b"\x01" + TOPIC)
    session.listeners.heard(b"\x00")
    assert cell(session, published, request(front, session), loud=False)
    assert topics_of(published) == []
    assert not cell(session, published, request(front, session), loud=True)
    assert topics_of(published) == [TOPIC + b"stream.stdout", TOPIC + b"kernel.1.status"]


def test_an_end_without_a_cell_is_heard(front: Session, session: EngineSession, published: Published) -> None:
    session.listeners.heard(b"\x00")
    parent = request(front, session)
    session.send(published, "status", {"execution_state": "idle"}, parent, b"kernel.1.status")
    assert topics_of(published) == [TOPIC + b"kernel.1.status"]  # of a cell that was aborted


def test_what_is_asked_besides_cells_is_published_and_looks_for_listeners(
    front: Session, session: EngineSession, published: Published
) -> None:
    session.listeners.heard(b"\x00")
    looked: list[None] = []
    session.look = lambda: looked.append(None)
    parent = request(front, session, "kernel_info_request")
    session.send(published, "status", {"execution_state": "busy"}, parent, b"kernel.1.status")
    assert topics_of(published) == [b"kernel.1.status"]
    assert looked
    session.send(published, "status", {"execution_state": "idle"}, parent, b"kernel.1.status")
    assert topics_of(published)[1:] == [TOPIC + b"kernel.1.status"], (
        "what a controller asks behind a cell is over"
    )


def test_listeners_are_those_that_are_no_controller() -> None:
    listeners = Listeners()
    assert listeners, "who came before the first look is not known"
    listeners.heard(b"\x01" + TOPIC)
    listeners.heard(b"\x00")
    assert not listeners
    listeners.heard(b"\x01kernel.")
    assert listeners
    listeners.heard(b"\x00kernel.")
    assert not listeners


def test_messages_read_as_those_of_jupyter_client(
    front: Session, session: EngineSession, published: Published
) -> None:
    sent = front.serialize(front.msg("execute_request", {"code": "é"}, metadata={"a": [1]}))
    _, frames = session.feed_identities(sent)
    twin = Session(key=KEY)
    opened, expected = session.deserialize(frames), twin.deserialize(frames)
    assert opened == expected
    assert isinstance(opened["header"]["date"], datetime)
    said = session.send(published, "stream", {"text": "é"}, opened, b"t", metadata={"m": 1})
    assert said is not None
    _, frames = front.feed_identities(published.sent[0])
    back = front.deserialize(frames)
    assert (back["content"], back["metadata"]) == ({"text": "é"}, {"m": 1})
    assert back["parent_header"] == expected["header"]
    assert abs((datetime.now(UTC) - back["header"]["date"]).total_seconds()) < 60


@pytest.mark.parametrize("harm", ["replayed", "forged", "unsigned", "cut"])
def test_a_message_that_does_not_check_is_refused(front: Session, session: EngineSession, harm: str) -> None:
    _, frames = session.feed_identities(front.serialize(front.msg("execute_request", {"code": "1"})))
    match harm:
        case "replayed":
            session.deserialize(frames)
        case "forged":
            frames[4] = b'{"code":"2"}'
        case "unsigned":
            frames[0] = b""
        case "cut":
            frames.pop()
    with pytest.raises((ValueError, TypeError)):
        session.deserialize(frames)


def test_signatures_are_remembered_within_a_bound(front: Session, session: EngineSession) -> None:
    session.digest_history_size = 50
    for _ in range(200):
        request(front, session)
    assert 0 < len(session.digest_history) <= 50


@pytest.mark.parametrize(
    ("kind", "header", "meant"),
    [
        ("execute_request", {}, True),
        ("execute_request", {"subshell_id": "s"}, False),
        ("comm_msg", {}, False),
    ],
)
def test_what_goes_to_the_main_thread_unopened(front: Session, kind: str, header: Any, meant: bool) -> None:
    message = front.msg(kind, {"code": "1"})
    message["header"].update(header)
    assert is_for_main_shell([Frame(part) for part in front.serialize(message, b"who")]) == meant
    assert not is_for_main_shell([Frame(b"noise")])
