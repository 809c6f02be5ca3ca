"""What is shown of a cluster and its engines, put together from what was decided and what runs. Changes nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

import psutil

from nbcluster.controller.calls import CallDesk
from nbcluster.controller.clients import Clients
from nbcluster.controller.config import ControllerConfig
from nbcluster.controller.pool import EnginePool, EngineProcess
from nbcluster.controller.silence import Silence
from nbcluster.core.model import Engine, EngineState, Task, title
from nbcluster.core.scheduler import Scheduler
from nbcluster.core.summary import EngineNow
from nbcluster.ids import ClientId, EngineNumber, Incarnation
from nbcluster.protocol import messages as m
from nbcluster.protocol.messages import EngineStatus
from nbcluster.transport import segments
from nbcluster.transport.filling import is_in_memory
from nbcluster.version import __version__

Shares = Mapping[str, int]
"""Bytes of shared memory by what begins the names of an owner's segments."""


class Picture:
    """The public picture of a cluster. Remembers what of each engine was told, so that only news is told."""

    def __init__(
        self,
        config: ControllerConfig,
        scheduler: Scheduler,
        pool: EnginePool,
        clients: Clients,
        calls: CallDesk,
    ) -> None:
        self._config = config
        self._scheduler = scheduler
        self._pool = pool
        self._clients = clients
        self._calls = calls
        self._started = time.time()
        self._shown: dict[EngineNumber, tuple[EngineState, Incarnation, str]] = {}
        self._meters: dict[int, psutil.Process] = {}
        self._silence = Silence(lambda: list(pool.by_incarnation.values()), lambda: len(clients) > 0)

    def cluster(self, idle_timeout: float | None, *, usage: bool) -> m.ClusterStatus:
        """The cluster as a whole; `usage` also measures its engines."""
        self._silence.look()
        shares = self._shares(usage=usage)
        engines = tuple(self._engine(number, shares) for number in sorted(self._scheduler.engines))
        processes = [process.pid for process in self._pool.by_incarnation.values() if process.pid]
        self._meters = {pid: meter for pid, meter in self._meters.items() if pid in processes}
        return m.ClusterStatus(
            self._config.name,
            os.getpid(),
            socket.gethostname(),
            self._config.directory,
            __version__,
            self._started,
            idle_timeout,
            engines,
            self._clients.labels(),
            self._scheduler.queued,
            self._scheduler.running,
            (os.getppid(), os.getpid(), *processes),
            self._calls.held_bytes,
        )

    def loads(self, client: ClientId, *, usage: bool) -> list[EngineNow]:
        """What every engine is at, for a client that watches; `usage` also measures them."""
        shares = self._shares(usage=usage)
        return [self._load(engine, client, shares) for _, engine in sorted(self._scheduler.engines.items())]

    def _shares(self, *, usage: bool) -> Shares | None:
        if not usage:
            return None
        shared = self._config.shared
        return segments.sizes(shared) if shared and is_in_memory(shared) else {}

    def _load(self, engine: Engine, client: ClientId, shares: Shares | None) -> EngineNow:
        process = self._pool.by_incarnation.get(engine.incarnation)
        memory, cpu = self._usage(engine, process, shares) or (0, 0.0)
        task = self._scheduler.tasks.get(engine.running) if engine.running is not None else None
        call = None
        if task is None:
            call = next(iter((*engine.suspended.values(), *engine.inflight.values())), None)
        owner = task.owner if task is not None else call.owner if call is not None else None
        label = title(task.order) if task is not None else call.title if call is not None else ""
        _, since = self._running(engine, process)
        silent = process is not None and self._silence.since(process) is not None
        memory_note = process.memory.note if process is not None and process.memory is not None else ""
        return EngineNow(
            engine.number,
            engine.state.value,
            label,
            owner == client,
            since or 0.0,
            memory,
            cpu,
            host=process.host if process is not None else engine.host,
            pid=(process.pid or 0) if process is not None else 0,
            kernel=process.kernel.name if process is not None else engine.kernel or engine.spec.kernel,
            tags=engine.spec.tags,
            note="it does not answer, its process lives" if silent else engine.note or memory_note,
        )

    def show(self, number: EngineNumber, *, gone: bool) -> None:
        """Tell clients of a change of life; going busy and idle again is asked for, not told."""
        if gone:
            shown = self._shown.pop(number, None)
            if shown is not None:
                last = m.EngineStatus(number, shown[1], EngineState.STOPPING.value)
                self._clients.tell_all(m.EngineChanged(last, gone=True))
            return
        engine = self._scheduler.engines[number]
        life = EngineState.IDLE if engine.state is EngineState.BUSY else engine.state
        news = (life, engine.incarnation, engine.note)
        if self._shown.get(number) != news:
            self._shown[number] = news
            self._clients.tell_all(m.EngineChanged(self._engine(number, None)))

    def _engine(self, number: EngineNumber, shares: Shares | None) -> m.EngineStatus:
        engine = self._scheduler.engines[number]
        process = self._pool.by_incarnation.get(engine.incarnation)
        silent = self._silence.since(process) if process is not None else None
        usage = self._usage(engine, process, shares)
        return engine_status(engine, process, *self._running(engine, process), usage, silent)

    def _usage(
        self, engine: Engine, process: EngineProcess | None, shares: Shares | None
    ) -> tuple[int, float] | None:
        """Bytes of memory that it holds and percent of CPU; None when they are not asked for, or cannot be had.

        What it has mapped is not its own: neither files, nor values of others. What it has filled of shared memory
        counts once, mapped or not.
        """
        meter = self._meter(process) if shares is not None else None
        if meter is None or shares is None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            found = meter.memory_info()
            own = found.rss - getattr(found, "shared", 0)  # only Linux tells
            return own + shares.get(segments.engine_owner(engine.incarnation), 0), meter.cpu_percent()
        return None

    def _running(self, engine: Engine, process: EngineProcess | None) -> tuple[str | None, float | None]:
        """What it runs now, and since when: a cell, or the first of the calls that it was sent."""
        task = self._scheduler.tasks.get(engine.running) if engine.running is not None else None
        if task is not None:
            return _first_line(task), process.running_since(task.id) if process is not None else None
        call = next(iter((*engine.suspended.values(), *engine.inflight.values())), None)
        if call is None:
            return None, None
        kept = self._calls.kept(call.id)
        return call.title, (kept.started or None) if kept is not None else None

    def _meter(self, process: EngineProcess | None) -> psutil.Process | None:
        """What measures an engine; None where it has no process that can be measured."""
        pid = process.pid if process is not None else None
        if not pid:
            return None
        try:
            if pid not in self._meters:
                self._meters[pid] = psutil.Process(pid)
                self._meters[pid].cpu_percent()  # the first call only starts the measure
        except psutil.NoSuchProcess:
            return None
        return self._meters[pid]


def engine_status(
    engine: Engine,
    process: EngineProcess | None,
    running: str | None,
    since: float | None,
    usage: tuple[int, float] | None,
    silent: float | None,
) -> EngineStatus:
    """The public picture of one engine; `silent` is since when it has not answered."""
    told = process.memory if process is not None else None
    memory, cpu = usage or (None, None)
    return EngineStatus(
        number=engine.number,
        incarnation=engine.incarnation,
        state=engine.state.value,
        name=f"{process.host}/{engine.number}" if process is not None and process.host else "",
        host=process.host if process is not None else engine.host,
        pid=process.pid if process is not None else None,
        kernel=process.kernel.name if process is not None else engine.kernel or engine.spec.kernel,
        language=engine.language,
        tags=engine.spec.tags,
        resources=engine.spec.resources,
        memory=memory,
        cpu=cpu,
        running=running,
        running_since=since,
        starts=engine.starts,
        started=process.started if process is not None else None,
        can_call=engine.can_call,
        connection_file=str(process.connection_file) if process is not None else "",
        python=process.python if process is not None else "",
        memory_limit=engine.spec.memory_limit or None,
        spilled=told.spilled if told is not None else 0,
        memory_note=told.note if told is not None else "",
        note=engine.note if silent is None else _silence(time.time() - silent),
    )


def _silence(seconds: float) -> str:
    return f"silent since {seconds:.0f} s: it does not answer, its process lives"


def _first_line(task: Task) -> str:
    if task.order.label:
        return task.order.label
    lines = [line.strip() for line in task.order.code.splitlines() if line.strip()]
    return lines[0][:80] if lines else "(an empty cell)"
