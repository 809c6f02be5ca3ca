"""Puts together what is shown of an engine, from what was decided and what runs. Changes nothing."""

from __future__ import annotations

import contextlib

import psutil

from nbcluster.controller.pool import EngineProcess
from nbcluster.core.model import Engine, Task
from nbcluster.protocol.messages import EngineStatus


def engine_status(
    engine: Engine, process: EngineProcess | None, running: Task | None, meter: psutil.Process | None
) -> EngineStatus:
    """The public picture of one engine."""
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
        running=_first_line(running) if running is not None else None,
        running_since=process.running_since(running.id)
        if process is not None and running is not None
        else None,
        starts=engine.starts,
        started=process.started if process is not None else None,
        can_call=engine.can_call,
        connection_file=str(process.connection_file) if process is not None else "",
        note=engine.note,
    )


def _first_line(task: Task) -> str:
    if task.order.label:
        return task.order.label
    lines = [line.strip() for line in task.order.code.splitlines() if line.strip()]
    return lines[0][:80] if lines else "(an empty cell)"
