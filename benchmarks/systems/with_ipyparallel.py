"""Drives ipyparallel: its controller (hub and schedulers) and its local engines."""

from __future__ import annotations

import signal
import time
from typing import Any

from benchmarks import work
from benchmarks.chunks import chunksize


class Driver:
    """An ipyparallel cluster with its default local launchers."""

    name = "ipyparallel"
    module = "ipyparallel"

    def start(self, n: int) -> None:
        import ipyparallel

        self.cluster = ipyparallel.Cluster(n=n, log_level=40)
        self.client = self.cluster.start_and_connect_sync(activate=False)
        self.client.wait_for_engines(n, timeout=120, interactive=False)

    def do_nothing(self, engines: int) -> None:
        self.client[list(range(engines))].execute("pass", block=True)

    def stop(self) -> None:
        self.client.close()
        self.cluster.stop_cluster_sync()

    def add(self, n: int) -> None:
        expected = len(self.client) + n
        self.cluster.start_engines_sync(n)
        self.client.wait_for_engines(expected, timeout=120, interactive=False)

    def print_delay(self, code: str) -> float:
        sent = self.client[[0]].execute(code, block=False)
        while not "".join(sent.stdout):
            time.sleep(0.0005)
        arrived = time.time()
        text = "".join(sent.stdout)
        sent.get()
        return arrived - float(text)

    def interrupt_delay(self, code: str, patience: float) -> float | None:
        if "await" in code:
            return None  # code is exec'ed: a top-level await is a syntax error
        sent = self.client[[0]].execute(code, block=False)
        while not "".join(sent.stdout):
            time.sleep(0.0005)
        begun = time.perf_counter()
        (engines,) = self.cluster.engines
        self.cluster.signal_engines_sync(signal.SIGINT, engines)
        sent.wait(patience)
        return time.perf_counter() - begun if sent.ready() else None

    def remember(self, value: int) -> None:
        self.client[[0]].execute(f"kept = {value}", block=True)

    def recall(self) -> int | None:
        from ipyparallel.error import RemoteError

        try:
            kept: int = self.client[0].pull("kept", block=True)
        except RemoteError:
            return None  # a NameError there
        return kept

    def submit(self, count: int) -> list[Any]:
        view = self.client.load_balanced_view()
        return [view.apply_async(work.nothing) for _ in range(count)]

    def gather(self, handles: list[Any]) -> list[Any]:
        return [handle.get() for handle in handles]

    def set_and_get(self, value: int) -> int:
        view = self.client[0]
        view.push({"variable": value}, block=True)
        return view.pull("variable", block=True)

    def map_squares(self, count: int) -> int:
        view = self.client.load_balanced_view()
        return sum(view.map_sync(work.square, range(count), chunksize=chunksize(count)))
