"""A client's hold on a cluster: it starts or finds it, has engines come and go, and detaches. Knows no work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from nbcluster.client.connection import Connection
from nbcluster.client.discovery import find_cluster
from nbcluster.client.fleet import Fleet, is_ready
from nbcluster.client.lifecycle import END_PATIENCE, end_processes, ensure_running, wait_ended
from nbcluster.client.naming import choose_identity, client_label
from nbcluster.client.specs import available_cpus, engine_spec
from nbcluster.core.targets import check_tags, from_python
from nbcluster.errors import NBClusterError, UsageError
from nbcluster.ids import EngineNumber
from nbcluster.protocol import messages as m
from nbcluster.protocol.tasks import CONNECTION
from nbcluster.transport.frames import Buffer
from nbcluster.transport.rendezvous import connection_path, read_connection_file

Key = int | slice | str | Sequence[int | slice | str]
"""What names engines in Python: a number, a slice of numbers, a tag, or several of these."""


class AttachedCluster:
    """What a connected cluster is without the work on it; see `AsyncCluster` for the parameters."""

    def __init__(
        self,
        n: int | None = None,
        *,
        name: str | None = None,
        launcher: str = "local",
        kernel: str = "",
        tags: Sequence[str] = (),
        resources: Mapping[str, float] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        gpus_per_engine: int = 0,
        threads_per_engine: int | None = None,
        memory_limit: float | str | None = None,
        restart: str = "always",
        idle_timeout: float | None = None,
        timeout: float = 60,
    ) -> None:
        wanted = available_cpus() if n is None else n
        if wanted < 0:
            raise UsageError(f"a cluster cannot have {wanted} engines; 0 starts an empty one")
        check_tags(tuple(tags))
        identity = choose_identity(name, idle_timeout)
        self._is_scripts_own = identity.is_scripts_own
        self.name = identity.name
        self.idle_timeout = identity.idle_timeout
        self._n = wanted
        self._timeout = timeout
        self._spec = engine_spec(
            wanted,
            launcher=launcher,
            kernel=kernel,
            tags=tags,
            resources=resources,
            env=env,
            cwd=cwd,
            threads=threads_per_engine,
            memory_limit=memory_limit,
            gpus_per_engine=gpus_per_engine,
            restart=restart,
        )
        self._connection: Connection | None = None
        self._started_here = False
        self._fleet = Fleet()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lost: NBClusterError | None = None
        self._prepare()

    def _prepare(self) -> None:
        """Make what the work on the cluster needs."""

    # -- its life -----------------------------------------------------------------------------

    @classmethod
    async def connect(
        cls, name_or_file: str | os.PathLike[str] | None = None, *, timeout: float = 10
    ) -> Self:
        """Connect to a running cluster.

        Parameters
        ----------
        name_or_file : str or path, optional
            Its name, or its connection file; may be left out when exactly one runs.
        timeout : float
            Seconds that its controller may take to answer.

        Raises
        ------
        UnknownCluster
            When there is no such cluster, or several and none was named.
        ControllerLost
            When it does not answer.
        """
        file = find_cluster(name_or_file)
        self = cls(0, name=read_connection_file(file).name, timeout=timeout)
        await self._attach(file, timeout)
        return self

    async def start(self) -> Self:
        """Start the cluster, or connect to the one of its name, and have at least n engines ready."""
        path = connection_path(self.name)
        self._started_here = await ensure_running(
            path, self.name, idle_timeout=self.idle_timeout, ends_with_clients=self._is_scripts_own
        )
        file = read_connection_file(path)
        try:
            await self._attach(path, self._timeout)
            await self._have(self._n, self._spec, self._timeout)
        except BaseException:
            await self.close()
            if self._started_here:  # nothing is left of a start that failed
                await end_processes(file)
            raise
        return self

    async def __aenter__(self) -> Self:
        if self._connection is None:
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started_here and self._lost is None:
            await self.stop(force=True)
        else:
            await self.close()

    async def _attach(self, path: Path, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        file = read_connection_file(path)
        inside = os.environ.get(CONNECTION) == str(path.absolute())
        connection = Connection(file, client_label(), self._noticed, self._has_lost, inside=inside)
        try:
            status = await connection.open(timeout)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        self._attached(connection, path)
        self.name = status.name
        self.idle_timeout = status.idle_timeout
        self._fleet.replace(status.engines)

    def _attached(self, connection: Connection, path: Path) -> None:
        """The controller answers."""

    async def _leaving(self) -> None:
        """The connection is about to be closed."""

    @property
    def connection(self) -> Connection:
        """The connection.

        Raises
        ------
        UsageError
            Before `start` and after `close`.
        """
        if self._lost is not None:
            raise self._lost
        if self._connection is None:
            raise UsageError(f"the cluster {self.name!r} is not connected; start it, or connect to it")
        return self._connection

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that it is connected on."""
        return self._loop

    @property
    def is_connected(self) -> bool:
        """Whether the controller can be asked."""
        return self._connection is not None and self._lost is None

    @property
    def started_here(self) -> bool:
        """Whether this object started the cluster, rather than found it."""
        return self._started_here

    @property
    def is_scripts_own(self) -> bool:
        """Whether it was started by a script without a name, and ends with it."""
        return self._is_scripts_own and self._started_here

    async def stop(self, force: bool = False, *, timeout: float = END_PATIENCE) -> None:
        """End engines and controller; wait so many seconds until nothing of them is left.

        Raises
        ------
        ClusterInUse
            When other clients are connected and `force` is false; the message names them.
        """
        connection = self.connection
        await connection.ask(m.StopCluster(force), m.Done, timeout=min(timeout, 10))
        await wait_ended(connection.file, timeout)
        await self.close()

    async def close(self) -> None:
        """Detach; the cluster goes on."""
        if self.is_connected:
            await self._leaving()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    # -- engines ------------------------------------------------------------------------------

    @property
    def engines(self) -> list[m.EngineStatus]:
        """The engines as last told, by number; `status` asks again."""
        return self._fleet.engines

    async def status(self, usage: bool = False, *, timeout: float = 30) -> m.ClusterStatus:
        """Ask what the cluster is at; `usage` also measures memory and CPU of the engines."""
        status = (await self.connection.ask(m.Describe(usage), m.Status, timeout=timeout)).status
        self._fleet.replace(status.engines)
        return status

    async def add(
        self,
        n: int,
        *,
        launcher: str = "local",
        kernel: str = "",
        tags: Sequence[str] = (),
        resources: Mapping[str, float] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        gpus_per_engine: int = 0,
        threads_per_engine: int | None = None,
        memory_limit: float | str | None = None,
        restart: str = "always",
        timeout: float = 60,
    ) -> list[int]:
        """Start n more engines and wait until they answer; return their numbers.

        Raises
        ------
        UsageError
            For an unknown kernel or a bad tag.
        LauncherError
            When one does not start; the message holds its stderr.
        """
        if n < 0:
            raise UsageError(f"{n} engines cannot be added; use remove() or scale()")
        check_tags(tuple(tags))
        total = n + len(self._fleet.engines)
        spec = engine_spec(
            total,
            launcher=launcher,
            kernel=kernel,
            tags=tags,
            resources=resources,
            env=env,
            cwd=cwd,
            threads=threads_per_engine,
            memory_limit=memory_limit,
            gpus_per_engine=gpus_per_engine,
            restart=restart,
        )
        answer = await self.connection.ask(m.AddEngines(n, spec), m.Engines, timeout=30)
        await self._fleet.wait_ready(answer.numbers, timeout, self.logs)
        return list(answer.numbers)

    async def start_up_to(self, n: int, *, kernel: str = "", timeout: float = 60) -> list[int]:
        """Have at least n engines of a kernel; none is removed. Return the numbers of those started."""
        return await self._have(n, engine_spec(n, kernel=kernel), timeout)

    async def _have(self, n: int, spec: m.KernelSpecRef, timeout: float) -> list[int]:
        answer = await self.connection.ask(m.AddEngines(n, spec, up_to=True), m.Engines, timeout=30)
        await self._fleet.wait_ready(answer.numbers, timeout, self.logs)
        return list(answer.numbers)

    async def scale(self, n: int, *, timeout: float = 60) -> list[int]:
        """Have exactly n engines; idle ones go first. Return the numbers that were started or stopped."""
        answer = await self.connection.ask(m.ScaleEngines(n, engine_spec(n)), m.Engines, timeout=30)
        alive = {engine.number for engine in (await self.status()).engines if engine.state != "stopping"}
        started = [number for number in answer.numbers if number in alive]
        await self._fleet.wait_ready(started, timeout, self.logs)
        await self._fleet.wait_gone([number for number in answer.numbers if number not in alive], timeout)
        return list(answer.numbers)

    async def remove(self, targets: Key = "all", *, timeout: float = 60) -> list[int]:
        """Stop engines for good; return their numbers."""
        answer = await self.connection.ask(m.RemoveEngines(from_python(targets)), m.Engines, timeout=30)
        await self._fleet.wait_gone(answer.numbers, timeout)
        return list(answer.numbers)

    async def restart(self, targets: Key = "all", *, timeout: float = 60) -> list[int]:
        """End these engines' processes and start new ones under the same numbers; return the numbers."""
        before = {number: engine.incarnation for number, engine in self._fleet.by_number.items()}
        answer = await self.connection.ask(m.RestartEngines(from_python(targets)), m.Engines, timeout=30)
        await self._fleet.wait_ready(answer.numbers, timeout, self.logs, after=before)
        return list(answer.numbers)

    async def interrupt(self, targets: Key = "all", *, timeout: float = 30) -> list[int]:
        """Interrupt whatever runs there now, whoever sent it."""
        request = m.InterruptEngines(from_python(targets))
        answer = await self.connection.ask(request, m.Engines, timeout=timeout)
        return list(answer.numbers)

    async def signal(self, signum: int, targets: Key = "all", *, timeout: float = 30) -> list[int]:
        """Send a POSIX signal to the engine processes."""
        request = m.SignalEngines(int(signum), from_python(targets))
        return list((await self.connection.ask(request, m.Engines, timeout=timeout)).numbers)

    async def wait_for_engines(self, n: int, timeout: float = 60) -> list[m.EngineStatus]:
        """Wait until n engines are ready; return all that are.

        Raises
        ------
        TimeoutError
            When fewer were ready in time; the message says how many and why.
        """
        await self.status()  # the news of an engine's death may still be on its way
        return await self._fleet.wait_for(n, timeout)

    async def logs(self, engine: int | None = None, lines: int = 200, *, timeout: float = 30) -> str:
        """The last lines of an engine's log, or of the controller's own."""
        number = EngineNumber(engine) if engine is not None else None
        return (await self.connection.ask(m.ReadLog(number, lines), m.LogText, timeout=timeout)).text

    async def set_options(self, *, idle_timeout: float | None = None, timeout: float = 30) -> None:
        """Change options of the running cluster; a negative idle_timeout means never."""
        await self.connection.ask(m.SetOptions(idle_timeout), m.Done, timeout=timeout)
        if idle_timeout is not None:
            self.idle_timeout = idle_timeout if idle_timeout >= 0 else None

    # -- what is told -------------------------------------------------------------------------

    def _noticed(self, notice: m.Notice, buffers: Sequence[Buffer]) -> None:
        if isinstance(notice, m.EngineChanged):
            self._fleet.changed(notice.engine, gone=notice.gone)

    def _has_lost(self, error: NBClusterError) -> None:
        self._lost = error
        self._fleet.lose(error)

    def __repr__(self) -> str:
        if self._lost is not None:
            return f"<{type(self).__name__} {self.name!r}: lost>"
        ready = sum(is_ready(engine) for engine in self._fleet.engines)
        return f"<{type(self).__name__} {self.name!r}: {ready} of {len(self._fleet.engines)} engines ready>"
