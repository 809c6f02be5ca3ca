"""Stories of who may speak to a controller: nobody without the key, nobody twice, and nobody harms the others."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import zmq
from msgspec import json

from nbcluster import Cluster
from nbcluster.errors import ControllerLost
from nbcluster.protocol.version import PROTOCOL_VERSION
from nbcluster.testing.leftovers import find_processes
from nbcluster.testing.waiting import wait_until
from nbcluster.transport import ends, zmqports
from nbcluster.transport.frames import Frames
from nbcluster.transport.framing import MAX_FRAMES, Assembler, chunks_of
from nbcluster.transport.ports import MAX_MESSAGE
from nbcluster.transport.rendezvous import (
    ConnectionFile,
    read_connection_file,
    runtime_dir,
    write_connection_file,
)
from nbcluster.transport.streams import connect, is_ours

DEADLINE = 10.0
HELLO = b'{"type":"Hello","client":"intruder","label":"intruder"}'


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Start a cluster of one engine."""
    with Cluster(1, name="guarded") as made:
        yield made


def connection_file(name: str = "guarded") -> ConnectionFile:
    return read_connection_file(runtime_dir() / f"{name}.json")


class Intruder:
    """Somebody's raw connection to the controller."""

    def __init__(self, file: ConnectionFile, curve: bool = False) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        if file.url.startswith("unix:"):
            self.stream: socket.socket | None = connect(file.url, b"intruder")
            self.assembler = Assembler(1 << 20)
            return
        self.stream = None
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.IDENTITY, b"intruder")
        self.socket.linger = 0
        self.socket.sndtimeo = 1000
        if curve:
            self.socket.curve_publickey, self.socket.curve_secretkey = zmq.curve_keypair()
            self.socket.curve_serverkey = file.curve_publickey.encode()
        self.socket.connect(file.url)

    def send(self, frames: list[Any]) -> None:
        if self.stream is not None:
            self.send_bytes(b"".join(chunks_of(frames)))
            return
        with suppress(zmq.Again):  # a peer that is not let in may not even send
            self.socket.send_multipart(frames)

    def send_bytes(self, data: bytes) -> None:
        assert self.stream is not None
        self.stream.sendall(data)

    def answers(self, seconds: float = 0.3) -> list[Any] | None:
        """The next answer, None when there is none."""
        if self.stream is None:
            return self.socket.recv_multipart() if self.socket.poll(int(seconds * 1000)) else None
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.stream.settimeout(left)
            try:
                data = self.stream.recv(1 << 16)
            except TimeoutError:
                return None
            if messages := self.assembler.feed(memoryview(data)):
                return messages[0]
        return None

    def is_sent_away(self) -> bool:
        """Whether the controller has closed the connection."""
        assert self.stream is not None
        self.stream.settimeout(DEADLINE)
        try:
            return self.stream.recv(1 << 16) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self.context.destroy(linger=0)


@pytest.fixture
def intruder(cluster: Cluster) -> Iterator[Intruder]:
    made = Intruder(connection_file())
    yield made
    made.close()


def message(key: str, content: bytes = HELLO) -> list[Any]:
    return list(Frames(key.encode()).pack("Hello", content)[1])


def still_works(cluster: Cluster) -> None:
    assert cluster[0].execute("6 * 7", check=True).value == 42
    assert len(cluster.status().clients) == 1


@pytest.mark.parametrize("what", ["wrong key", "unsigned", "truncated", "garbage", "empty"])
def test_what_does_not_check_is_dropped_logged_and_harms_nobody(
    cluster: Cluster, intruder: Intruder, what: str
) -> None:
    good = message(connection_file().key)
    frames: dict[str, list[bytes]] = {
        "wrong key": message("another key"),
        "unsigned": [good[0], b"", *good[2:]],
        "truncated": good[:4],
        "garbage": [os.urandom(500) for _ in range(7)],
        "empty": [b""],
    }
    running = cluster[0].execute("import time; time.sleep(0.5); 'undisturbed'", wait=False)
    intruder.send(frames[what])
    assert intruder.answers() is None
    wait_until(lambda: "dropped" in cluster.logs(), DEADLINE, "the refusal in the log")
    assert running.result(DEADLINE) == "undisturbed"
    still_works(cluster)


def test_a_message_is_taken_once(cluster: Cluster, intruder: Intruder) -> None:
    frames = message(connection_file().key)
    intruder.send(frames)
    assert intruder.answers(5) is not None  # who holds the key is let in
    intruder.send(frames)
    assert intruder.answers() is None
    wait_until(lambda: "a replay" in cluster.logs(), DEADLINE, "the refusal in the log")
    assert cluster[0].execute("6 * 7", check=True).value == 42


@pytest.mark.parametrize("content", [b'{"type":"Nonsense"}', b'{"type":"SubmitCell"}', b"[1, 2", b"{}"])
def test_a_signed_message_that_cannot_be_read_is_answered(
    cluster: Cluster, intruder: Intruder, content: bytes
) -> None:
    intruder.send(message(connection_file().key, content))
    answer = intruder.answers(5)
    assert answer is not None
    assert b"VersionMismatch" in answer[-1]
    still_works(cluster)


def test_an_older_client_is_told_the_versions(cluster: Cluster, intruder: Intruder) -> None:
    hello = json.decode(HELLO) | {"protocol": 0, "version": "0.0.1"}
    intruder.send(message(connection_file().key, json.encode(hello)))
    answer = intruder.answers(5)
    assert answer is not None
    refused = json.decode(answer[-1])
    assert refused["error"] == "VersionMismatch"
    versions = f"version 0 of the protocol (nbcluster 0.0.1), this cluster version {PROTOCOL_VERSION}"
    assert versions in refused["message"]
    still_works(cluster)


def test_an_order_without_hello_is_refused(cluster: Cluster, intruder: Intruder) -> None:
    order = b'{"type":"StopCluster","force":true}'
    intruder.send(list(Frames(connection_file().key.encode()).pack("StopCluster", order)[1]))
    answer = intruder.answers(5)
    assert answer is not None
    assert b"does not know you" in answer[-1]
    still_works(cluster)


@pytest.mark.parametrize(
    ("announced", "why"),
    [
        (struct.pack("<IQ", 1, MAX_MESSAGE + 1), f"a message of {MAX_MESSAGE + 1} bytes is announced"),
        (struct.pack("<I", MAX_FRAMES + 1), f"a message of {MAX_FRAMES + 1} frames is announced"),
    ],
)
def test_too_large_a_message_disconnects_its_sender_alone(
    cluster: Cluster, intruder: Intruder, announced: bytes, why: str
) -> None:
    intruder.send_bytes(announced)
    assert intruder.is_sent_away()
    assert why in cluster.logs()
    still_works(cluster)


def test_too_large_a_message_over_tcp_disconnects_its_sender_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmqports, "MAX_MESSAGE", 1 << 16)

    async def story() -> list[list[Any]]:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        hub = ends.bind_hub(context, "tcp://127.0.0.1", None)
        came: list[list[Any]] = []
        heard = asyncio.Event()

        def take(frames: list[Any]) -> None:
            came.append(frames)
            heard.set()

        hub.listen(take, lambda identity: None)
        bad, good = (ends.connect_port(context, hub.url, who, None) for who in (b"bad", b"good"))
        for port in (bad, good):
            port.listen(came.append, lambda: None)
        bad.send([b"x" * ((1 << 16) + 1)])
        good.send([b"y" * (1 << 16)])
        async with asyncio.timeout(DEADLINE):
            await heard.wait()
            good.send([b"again"])
            while len(came) < 2:
                heard.clear()
                await heard.wait()
        for end in (bad, good, hub):
            end.close()
        context.destroy(linger=0)
        return came

    assert asyncio.run(story()) == [[b"good", b"y" * (1 << 16)], [b"good", b"again"]]


def test_an_identity_in_use_is_refused_and_takes_nothing_over(cluster: Cluster, intruder: Intruder) -> None:
    intruder.send(message(connection_file().key))
    assert intruder.answers(5) is not None
    second = Intruder(connection_file())
    assert second.is_sent_away()
    second.close()
    intruder.send(message(connection_file().key, b'{"type":"Describe"}'))
    assert intruder.answers(5) is not None


def test_a_local_socket_is_its_users_alone(cluster: Cluster) -> None:
    path = connection_file().url.removeprefix("unix:")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    # Another user who got hold of the descriptor's path all the same is known by the system's word.
    pair = socket.socketpair()
    assert is_ours(pair[0])
    if os.getuid() == 0:
        code = (
            "import os, socket, sys; os.setuid(65534); "
            "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"
        )
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(f"{directory}/s")
                os.chmod(f"{directory}/s", 0o666)
                listening.listen()
                stranger = subprocess.Popen([sys.executable, "-c", code, f"{directory}/s"])
                connected, _ = listening.accept()
                assert not is_ours(connected)
                connected.close()
                stranger.wait(DEADLINE)
    for end in pair:
        end.close()


# -- secrets ----------------------------------------------------------------------------------


def secrets_of(world: Any) -> set[str]:
    found = {connection_file().key}
    for path in world.runtime.rglob("*.json"):
        content = json.decode(path.read_bytes())
        found |= {content["key"], content.get("curve_secretkey") or content["key"]}
    return found


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_files_are_their_owners_alone_and_no_key_is_told(
    world: Any, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("NBCLUSTER_TRANSPORT", transport)
    with Cluster(2, name="guarded") as cluster:
        cluster[0].execute("print('something')", check=True)
        keys = secrets_of(world)
        assert len(keys) >= 3
        for top in (world.runtime, world.jupyter_runtime):
            for path in top.rglob("*"):
                mode = stat.S_IMODE(path.lstat().st_mode)
                if path.is_dir():
                    assert mode & 0o777 == 0o700, path  # jupyter_core sets the sticky bit
                elif not path.is_socket():
                    assert mode & 0o077 == 0, path
                else:
                    assert path.parent.stat().st_mode & 0o077 == 0, path
        for process in find_processes(world.test_id):
            told = " ".join(process.cmdline()) + str(process.environ())
            assert not any(key in told for key in keys), process
        for log in world.runtime.rglob("*.log"):
            assert not any(key in log.read_text(errors="replace") for key in keys), log


# -- tcp --------------------------------------------------------------------------------------


def test_tcp_is_encrypted_and_needs_the_servers_key(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBCLUSTER_TRANSPORT", "tcp")
    with Cluster(1, name="guarded") as cluster:
        file = connection_file()
        assert file.url.startswith("tcp://127.0.0.1:")
        assert file.curve_publickey
        engine = json.decode(Path(cluster.engines[0].connection_file).read_bytes())
        assert engine["transport"] == "tcp"
        assert engine["curve_publickey"]
        listening = {
            connection.laddr.port
            for process in find_processes(world.test_id)
            for connection in psutil.Process(process.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        addresses = {
            connection.laddr.ip
            for process in find_processes(world.test_id)
            for connection in psutil.Process(process.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert int(file.url.rpartition(":")[2]) in listening
        assert addresses == {"127.0.0.1"}
        plain = Intruder(file)
        plain.send(message(file.key))  # the right key, over a plain connection
        assert plain.answers(0.5) is None
        plain.close()
        other_public, _ = zmq.curve_keypair()
        stranger = Intruder(msgspec.structs.replace(file, curve_publickey=other_public.decode()), curve=True)
        stranger.send(message(file.key))
        assert stranger.answers(0.5) is None
        stranger.close()
        let_in = Intruder(file, curve=True)
        let_in.send(message(file.key))
        assert let_in.answers(5) is not None
        let_in.close()
        assert cluster[0].execute("6 * 7", check=True).value == 42


def test_a_client_with_another_key_gets_nowhere(cluster: Cluster, tmp_path: Path) -> None:
    forged = tmp_path / "forged.json"
    write_connection_file(forged, msgspec.structs.replace(connection_file(), key="0" * 64))
    with pytest.raises(ControllerLost, match=r"did not answer within 0\.5 s"):
        Cluster.connect(forged, timeout=0.5)
    still_works(cluster)
