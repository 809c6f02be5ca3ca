"""Drives concurrent.futures.ProcessPoolExecutor: what functions in processes cost with nothing around them."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from benchmarks import work
from benchmarks.chunks import chunksize


class Driver:
    """A pool whose workers are there before they are used."""

    name = "processpool"
    module = "concurrent.futures"

    def start(self, n: int) -> None:
        self.pool = ProcessPoolExecutor(n)
        self.do_nothing(n)

    def do_nothing(self, engines: int) -> None:
        # A call each would start as many workers as there are calls, if they come quickly enough.
        self.gather([self.pool.submit(work.nap, 0.01) for _ in range(engines)])

    def stop(self) -> None:
        self.pool.shutdown()

    def submit(self, count: int) -> list[Future[None]]:
        return [self.pool.submit(work.nothing) for _ in range(count)]

    def gather(self, handles: list[Future[Any]]) -> list[Any]:
        return [future.result() for future in handles]

    def hold(self, engines: int, path: str) -> list[Future[int]]:
        return [self.pool.submit(work.hold, path) for _ in range(engines)]

    def map_squares(self, count: int) -> int:
        return sum(self.pool.map(work.square, range(count), chunksize=chunksize(count)))

    def pids(self) -> dict[str, list[int]]:
        children = [process.pid for process in multiprocessing.active_children()]
        return {"client": [os.getpid()], "engine": [pid for pid in children if pid is not None]}
