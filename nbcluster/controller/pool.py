"""The processes and channels of the engines: starts, stops, sends, interrupts. Decides nothing.

What becomes of the engines is reported to one listener in terms of engine numbers and incarnations.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT, SIGKILL
from typing import Protocol, assert_never

import zmq

from nbcluster.controller.config import ControllerConfig
from nbcluster.controller.executions import Executions
from nbcluster.controller.kernels import KernelChoice, choose_kernel
from nbcluster.controller.tasks import TaskChannel
from nbcluster.errors import LauncherError
from nbcluster.ids import EngineNumber, Incarnation, TaskId
from nbcluster.launchers.base import (
    Command,
    Launcher,
    ProcessEnded,
    ProcessStarted,
    Supervisor,
    load_launcher,
)
from nbcluster.protocol.messages import KernelSpecRef
from nbcluster.protocol.offers import SHIPPING
from nbcluster.protocol.tasks import (
    CONNECTION,
    INCARNATION,
    MEMORY,
    NUMBER,
    SEGMENTS,
    SPILLED,
    TASKS_URL,
    AgentHello,
    MemoryTold,
)
from nbcluster.protocol.version import PROTOCOL_VERSION
from nbcluster.transport.addresses import is_private
from nbcluster.transport.frames import Message
from nbcluster.transport.kernel import Channel, ConnectionInfo, EngineLink, new_connection

log = logging.getLogger(__name__)

AGENT_PATIENCE = 2.0
"""Seconds that a process has to end by itself once its agent's connection broke; it is killed then."""

STOP_GRACE = 1.5
"""Seconds that an idle engine has to end by itself before it is killed."""

BUSY_GRACE = 0.3
"""The same for one that runs a cell: it cannot answer, and was asked to end now."""

LOG_TAIL = 30
"""Lines of an engine's log that are shown when it does not start."""


class PoolListener(Protocol):
    """Who hears of the engines."""

    def engine_ready(self, engine: EngineProcess, language: str, can_call: bool) -> None:
        """It answered for the first time."""

    def engine_died(self, engine: EngineProcess, cause: str) -> None:
        """Its process ended, or never began."""

    def engine_replied(self, engine: EngineProcess, channel: Channel, message: Message) -> None:
        """A reply came that nothing waited for."""

    def engine_published(self, engine: EngineProcess, message: Message) -> None:
        """An iopub message came."""

    def engine_asked(self, engine: EngineProcess, message: Message) -> None:
        """It wants a line of input."""


@dataclass(slots=True, eq=False)
class EngineProcess:
    """One incarnation of one engine: its process and its channels."""

    number: EngineNumber
    incarnation: Incarnation
    spec: KernelSpecRef
    key: str
    kernel: KernelChoice
    connection: ConnectionInfo
    connection_file: Path
    log: Path
    link: EngineLink | None = None
    pid: int | None = None
    host: str = ""
    can_call: bool = False
    ready: bool = False
    ended: bool = False
    stopping: bool = False
    started: float = field(default_factory=time.time)
    executions: Executions = field(default_factory=Executions)
    starting: asyncio.Task[None] | None = None
    greeted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its agent has said hello."""
    has_agent: bool = False
    """Whether its agent is there: it has said hello, and its connection has not broken."""
    python: str = ""
    """Version of the Python that runs calls."""
    memory: MemoryTold | None = None
    """What its agent said last of its memory."""
    cause: str = ""
    """Why it was ended, where that says more than how."""
    subshells: list[str] = field(default_factory=list)
    """Subshells of its kernel that run nothing."""

    def running_since(self, task: TaskId) -> float | None:
        """When it was sent a task."""
        return self.executions.started(task)

    def tail(self, lines: int) -> str:
        """The last lines of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


class EnginePool:
    """Every engine process of the cluster, by incarnation."""

    def __init__(
        self,
        config: ControllerConfig,
        context: zmq.Context[zmq.Socket[bytes]],
        supervisor: Supervisor,
        listener: PoolListener,
    ) -> None:
        self._config = config
        self._context = context
        self._supervisor = supervisor
        self._listener = listener
        self._launchers: dict[str, Launcher] = {}
        self._by_key: dict[str, EngineProcess] = {}
        self.by_incarnation: dict[Incarnation, EngineProcess] = {}
        self._loop = asyncio.get_running_loop()
        self._emptied = asyncio.Event()
        self.channel: TaskChannel | None = None
        self.tasks_url = ""

    def check(self, spec: KernelSpecRef) -> None:
        """Refuse a kernel or launcher that does not exist, before anything is decided.

        Raises
        ------
        LauncherError, UsageError
        """
        self._launcher(spec.launcher)
        choose_kernel(spec)

    def start(self, number: EngineNumber, incarnation: Incarnation, spec: KernelSpecRef) -> None:
        """Start a process; `engine_ready` or `engine_died` follows."""
        kernel = choose_kernel(spec)
        directory = Path(self._config.directory)
        key = f"e{incarnation}"
        launcher = self._launcher(spec.launcher)
        host = launcher.choose_host(key, spec.env)
        connection = new_connection(
            self._config.transport,
            str(directory / key),
            secrets.token_hex(32),
            kernel.name,
            encrypt=kernel.encrypts,
            address=host.address,
            ports=host.ports,
        )
        engine = EngineProcess(
            number,
            incarnation,
            spec,
            key,
            kernel,
            connection,
            directory / f"{key}.json",
            directory / f"engine-{number}.log",
        )
        self._by_key[key] = engine
        self.by_incarnation[incarnation] = engine
        self._emptied.clear()
        if not (kernel.encrypts or is_private(connection.url("shell"))):
            why = (
                f"could not be started: the kernel {kernel.name!r} does not encrypt what goes to another host"
            )
            self._loop.call_soon(self._ended, engine, why)
            return
        connection.write(engine.connection_file)
        engine.link = EngineLink(
            self._context,
            connection,
            lambda channel, message: self._listener.engine_replied(engine, channel, message),
            lambda message: self._listener.engine_published(engine, message),
            lambda message: self._listener.engine_asked(engine, message),
        )
        env: dict[str, str | None] = {**kernel.env, **spec.env}
        env[CONNECTION] = self._config.connection_file
        env[SEGMENTS] = (host.is_here and self._config.shared) or None
        env[SPILLED] = (host.is_here and self._config.spill) or None
        env[MEMORY] = f"/{spec.siblings}" if spec.memory_limit is None else str(spec.memory_limit)
        is_tcp = self._config.transport == "tcp"
        env[SHIPPING] = f"tcp://{host.address}" if is_tcp else f"ipc://{directory / key}-v"
        if self.channel is not None:
            self.channel.admit(incarnation, connection.key)
            env |= {TASKS_URL: self.tasks_url, INCARNATION: str(incarnation), NUMBER: str(number)}
        command = Command(
            key,
            kernel.argv(engine.connection_file),
            engine.log,
            kernel.fork,
            env,
            spec.cwd,
            spec.path if kernel.is_ours else (),
        )
        launcher.start([command])
        engine.starting = asyncio.create_task(self._wait_ready(engine, engine.link))

    def stop(self, incarnation: Incarnation, *, busy: bool) -> None:
        """Ask a process to end, and kill it when it does not; `engine_died` follows."""
        engine = self.by_incarnation.get(incarnation)
        if engine is None or engine.stopping:
            return
        engine.stopping = True
        if not engine.ready or engine.link is None:
            self._kill(engine)
            return
        engine.link.request("control", "shutdown_request", {"restart": False})
        self._loop.call_later(BUSY_GRACE if busy else STOP_GRACE, self._kill, engine)

    def greeted(self, engine: EngineProcess, hello: AgentHello) -> None:
        """An agent said hello."""
        if hello.protocol != PROTOCOL_VERSION:
            self._fail(
                engine,
                f"its agent speaks version {hello.protocol} of the protocol, this cluster version {PROTOCOL_VERSION}; "
                "the same nbcluster must be installed for engines and controller",
            )
            return
        engine.python = hello.python
        engine.has_agent = True
        engine.greeted.set()

    def agent_lost(self, engine: EngineProcess) -> None:
        """An agent's connection broke: what it was sent is lost, so its process may not go on."""
        engine.has_agent = False
        if not engine.stopping and not engine.ended:
            self._loop.call_later(AGENT_PATIENCE, self._end_without_agent, engine)

    def _end_without_agent(self, engine: EngineProcess) -> None:
        if not engine.stopping and not engine.ended:
            engine.cause = "lost the connection of its agent and was restarted"
            log.error("engine %s %s", engine.number, engine.cause)
            self._kill(engine)

    def signal(self, incarnation: Incarnation, signum: int) -> None:
        """Send a signal to the process."""
        engine = self.by_incarnation.get(incarnation)
        if engine is not None:
            self._launcher(engine.spec.launcher).signal(engine.key, signum)

    def interrupt(self, incarnation: Incarnation, msg_id: str | None) -> None:
        """Interrupt one execution; None: whatever runs now.

        A kernel that is not ours knows no targets. It runs one cell of ours at a time and the scheduler
        has no other there now, so what runs is what is meant.
        """
        engine = self.by_incarnation.get(incarnation)
        if engine is None or engine.link is None or not engine.ready:
            return
        if engine.can_call and msg_id is not None:
            engine.link.request("control", "interrupt_task_request", {"msg_id": msg_id})
        elif engine.kernel.interrupt_by_message:
            engine.link.request("control", "interrupt_request", {})
        else:
            self._launcher(engine.spec.launcher).signal(engine.key, SIGINT, group=True)

    async def wait_empty(self) -> None:
        """Wait until the last engine has gone; the supervisor ends what is left after the grace time."""
        if not self._by_key:
            return
        try:
            async with asyncio.timeout(STOP_GRACE + 2):
                await self._emptied.wait()
        except TimeoutError:
            log.warning("engines did not end: %s", ", ".join(self._by_key))

    def close(self) -> None:
        """Close the channels to engines that are still there."""
        for engine in self._by_key.values():
            if engine.starting is not None:
                engine.starting.cancel()
            if engine.link is not None:
                engine.link.close()

    def _launcher(self, name: str) -> Launcher:
        if name not in self._launchers:
            self._launchers[name] = load_launcher(name)(self._supervisor, self._heard)
        return self._launchers[name]

    async def _wait_ready(self, engine: EngineProcess, link: EngineLink) -> None:
        limit = self._config.start_timeout
        try:
            async with asyncio.timeout(limit):
                answer = await link.wait_ready(limit)
                engine.can_call = "nbcluster" in answer.get("supported_features", ())
                if engine.can_call:
                    await engine.greeted.wait()
        except LauncherError as error:
            self._fail(engine, str(error))
            return
        except TimeoutError:
            self._fail(engine, f"its kernel answers, but not the agent that takes calls, within {limit:g} s")
            return
        engine.ready = True
        language = str(answer.get("language_info", {}).get("name", "")).lower()
        self._listener.engine_ready(engine, language, engine.can_call)

    def _fail(self, engine: EngineProcess, why: str) -> None:
        """End an engine that did not start."""
        if not engine.ended:
            log.warning("engine %s: %s", engine.number, why)
            engine.stopping = True
            with engine.log.open("a") as file:
                file.write(f"\n{why}\n")
            self._kill(engine)

    def _kill(self, engine: EngineProcess) -> None:
        if not engine.ended:
            self._launcher(engine.spec.launcher).signal(engine.key, SIGKILL, group=True)

    def _heard(self, report: ProcessStarted | ProcessEnded) -> None:
        engine = self._by_key.get(report.key)
        if engine is None:
            return
        match report:
            case ProcessStarted(_, pid, host):
                engine.pid, engine.host = pid, host
            case ProcessEnded(_, cause):
                self._ended(engine, cause)
            case _:
                assert_never(report)

    def _ended(self, engine: EngineProcess, cause: str) -> None:
        engine.ended = True
        if engine.starting is not None:
            engine.starting.cancel()
        if engine.link is not None:
            engine.link.close()
        del self._by_key[engine.key]
        self.by_incarnation.pop(engine.incarnation, None)
        if self.channel is not None:
            self.channel.dismiss(engine.incarnation)
        for leftover in Path(self._config.directory).glob(f"{engine.key}[-.]*"):
            leftover.unlink(missing_ok=True)
        if not self._by_key:
            self._emptied.set()
        if not engine.ready and not engine.stopping:
            words = engine.tail(LOG_TAIL)
            cause = f"{cause} before it answered" + (f"; its last words:\n{words}" if words else "")
        elif not engine.ready:
            words = engine.tail(LOG_TAIL)
            cause = f"did not start{'; its last words:' + os.linesep + words if words else ''}"
        self._listener.engine_died(engine, engine.cause or cause)
