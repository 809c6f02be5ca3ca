"""Drives nbcluster through its public API."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import work
from benchmarks.systems.graphs import Layers, layered, reduced


class Driver:
    """nbcluster's local launcher."""

    name = "nbcluster"
    module = "nbcluster"

    def start(self, n: int) -> None:
        from nbcluster import Cluster

        self.cluster = Cluster(n, name=f"benchmark-{os.getpid()}", timeout=60)
        self.engines = n
        self.views: dict[int, Any] = {}

    def start_apart(self, n: int, *, encrypted: bool) -> None:
        os.environ["NBCLUSTER_TRANSPORT"], os.environ["NBCLUSTER_SHARED"] = "tcp", "off"
        os.environ["NBCLUSTER_ENCRYPTION"] = "always" if encrypted else ""
        self.start(n)

    def do_nothing(self, engines: int) -> None:
        if engines not in self.views:
            self.views[engines] = self.cluster[0] if engines == 1 else self.cluster[:engines]
        self.views[engines].execute("pass")

    def stop(self) -> None:
        self.cluster.stop(force=True)

    def add(self, n: int) -> None:
        self.engines += n
        self.cluster.scale(self.engines)
        self.cluster.wait_for_engines(self.engines, timeout=60)

    def print_delay(self, code: str) -> float:
        run = self.cluster.send_cell(code=code, targets="0")
        (arrived, text), *_ = _texts(run)  # the line end may come on its own
        return arrived - float(text)

    def interrupt_delay(self, code: str, patience: float) -> float | None:
        run = self.cluster.send_cell(code=code, targets="0", timeout=patience)
        sent = 0.0
        for _ in _texts(run):
            if not sent:
                sent = time.perf_counter()
                self.cluster.interrupt(0)
        took = time.perf_counter() - sent
        return took if took < patience else None

    def remember(self, value: int) -> None:
        self.cluster[0].execute(f"kept = {value}")

    def recall(self) -> int | None:
        result = self.cluster[0].execute("print(globals().get('kept'))")
        return None if result.stdout.strip() == "None" else int(result.stdout)

    def kill_delay(self) -> float:
        from nbcluster.errors import EngineLost

        before = self.cluster.engines[0].pid
        begun = time.perf_counter()
        os.kill(before, signal.SIGKILL)
        while True:
            try:
                answer = self.cluster[0].execute("import os; print(os.getpid())", check=True).stdout.split()
            except EngineLost:
                continue  # the cell was on its way to the engine that died
            if answer and answer[-1].isdigit() and int(answer[-1]) != before:
                return time.perf_counter() - begun

    def submit(self, count: int) -> list[Any]:
        return [self.cluster.submit(work.nothing) for _ in range(count)]

    def gather(self, handles: list[Any]) -> list[Any]:
        return [future.result() for future in handles]

    def hold(self, engines: int, path: str) -> list[Any]:
        return [self.cluster.submit(work.hold, path) for _ in range(engines)]

    def submit_naps(self, count: int, seconds: float) -> list[Any]:
        return [self.cluster.submit(work.nap, seconds) for _ in range(count)]

    def set_and_get(self, value: int) -> int:
        view = self.cluster[0]
        view["variable"] = value
        return view["variable"]

    def map_squares(self, count: int) -> int:
        return sum(self.cluster.map(work.square, range(count)))

    def pids(self) -> dict[str, list[int]]:
        status = self.cluster.status()
        engines = [engine.pid for engine in status.engines if engine.state in ("idle", "busy", "ready")]
        return {"client": [os.getpid()], "controller": [status.pid], "engine": engines}

    def cancel_running(self, path: str) -> float:
        future = self.cluster.submit(work.spin, path)
        while not Path(path).exists():
            time.sleep(0.001)
        begun = time.perf_counter()
        assert future.cancel(timeout=30), f"an endless call was not cancelled: {future!r}"
        return time.perf_counter() - begun

    def spread(self, array: Any) -> None:
        self.cluster[:]["spread"] = array

    def make(self, items: int) -> Any:
        made = self.cluster.options(on=0).submit(work.make, items)
        made.exception()
        return made

    def bring(self, made: Any) -> Any:
        return made.result()

    def use_elsewhere(self, made: Any) -> float:
        return self.cluster.options(on=1).submit(work.last, made).result()

    def keep(self, items: int) -> None:
        self.cluster[0].execute(f"import numpy; kept = numpy.ones({items})", check=True)

    def pull(self) -> Any:
        return self.cluster[0]["kept"]

    def share_from(self, nbytes: int) -> None:
        from nbcluster.client import packing
        from nbcluster.transport import sharedmem

        sharedmem.SHARED_FROM = packing.SHARED_FROM = nbytes
        there = f"from nbcluster.transport import sharedmem; sharedmem.SHARED_FROM = {nbytes}"
        self.cluster[:].execute(there, check=True)

    def use_here(self, array: Any) -> float:
        return self.cluster.options(on=0).submit(work.last, array).result()

    def return_array(self, items: int) -> Any:
        return self.cluster.options(on=0).submit(work.make, items).result()

    def scatter(self, array: Any) -> Any:
        self.cluster[:].scatter("part", array)
        return "part"

    def gather_parts(self, parts: Any) -> Any:
        return self.cluster[:].gather(parts)

    def compute_array(self, rows: int, columns: int) -> float:
        return float(work.array_of_chunks(rows, columns).compute(scheduler=self.cluster.get))

    graph_ways = ("submit", "graph")

    def _in_way(self, way: str, make: Any) -> Any:
        """Submit calls one by one, or all at the end of the block of a graph; return what `make` returns."""
        if way == "submit":
            return make(self.cluster.submit)
        with self.cluster.graph() as graph:
            return make(graph.submit)

    def chain(self, way: str, count: int) -> int:
        def links(submit: Any) -> Any:
            last: Any = 0
            for _ in range(count):
                last = submit(work.plus_one, last)
            return last

        return self._in_way(way, links).result()

    def tree(self, way: str, numbers: range) -> int:
        return self._in_way(way, lambda submit: reduced(partial(submit, work.add), numbers)).result()

    def dag(self, way: str, layers: Layers) -> list[int]:
        ends = self._in_way(way, lambda submit: layered(partial(submit, work.mix), layers))
        return [end.result() for end in ends]

    def grid_search(self) -> float:
        with self.cluster.joblib():
            return work.search()


def _texts(run: Any) -> Iterator[tuple[float, str]]:
    """Yield (epoch seconds of arrival, text) of what is printed, until the cell has ended."""
    for item in run.events():
        now = time.time()
        event = item and item[0]  # None is a tick
        if getattr(event, "msg_type", "") == "stream":
            yield now, json.loads(bytes(event.content))["text"]
