"""Peers of the notebook layer in memory: a run that is fed with events, a cluster that makes such runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from msgspec import Raw

from nbcluster.errors import EngineErrors, RemoteError, TaskCancelled, UnknownCluster
from nbcluster.ids import CellId, EngineNumber, Incarnation, TaskId
from nbcluster.protocol.messages import (
    Cancelled,
    ClusterStatus,
    EngineStatus,
    InputWanted,
    Raised,
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


class MemoryRun:
    """A run that takes its events from a test. Each is given once, past ones to listeners too."""

    def __init__(self, engines: Sequence[int], *, single: bool = False) -> None:
        self.cell = CELL
        self.places = places(*engines)
        self.single = single
        self.future: Future[Any] = Future()
        self.sent_input: list[tuple[TaskId, str]] = []
        self.cancelled: list[str] = []
        self.abandoned = False
        self.on_cancel: Callable[[], None] = lambda: None
        self._past: list[Any] = []
        self._given = 0
        self._listeners: list[Callable[[Any, Sequence[memoryview]], None]] = []
        self._changed = threading.Condition()
        self._open = {place.task for place in self.places}
        self._outcomes: dict[int, Any] = {}

    def feed(self, *events: Any) -> None:
        with self._changed:
            for event in events:
                self._past.append(event)
                if isinstance(event, TaskDone):
                    self._open.discard(event.task)
                    self._outcomes[event.engine or 0] = event.outcome
            if not self._open and not self.future.done():
                self._settle()
            self._changed.notify_all()
            listeners = list(self._listeners)
        for event in events:
            for listener in listeners:
                listener(event, ())

    def _settle(self) -> None:
        errors: dict[int, Exception] = {}
        for engine, outcome in self._outcomes.items():
            match outcome:
                case Raised():
                    errors[engine] = RemoteError(outcome.ename, outcome.evalue, outcome.traceback, engine)
                case Cancelled():
                    errors[engine] = TaskCancelled(outcome.reason)
        if errors and self.single:
            self.future.set_exception(next(iter(errors.values())))
        elif errors:
            self.future.set_exception(EngineErrors(f"{len(errors)} engines failed", errors))
        else:
            self.future.set_result(None if self.single else dict.fromkeys(self._outcomes))

    def events(self, tick: float = 0.1) -> Iterator[Any]:
        while True:
            with self._changed:
                if self._given == len(self._past):
                    if not self._open:
                        return
                    self._changed.wait(tick)
                fresh = self._past[self._given :]
                self._given = len(self._past)
            if not fresh:
                yield None
            for event in fresh:
                yield event, ()

    def listen(self, callback: Callable[[Any, Sequence[memoryview]], None]) -> None:
        with self._changed:
            past = list(self._past)
            self._listeners.append(callback)
        for event in past:
            callback(event, ())

    def send_input(self, task: TaskId, value: str) -> None:
        self.sent_input.append((task, value))

    def cancel(self, reason: str = "cancelled by its owner") -> None:
        self.cancelled.append(reason)
        self.on_cancel()

    def abandon(self) -> None:
        self.abandoned = True


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

    def send_cell(self, **order: Any) -> MemoryRun:
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

    def complete(self, code: str, cursor_pos: int, targets: str = "", timeout: float = 0.3) -> dict[str, Any]:
        self.asked.append(("complete", (code, cursor_pos, targets, timeout)))
        return self.reply

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

    def current(self) -> MemoryCluster:
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
        return self.known.setdefault(options["name"], MemoryCluster(options["name"], engines=n or 1))

    def running(self) -> list[Any]:
        return [cluster.status() for cluster in self.known.values()]

    def forget(self, name: str) -> None:
        self.known.pop(name, None)


def finished_run(engines: Sequence[int], *events: Any, single: bool = False) -> MemoryRun:
    run = MemoryRun(engines, single=single)
    run.feed(*events, *(done(engine) for engine in engines if not _has_end(events, engine)))
    return run


def _has_end(events: Sequence[Any], engine: int) -> bool:
    return any(isinstance(event, TaskDone) and event.engine == engine for event in events)
