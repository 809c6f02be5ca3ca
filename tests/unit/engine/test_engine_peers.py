"""The door of an engine: small plain values while nothing runs, for who holds the key, never behind what came later."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nbcluster.client.direct import Direct
from nbcluster.engine import peers
from nbcluster.engine.gate import Gate
from nbcluster.engine.namespaces import Namespace
from nbcluster.engine.peers import PeerDoor
from nbcluster.ids import Incarnation
from nbcluster.payload.plain import dump_plain
from nbcluster.protocol.peers import SMALL, BindNames, door_path
from nbcluster.testing.waiting import wait_until
from nbcluster.transport.rendezvous import ConnectionFile, boot_id

DEADLINE = 10.0
ONE, TWO, NOBODY = Incarnation(1), Incarnation(2), Incarnation(9)


class Engine:
    """An engine's door, its gate and its names."""

    def __init__(self, directory: Path, incarnation: Incarnation) -> None:
        self.gate = Gate()
        self.own = Namespace(ModuleType("m"), {})
        self.complaints: list[str] = []
        names: Any = {"": self.own, "exp": Namespace(ModuleType("exp"), {})}
        self.named = names["exp"]
        self.path = door_path(str(directory), incarnation)
        PeerDoor(self.path, lambda: b"key", self.gate, names, self.complaints.append).start()


@pytest.fixture
def engines(tmp_path: Path) -> list[Engine]:
    return [Engine(tmp_path, number) for number in (ONE, TWO)]


def connection(directory: Path, url: str = "", key: str = "key", boot: str | None = None) -> ConnectionFile:
    boot = boot_id() if boot is None else boot
    return ConnectionFile(
        "c", url or f"unix:{directory}/c", key, 1, 1, socket.gethostname(), boot, str(directory), "", 1
    )


@pytest.fixture
def direct(tmp_path: Path) -> Iterator[Direct]:
    made = Direct(connection(tmp_path))
    yield made
    made.close()


def test_values_are_bound_and_told_on_all_engines_or_the_answer_is_no(
    engines: list[Engine], direct: Direct
) -> None:
    assert direct.bind([ONE, TWO], {"x": [1, {"a": 2.5}], "y": "text"}, "")
    assert [engine.own.names["x"] for engine in engines] == [[1, {"a": 2.5}]] * 2
    engines[1].own.names["x"] = 7
    assert direct.tell([ONE, TWO], "x", "") == [[1, {"a": 2.5}], 7]
    assert direct.bind([TWO], {"x": 8}, "exp")
    assert (engines[1].own.names["x"], engines[1].named.names["x"]) == (7, 8)
    assert direct.tell([TWO], "x", "exp") == [8]
    assert direct.tell([ONE, TWO], "nowhere", "") is None
    assert not direct.bind([ONE, NOBODY], {"x": 0}, "")
    assert direct.tell([NOBODY], "x", "") is None
    assert direct.tell([TWO], "y", "") == ["text"]
    assert stat.S_IMODE(os.stat(engines[0].path).st_mode) == 0o600


def test_what_is_not_plain_or_not_small_goes_another_way(engines: list[Engine], direct: Direct) -> None:
    own = engines[0].own
    for value in (object(), [len], "x" * SMALL):
        assert not direct.bind([ONE], {"x": value}, "")
        own.names["there"] = value
        assert direct.tell([ONE], "there", "") is None
    assert "x" not in own.names
    assert direct.bind([ONE], {"x": "y" * (SMALL - 100)}, "")
    assert direct.tell([ONE], "x", "") == ["y" * (SMALL - 100)]


def test_an_object_that_a_name_has_is_let_go_where_calls_run(engines: list[Engine], direct: Direct) -> None:
    kept = object()
    engines[0].own.names["x"] = kept
    assert not direct.bind([ONE], {"x": 1}, "")
    assert engines[0].own.names["x"] is kept


def test_while_something_runs_nothing_is_touched(engines: list[Engine], direct: Direct) -> None:
    gate, own = engines[0].gate, engines[0].own
    assert direct.bind([ONE], {"x": 1}, "")
    for busy in (gate.cell, gate.calls):
        with busy():
            assert not direct.bind([ONE], {"x": 2}, "")
            assert direct.tell([ONE], "x", "") is None
        assert direct.tell([ONE], "x", "") == [1]
    gate.hold()
    assert not direct.bind([ONE], {"x": 2}, "")
    gate._call = None
    assert direct.bind([ONE], {"x": 3}, "")
    assert own.names["x"] == 3


def test_nothing_begins_while_the_moment_is_used() -> None:
    gate, begun = Gate(), threading.Event()

    def begin() -> None:
        with gate.calls():
            begun.set()

    with gate.unused(1) as is_unused:
        assert is_unused
        beginning = threading.Thread(target=begin)
        beginning.start()
        with gate.unused(0.001) as second:
            assert not second
        assert not begun.is_set()
    assert begun.wait(DEADLINE)
    beginning.join()


def test_what_was_asked_before_giving_up_is_not_done_later(
    engines: list[Engine], direct: Direct, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that could not answer in time must not bind what its client has sent another way meanwhile."""
    monkeypatch.setattr(peers, "PATIENCE", DEADLINE)
    own = engines[0].own
    assert direct.bind([ONE], {"x": 1}, "")
    line = direct._lines[ONE]
    with engines[0].gate.unused(1):
        line.send(BindNames({"x": dump_plain(2, SMALL)}))
        wait_until(lambda: not unread(line._socket), DEADLINE, "the engine to have read the question")
        direct.close()
    other = Direct(connection(tmp_path))
    assert other.bind([ONE], {"y": 1}, "")  # the door goes on
    assert own.names["x"] == 1
    other.close()


def unread(asked: socket.socket) -> int:
    """Bytes that the other side has not read."""
    return int(struct.unpack("i", fcntl.ioctl(asked, termios.TIOCOUTQ, bytes(4)))[0])


@pytest.mark.parametrize("what", ["key", "unsigned", "garbage"])
def test_who_does_not_hold_the_key_is_sent_away(
    engines: list[Engine], direct: Direct, tmp_path: Path, what: str
) -> None:
    if what == "key":
        thief = Direct(connection(tmp_path, key="another"))
        assert not thief.bind([ONE], {"x": 1}, "")
        assert thief.tell([ONE], "x", "") is None
        thief.close()
        assert "not signed" in engines[0].complaints[0]
    else:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(DEADLINE)
            raw.connect(engines[0].path)
            raw.sendall(b"\x01\0\0\0\x02\0\0\0\0\0\0\0hi" if what == "unsigned" else b"\xff" * 100)
            assert raw.recv(1) == b""
    assert engines[0].own.names.get("x") is None
    assert direct.bind([ONE], {"x": 1}, "")


def test_elsewhere_there_is_no_direct_way(engines: list[Engine], tmp_path: Path) -> None:
    for file in (
        connection(tmp_path, url="tcp://127.0.0.1:5"),
        connection(tmp_path, boot="another boot"),
    ):
        direct = Direct(file)
        assert not direct.bind([ONE], {"x": 1}, "")
        assert direct.tell([ONE], "__name__", "") is None
        direct.close()
