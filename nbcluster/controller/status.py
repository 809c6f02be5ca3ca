"""What is shown of a cluster and its engines, put together from what was decided and what runs. Changes nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import time

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
from nbcluster.version import __version__


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
        engines = tuple(self._engine(number, usage=usage) for number in sorted(self._scheduler.engines))
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
        return [
            self._load(engine, client, usage=usage) for _, engine in sorted(self._scheduler.engines.items())
        ]

    def _load(self, engine: Engine, client: ClientId, *, usage: bool) -> EngineNow:
        process = self._pool.by_incarnation.get(engine.incarnation)
        memory, cpu = 0, 0.0
        meter = self.meter(process) if usage else None
        if meter is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                memory, cpu = meter.memory_info().rss, meter.cpu_percent()
        task = self._scheduler.tasks.get(engine.running) if engine.running is not None else None
        call = None
        if task is None:
            call = next(iter((*engine.suspended.values(), *engine.inflight.values())), None)
        owner = task.owner if task is not None else call.owner if call is not None else None
        label = title(task.order) if task is not None else call.title if call is not None else ""
        _, since = self._running(engine, process)
        return EngineNow(engine.number, engine.state.value, label, owner == client, since or 0.0, memory, cpu)

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
            self._clients.tell_all(m.EngineChanged(self._engine(number, usage=False)))

    def _engine(self, number: EngineNumber, *, usage: bool) -> m.EngineStatus:
        engine = self._scheduler.engines[number]
        process = self._pool.by_incarnation.get(engine.incarnation)
        meter = self.meter(process) if usage else None
        silent = self._silence.since(process) if process is not None else None
        return engine_status(engine, process, *self._running(engine, process), meter, silent)

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

    def meter(self, process: EngineProcess | None) -> psutil.Process | None:
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
    meter: psutil.Process | None,
    silent: float | None,
) -> EngineStatus:
    """The public picture of one engine; `silent` is since when it has not answered."""
    told = process.memory if process is not None else None
    memory: int | None = None
    cpu: float | None = None
    if meter is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            memory, cpu = meter.memory_info().rss, meter.cpu_percent()
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
