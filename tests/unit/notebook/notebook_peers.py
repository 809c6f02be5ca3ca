"""Peers of the notebook layer in memory: a run that is fed with events, a cluster that makes such runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Raw

from nbcluster.client.cells import CellRun
from nbcluster.errors import UnknownCluster
from nbcluster.ids import CellId, EngineNumber, Incarnation, TaskId
from nbcluster.notebook.clusters import RunningCluster
from nbcluster.protocol.messages import (
    CancelTasks,
    ClusterStatus,
    EngineStatus,
    InputWanted,
    Raised,
    SendInput,
    SubmitCell,
    Succeeded,
    TaskDone,
    TaskOutput,
    TaskPlace,
    TaskStarted,
)

CELL = CellId("c1")


def task(engine: int) -> TaskId:
    return TaskId(f"t{engine}")


def started(engine: int, notice: str = "") -> TaskStarted:
    return TaskStarted(CELL, task(engine), EngineNumber(engine), 1, notice)


def output(engine: int, msg_type: str, late: bool = False, **content: Any) -> TaskOutput:
    return TaskOutput(
        CELL, task(engine), EngineNumber(engine), msg_type, Raw(json.dumps(content).encode()), {}, late
    )


def printed(engine: int, text: str, stream: str = "stdout", late: bool = False) -> TaskOutput:
    return output(engine, "stream", late, name=stream, text=text)


def shown(engine: int, display_id: str | None = None, kind: str = "display_data", **data: str) -> TaskOutput:
    bundle = {key.replace("_", "/"): value for key, value in data.items()}
    transient = {} if display_id is None else {"display_id": display_id}
    return output(engine, kind, data=bundle, metadata={}, transient=transient)


def result(engine: int, text: str) -> TaskOutput:
    return output(engine, "execute_result", data={"text/plain": text}, metadata={}, execution_count=1)


def asks(engine: int, prompt: str, password: bool = False) -> InputWanted:
    return InputWanted(CELL, task(engine), EngineNumber(engine), prompt, password)


def done(engine: int, outcome: Any = None) -> TaskDone:
    return TaskDone(CELL, task(engine), EngineNumber(engine), 1, outcome or Succeeded())


def raised(engine: int, ename: str = "ZeroDivisionError", evalue: str = "division by zero") -> TaskDone:
    lines = ("Traceback (most recent call last)", f"Cell In[{engine + 3}], line 1", f"{ename}: {evalue}")
    return done(engine, Raised(ename, evalue, lines))


def places(*engines: int) -> tuple[TaskPlace, ...]:
    return tuple(TaskPlace(task(engine), EngineNumber(engine)) for engine in engines)


class MemoryRun(CellRun):
    """The client's own run, with a test in the controller's place: it feeds events and sees what is asked."""

    def __init__(self, engines: Sequence[int], *, single: bool = False) -> None:
        super().__init__(self, SubmitCell(CELL, "code"), single=single)
        self.posted: list[Any] = []
        self.on_cancel: Callable[[], None] = lambda: None
        self.abandoned = False
        self.accepted(places(*engines))

    def feed(self, *events: Any) -> None:
        for event in events:
            self.handle(event, ())

    def post_soon(self, request: Any) -> None:
        self.posted.append(request)
        if isinstance(request, CancelTasks):
            self.on_cancel()

    @property
    def calls(self) -> Any:
        return self

    def note_failure(self, task: TaskId, error: Exception) -> None:
        pass

    def failure_of(self, task: TaskId) -> Exception | None:
        return None

    def abandon(self) -> None:
        self.abandoned = True
        super().abandon()

    @property
    def cancelled(self) -> list[str]:
        return [request.reason for request in self.posted if isinstance(request, CancelTasks)]

    @property
    def sent_input(self) -> list[tuple[TaskId, str]]:
        return [(request.task, request.value) for request in self.posted if isinstance(request, SendInput)]


class MemoryCluster:
    """A cluster that answers from memory, and keeps what it was asked."""

    def __init__(self, name: str = "default", engines: int = 2) -> None:
        self.name = name
        self.language = "python"
        self.engines = [
            EngineStatus(EngineNumber(n), Incarnation(n + 1), "idle", kernel="python3")
            for n in range(engines)
        ]
        self.orders: list[dict[str, Any]] = []
        self.asked: list[tuple[str, Any]] = []
        self.next_run: Callable[[dict[str, Any]], MemoryRun] = lambda order: finished_run((0, 1))
        self.last: Any = None
        self.reply: dict[str, Any] = {}
        self.comm_listeners: list[Callable[[Any, Any], None]] = []
        self.comms_sent: list[Any] = []
        self.comm_error: Exception | None = None

    def send_cell(self, code: str, targets: str = "", **options: Any) -> MemoryRun:
        order = {"code": code, "targets": targets, **options}
        self.orders.append(order)
        run = self.next_run(order)
        self.last = run.future
        return run

    def status(self) -> ClusterStatus:
        return ClusterStatus(
            self.name,
            1,
            "here",
            "/tmp",
            "0.1",
            0.0,
            43200.0,
            tuple(self.engines),
            ("me",),
            queued=0,
            running=0,
        )

    def complete(
        self, code: str, cursor_pos: int, targets: str = "", timeout: float = 0.3, namespace: str = ""
    ) -> dict[str, Any]:
        self.asked.append(("complete", (code, cursor_pos, targets, timeout)))
        return self.reply

    def on_comm(self, listener: Callable[[Any, Any], None], take_output: Any = None) -> None:
        self.comm_listeners.append(listener)

    def send_comm(self, *sent: Any) -> None:
        if self.comm_error is not None:
            raise self.comm_error
        self.comms_sent.append(sent)

    def __getattr__(self, verb: str) -> Any:
        if verb not in (
            "add",
            "start_up_to",
            "scale",
            "restart",
            "interrupt",
            "cancel",
            "set_options",
            "stop",
        ):
            raise AttributeError(verb)

        def ask(*args: Any, **options: Any) -> list[int]:
            self.asked.append((verb, args or options))
            return [1]

        return ask


class MemoryClusters:
    """Clusters that exist in memory only."""

    def __init__(self, *clusters: MemoryCluster) -> None:
        self.known = {cluster.name: cluster for cluster in clusters}
        self.now: MemoryCluster | None = clusters[0] if clusters else None
        self.started: list[tuple[int | None, dict[str, Any]]] = []

    def current(self, name: str | None = None) -> MemoryCluster:
        if name is not None:
            return self.connect(name)
        if self.now is None:
            raise UnknownCluster("no cluster is in use here; %cluster start -n 4 starts one")
        return self.now

    def use(self, cluster: Any) -> None:
        self.now = cluster

    def connect(self, name: str | None) -> MemoryCluster:
        if name is None:
            return self.current()
        if name not in self.known:
            raise UnknownCluster(f"no cluster {name!r} runs")
        return self.known[name]

    def start(self, n: int | None, **options: Any) -> MemoryCluster:
        self.started.append((n, options))
        name = options.get("name", "default")
        return self.known.setdefault(name, MemoryCluster(name, engines=n or 1))

    def running(self) -> list[RunningCluster]:
        return [RunningCluster(name, 7, "here") for name in self.known]

    def has_open_calls(self, listener: Any) -> bool:
        return False


def finished_run(engines: Sequence[int], *events: Any, single: bool = False) -> MemoryRun:
    run = MemoryRun(engines, single=single)
    run.feed(*events, *(done(engine) for engine in engines if not _has_end(events, engine)))
    return run


def _has_end(events: Sequence[Any], engine: int) -> bool:
    return any(isinstance(event, TaskDone) and event.engine == engine for event in events)
