"""A supervisor whose controller is the test itself, and engines on it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from nbcluster.engine.arguments import kernel_argv
from nbcluster.protocol.supervision import (
    Exited,
    FromSupervisor,
    Signal,
    Spawn,
    Spawned,
    decode_report,
    encode_line,
)

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # helpers of these tests, as tests are imported without packages
DEADLINE = 20.0


@dataclass
class Host:
    """A running supervisor, and the socket that its controller relays to the test."""

    process: subprocess.Popen[bytes]
    directory: Path
    listener: socket.socket
    peer: socket.socket | None = None
    controller: int = 0
    received: bytes = b""
    clients: list[BlockingKernelClient] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    own_files: set[str] = field(default_factory=set)

    def meet(self) -> None:
        """Wait for the controller's first word and its connection."""
        assert self.process.stdout is not None
        self.controller = json.loads(self.process.stdout.readline())["pid"]
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(DEADLINE)
        self.own_files = {path.name for path in self.directory.iterdir()}

    def order(self, order: Spawn | Signal) -> None:
        """Send an order as the controller."""
        assert self.peer is not None
        self.peer.sendall(encode_line(order))

    def report(self) -> FromSupervisor:
        """Wait for the next report."""
        assert self.peer is not None
        while b"\n" not in self.received:
            data = self.peer.recv(65536)
            assert data, "the controller is gone"
            self.received += data
        line, _, self.received = self.received.partition(b"\n")
        report = decode_report(line)
        if isinstance(report, Spawned):
            self.running.add(report.key)
        elif isinstance(report, Exited):
            self.running.discard(report.key)
        return report

    def spawn(self, key: str, *argv: str, fork: bool = False, **more: Any) -> int:
        """Start a process and return its pid."""
        self.order(Spawn(key, argv, fork, str(self.directory / f"{key}.log"), **more))
        report = self.report()
        assert isinstance(report, Spawned), (report, self.log(key))
        assert report.key == key
        return report.pid

    def engine(self, key: str = "e", **more: Any) -> tuple[int, str]:
        """Start an engine and return its pid and connection file."""
        connection = self.directory / f"{key}.json"
        connection.write_text(json.dumps(connection_info(str(self.directory / key))))
        pid = self.spawn(key, *kernel_argv(str(connection)), fork=True, **more)
        return pid, str(connection)

    def client(self, connection_file: str, stdin: bool = True) -> BlockingKernelClient:
        """Connect to an engine and wait until it answers."""
        client = BlockingKernelClient(connection_file=connection_file)
        client.load_connection_file()
        client.start_channels(stdin=stdin)
        self.clients.append(client)
        # A kernel that is just starting may miss a subscription's welcome: ask again until iopub speaks, as the
        # controller does.
        asked, until = 0, time.monotonic() + DEADLINE
        while True:
            client.kernel_info()
            asked += 1
            try:
                client.iopub_channel.get_msg(timeout=1)
                break
            except queue.Empty:
                assert time.monotonic() < until, "iopub of the engine stays silent"
        for _ in range(asked):
            client.get_shell_msg(timeout=DEADLINE)
        return client

    def log(self, key: str) -> str:
        """What a process wrote."""
        path = self.directory / f"{key}.log"
        return path.read_text() if path.exists() else ""

    def exited(self, key: str) -> Exited:
        """Wait for the end of a process, which must be the next report."""
        report = self.report()
        assert isinstance(report, Exited), report
        assert report.key == key
        return report

    def clear(self) -> None:
        """Leave the clients, end every process, and remove their files: the next test has new ones."""
        self.leave()
        for key in list(self.running):
            self.order(Signal(key, signal.SIGKILL))
        while self.running:
            self.report()
        for path in self.directory.iterdir():
            if path.name not in self.own_files:
                path.unlink() if not path.is_dir() else shutil.rmtree(path)

    def leave(self) -> None:
        """End what clients have open."""
        for client in self.clients:
            client.stop_channels()
            client.context.destroy(linger=0)
        self.clients.clear()

    def stop(self) -> int:
        """Let the controller end, and return the supervisor's exit code."""
        self.leave()
        if self.peer is not None:
            self.peer.close()
        return self.process.wait(DEADLINE)


def connection_info(ip: str) -> dict[str, Any]:
    """Return what a connection file of an engine says."""
    ports = {f"{name}_port": i for i, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}
    return {
        "transport": "ipc",
        "ip": ip,
        "key": uuid.uuid4().hex,
        "signature_scheme": "hmac-sha256",
        "kernel_name": "",
        **ports,
    }


StartHost = Callable[..., Host]


@pytest.fixture
def start_host(world: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartHost]:
    """Start supervisors; afterwards each must be gone."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    with hosts_of(world) as start:
        yield start


@contextmanager
def hosts_of(world: Any, env: dict[str, str] | None = None) -> Iterator[StartHost]:
    """Start supervisors in a world; afterwards each must be gone."""
    hosts: list[Host] = []

    def start(meet: bool = True, **options: Any) -> Host:
        number = len(hosts)
        directory = world.runtime / f"host{number}"
        directory.mkdir(mode=0o700)
        cleanup = world.runtime / f"cleanup{number}"
        cleanup.touch()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(world.top / f"listener{number}"))
        listener.listen(1)
        listener.settimeout(DEADLINE)
        config = {
            "name": "t",
            "directory": str(directory),
            "controller": "controller_for_tests:run",
            "options": {"listener": str(world.top / f"listener{number}"), **options},
            "cleanup": [str(cleanup)],
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "nbcluster.engine.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(config).encode() + b"\n")
        process.stdin.close()
        host = Host(process, directory, listener)
        hosts.append(host)
        if meet:
            host.meet()
        return host

    yield start
    for host in hosts:
        try:
            host.stop()
        finally:
            host.listener.close()
            if host.process.stdout is not None:
                host.process.stdout.close()
            if host.process.poll() is None:
                host.process.kill()
                host.process.wait()


@pytest.fixture(params=["fork", "exec"])
def each_start_method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with forked and with executed processes."""
    monkeypatch.setenv("NBCLUSTER_START_METHOD", request.param)
    method: str = request.param
    return method


@pytest.fixture
def host(start_host: StartHost) -> Host:
    """Return one running supervisor."""
    return start_host()


@dataclass
class Shared:
    """A supervisor for the tests of a module; after a test that left it in a state unknown, another."""

    start: StartHost
    host: Host | None = None


@pytest.fixture(scope="module")
def shared(module_world: Any) -> Iterator[Shared]:
    """What the tests of a module take in turn, in the module's world."""
    with hosts_of(
        module_world, {**os.environ, **module_world.environment(), "PYTHONPATH": str(HERE)}
    ) as start:
        yield Shared(start)


@pytest.fixture
def shared_host(shared: Shared) -> Iterator[Host]:
    """Lend the module's supervisor, for engines of the test's own."""
    host = shared.host or shared.start()
    shared.host = None
    yield host
    host.clear()
    shared.host = host  # nothing has failed on the way


@dataclass
class CallingEngine:
    """An engine that takes calls from the test."""

    pid: int
    connection_file: str
    client: BlockingKernelClient
    tasks: Any

    def cell(self, code: str, metadata: dict[str, Any] | None = None, **content: Any) -> dict[str, Any]:
        """Run a cell to its end and return its reply, with what it printed under "stdout"."""
        msg_id = self.start(code, metadata, **content)
        return self.reply(msg_id)

    def start(
        self, code: str, metadata: dict[str, Any] | None = None, subshell: str | None = None, **content: Any
    ) -> str:
        """Send a cell and return the msg_id of its request."""
        content = {"code": code, "silent": False, "stop_on_error": False, "allow_stdin": False, **content}
        message = self.client.session.msg("execute_request", content, metadata=metadata or {})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        msg_id: str = message["header"]["msg_id"]
        return msg_id

    def reply(self, msg_id: str) -> dict[str, Any]:
        """Wait for the reply to a request; those to others are kept."""
        while msg_id not in self.replies:
            message = self.client.get_shell_msg(timeout=DEADLINE)
            self.replies[message["parent_header"]["msg_id"]] = message["content"]
        return self.replies.pop(msg_id)

    def control(self, msg_type: str, **content: Any) -> dict[str, Any]:
        """Ask on the control channel."""
        message = self.client.session.msg(msg_type, content)
        self.client.control_channel.send(message)
        while True:
            answer = self.client.get_control_msg(timeout=DEADLINE)
            if answer["parent_header"]["msg_id"] == message["header"]["msg_id"]:
                told: dict[str, Any] = answer["content"]
                return told

    def published(self, msg_id: str) -> list[dict[str, Any]]:
        """Return what iopub said of a request until it was idle."""
        found = []
        while True:
            message = self.client.get_iopub_msg(timeout=DEADLINE)
            if message["parent_header"].get("msg_id") != msg_id:
                self.stray.append(message)
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return found
            found.append(message)

    def wait_for_print(self, msg_id: str) -> None:
        """Wait until a cell has printed something: it runs then, and an interrupt of it hits."""
        while True:
            message = self.client.get_iopub_msg(timeout=DEADLINE)
            if message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == msg_id:
                return
            self.stray.append(message)

    stray: list[dict[str, Any]] = field(default_factory=list)
    replies: dict[str, dict[str, Any]] = field(default_factory=dict)


@pytest.fixture
def calling(host: Host) -> Iterator[CallingEngine]:
    """Return an engine with a task channel that ends in the test."""
    from task_router import INCARNATION, TaskRouter

    from nbcluster.protocol.tasks import INCARNATION as INCARNATION_VARIABLE
    from nbcluster.protocol.tasks import TASKS_URL

    tasks = TaskRouter(f"ipc://{host.directory}/t")
    try:
        env = {TASKS_URL: tasks.url, INCARNATION_VARIABLE: str(INCARNATION)}
        # With that variable ipykernel leaves the standard descriptors alone.
        pid, file = host.engine(env={**env, "PYTEST_CURRENT_TEST": None})
        tasks.use_key_of(file)
        yield CallingEngine(pid, file, host.client(file), tasks)
    finally:
        tasks.close()
