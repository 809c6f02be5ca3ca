"""Drives ray: a local node with one actor for each engine. It runs methods, not cells."""

from __future__ import annotations

import os
from typing import Any


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

        self.engine = ray.remote(num_cpus=0)(Engine)
        self.actors: list[Any] = []
        self.add(n)

    def do_nothing(self, engines: int) -> None:
        self.ray.get([actor.nothing.remote() for actor in self.actors[:engines]])

    def stop(self) -> None:
        self.ray.shutdown()

    def add(self, n: int) -> None:
        self.actors += [self.engine.remote() for _ in range(n)]
        self.do_nothing(len(self.actors))
