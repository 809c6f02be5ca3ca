"""Frames of the Jupyter wire protocol: what is signed is read once, and nothing else is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from jupyter_client.session import Session
from msgspec import json

from nbcluster.errors import AuthenticationError
from nbcluster.transport.frames import DELIMITER, Frames

KEY = b"the key"


def packed(key: bytes = KEY, **more: object) -> list[bytes]:
    _, frames = Frames(key).pack("kind", b'{"a":1}', idents=[b"who"], buffers=[b"buffer"], **more)  # type: ignore[arg-type]
    return [bytes(frame) for frame in frames]


def test_a_message_comes_as_it_was_sent() -> None:
    message = Frames(KEY).unpack(packed(msg_id="m1", parent=b'{"msg_id":"p1"}'))
    assert (message.header.msg_type, message.header.msg_id, message.parent_id) == ("kind", "m1", "p1")
    assert (message.idents, message.content, message.buffers) == ([b"who"], b'{"a":1}', [b"buffer"])


@pytest.mark.parametrize("key", [KEY, b"k" * 64, b"longer than a block of the hash " * 3])
def test_jupyter_client_reads_it_and_we_read_jupyter_client(key: bytes) -> None:
    session = Session(key=key)
    idents, frames = session.feed_identities(packed(key))
    message = session.deserialize(frames)
    assert message["content"] == {"a": 1}
    assert abs(datetime.now(UTC) - message["header"]["date"]) < timedelta(seconds=10)
    assert idents == [b"who"]
    theirs = session.serialize(session.msg("kind", {"b": 2}), ident=b"me")
    assert json.decode(Frames(key).unpack(theirs).content) == {"b": 2}


def test_the_date_of_a_header_is_right_to_the_microsecond(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Frames(KEY)
    for at in (1_000_000_000.0, 1_000_000_000.25, 1_000_000_001.000004):
        monkeypatch.setattr("nbcluster.transport.frames.time.time", lambda at=at: at)
        date = json.decode(sender.pack("kind", b"{}")[1][2])["date"]
        assert datetime.fromisoformat(date).timestamp() == pytest.approx(at, abs=1e-6)


def test_no_subshell_is_not_written_and_an_odd_one_is_read() -> None:
    header = packed()[3]
    assert b"subshell_id" not in header
    sender = Frames(KEY)
    odd = json.decode(header) | {"subshell_id": {}}  # as IRkernel echoes a null
    parts = [json.encode(odd), b"{}", b"{}", b"{}"]
    frames = [DELIMITER, sender._sign(parts), *parts]
    assert Frames(KEY).unpack(frames).header.msg_type == "kind"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: packed(b"another key"), "not signed with this cluster's key"),
        (lambda f: [*f[:2], b"", *f[3:]], "not signed"),
        (lambda f: [*f[:6], b'{"a":2}', *f[7:]], "not signed"),
        (lambda f: f[:5], "cut off: 3 of at least 5"),
        (lambda f: f[:1], "no Jupyter message"),
        (lambda f: [], "no Jupyter message"),
        (lambda f: [b"\x00" * 1000, b"\xff"], "no Jupyter message"),
    ],
)
def test_what_does_not_check_is_refused(spoil, said) -> None:
    with pytest.raises(AuthenticationError, match=said):
        Frames(KEY).unpack(spoil(packed()))


def test_a_message_is_read_once() -> None:
    reader, frames = Frames(KEY), packed()
    reader.unpack(frames)
    with pytest.raises(AuthenticationError, match="a second time"):
        reader.unpack(frames)
    reader.unpack(packed())  # another one is


def test_a_signed_header_that_is_no_header_is_refused() -> None:
    sender = Frames(KEY)
    parts = [b"[]", b"{}", b"{}", b"{}"]
    with pytest.raises(AuthenticationError, match="unreadable header"):
        Frames(KEY).unpack([DELIMITER, sender._sign(parts), *parts])


def test_replays_are_refused_within_what_is_remembered_and_no_more_is_kept() -> None:
    sender, receiver = Frames(b"key"), Frames(b"key", remember=2)
    sent = [sender.pack("t", b"{}")[1] for _ in range(3)]
    for frames in sent:
        receiver.unpack(frames)
    for frames in sent[1:]:
        with pytest.raises(AuthenticationError, match="second time"):
            receiver.unpack(frames)
    receiver.unpack(sent[0])
