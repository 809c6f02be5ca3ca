"""Drives ray: a local node with one actor for each engine. It runs methods, not cells."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks import work
from benchmarks.systems.graphs import Layers, layered, reduced


class Driver:
    """A ray node of this host, without the dashboard."""

    name = "ray"
    module = "ray"

    def start(self, n: int) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
        import ray

        self.ray: Any = ray
        ray.init(num_cpus=n, include_dashboard=False, log_to_driver=False, logging_level="error")

        class Engine:
            def nothing(self) -> None:
                """Do what a cell of `pass` does."""

            def set(self, value: int) -> None:
                """Keep a value."""
                self.value = value

            def get(self) -> int:
                """Return it."""
                return self.value

            def make(self, items: int) -> None:
                """Keep an array."""
                self.value = work.make(items)

        self.engine = ray.remote(num_cpus=0)(Engine)
        self.nothing, self.nap, self.spin = map(ray.remote, (work.nothing, work.nap, work.spin))
        self.plus_one, self.plus, self.mix = map(ray.remote, (work.plus_one, work.add, work.mix))
        self.actors: list[Any] = []
        self.add(n)

    def do_nothing(self, engines: int) -> None:
        self.ray.get([actor.nothing.remote() for actor in self.actors[:engines]])

    def stop(self) -> None:
        self.ray.shutdown()

    def add(self, n: int) -> None:
        self.actors += [self.engine.remote() for _ in range(n)]
        self.do_nothing(len(self.actors))

    def submit(self, count: int) -> list[Any]:
        return [self.nothing.remote() for _ in range(count)]

    def gather(self, handles: list[Any]) -> list[Any]:
        return self.ray.get(handles)

    def submit_naps(self, count: int, seconds: float) -> list[Any]:
        return [self.nap.remote(seconds) for _ in range(count)]

    def set_and_get(self, value: int) -> int:
        actor = self.actors[0]
        self.ray.get(actor.set.remote(value))
        return self.ray.get(actor.get.remote())

    def cancel_running(self, path: str) -> float:
        sent = self.spin.remote(path)
        while not Path(path).exists():
            time.sleep(0.001)
        begun = time.perf_counter()
        self.ray.cancel(sent)
        try:
            self.ray.get(sent)
        except self.ray.exceptions.TaskCancelledError:
            return time.perf_counter() - begun
        raise AssertionError("an endless call returned")

    def spread(self, array: Any) -> None:
        reference = self.ray.put(array)
        look = self.ray.remote(work.last)
        self.ray.get([look.remote(reference) for _ in self.actors])

    def keep(self, items: int) -> None:
        self.ray.get(self.actors[0].make.remote(items))

    def pull(self) -> Any:
        return self.ray.get(self.actors[0].get.remote())

    def make(self, items: int) -> Any:
        made = self.ray.remote(work.make).remote(items)
        self.ray.wait([made], fetch_local=False)
        return made

    def bring(self, made: Any) -> Any:
        return self.ray.get(made)

    def use_elsewhere(self, made: Any) -> float:
        return self.ray.get(self.ray.remote(work.last).remote(made))

    graph_ways = ("remote",)

    def chain(self, way: str, count: int) -> int:
        last: Any = 0
        for _ in range(count):
            last = self.plus_one.remote(last)
        return self.ray.get(last)

    def tree(self, way: str, numbers: range) -> int:
        return self.ray.get(reduced(self.plus.remote, numbers))

    def dag(self, way: str, layers: Layers) -> list[int]:
        return self.ray.get(layered(self.mix.remote, layers))
