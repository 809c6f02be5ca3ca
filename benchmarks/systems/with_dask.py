"""Drives dask.distributed: a LocalCluster of processes with one thread each. It runs functions, not cells."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from functools import partial
from typing import Any

from benchmarks import work
from benchmarks.systems.graphs import Layers, layered, reduced


class Driver:
    """A LocalCluster and its client, without the dashboard."""

    name = "dask"
    module = "distributed"

    def start(self, n: int, **options: Any) -> None:
        from distributed import Client, LocalCluster

        self.cluster = LocalCluster(
            n_workers=n,
            processes=True,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=50,
            **options,
        )
        self.client = Client(self.cluster)
        self.client.wait_for_workers(n, timeout=120)
        self.workers = list(self.client.scheduler_info(n_workers=-1)["workers"])

    def start_apart(self, n: int, *, encrypted: bool) -> None:
        if not encrypted:
            self.start(n, protocol="tcp://")
            return
        from distributed import Security

        key, certificate = _certificate()
        roles = ("client", "scheduler", "worker")
        files = {
            f"tls_{role}_{kind}": file
            for role in roles
            for kind, file in (("key", key), ("cert", certificate))
        }
        security = Security(require_encryption=True, tls_ca_file=certificate, **files)
        self.start(n, protocol="tls://", security=security)

    def do_nothing(self, engines: int) -> None:
        futures = [
            self.client.submit(work.nothing, workers=[worker], pure=False)
            for worker in self.workers[:engines]
        ]
        self.client.gather(futures)

    def stop(self) -> None:
        self.client.close()
        self.cluster.close()

    def add(self, n: int) -> None:
        wanted = len(self.workers) + n
        self.cluster.scale(wanted)
        self.client.wait_for_workers(wanted, timeout=120)
        self.workers = list(self.client.scheduler_info(n_workers=-1)["workers"])

    def kill_delay(self) -> float:
        pids = self.client.run(os.getpid)
        known = set(pids)
        begun = time.perf_counter()
        os.kill(next(iter(pids.values())), signal.SIGKILL)
        while True:
            fresh = [
                address
                for address in self.client.scheduler_info(n_workers=-1)["workers"]
                if address not in known
            ]
            if fresh:
                self.client.submit(work.nothing, workers=fresh, pure=False).result()
                return time.perf_counter() - begun
            time.sleep(0.005)

    def submit(self, count: int) -> list[Any]:
        return [self.client.submit(work.nothing, pure=False) for _ in range(count)]

    def gather(self, handles: list[Any]) -> list[Any]:
        return self.client.gather(handles)

    def submit_naps(self, count: int, seconds: float) -> list[Any]:
        return [self.client.submit(work.nap, seconds, pure=False) for _ in range(count)]

    def make(self, items: int) -> Any:
        from distributed import wait

        made = self.client.submit(work.make, items, workers=self.workers[:1], pure=False)
        wait([made])
        return made

    def bring(self, made: Any) -> Any:
        return made.result()

    def use_elsewhere(self, made: Any) -> float:
        return self.client.submit(work.last, made, workers=self.workers[1:2], pure=False).result()

    def spread(self, array: Any) -> None:
        from distributed import wait

        self.spread_one = self.client.scatter(array, broadcast=True, hash=False)
        wait([self.spread_one])

    def scatter(self, array: Any) -> Any:
        import numpy
        from distributed import wait

        parts = numpy.array_split(array, len(self.workers))
        sent = [
            self.client.scatter(part, workers=[worker], hash=False)
            for part, worker in zip(parts, self.workers, strict=True)
        ]
        wait(sent)
        return sent

    def gather_parts(self, parts: Any) -> Any:
        import numpy

        return numpy.concatenate(self.client.gather(parts))

    def compute_array(self, rows: int, columns: int) -> float:
        return float(work.array_of_chunks(rows, columns).compute(scheduler=self.client))

    graph_ways = ("submit", "get")

    def chain(self, way: str, count: int) -> int:
        planned = _Planned()
        submit, last = planned.add if way == "get" else self._submit, 0
        for _ in range(count):
            last = submit(work.plus_one, last)
        return self.client.get(planned.tasks, last) if way == "get" else last.result()

    def tree(self, way: str, numbers: range) -> int:
        if way == "get":
            planned = _Planned()
            return self.client.get(planned.tasks, reduced(partial(planned.add, work.add), numbers))
        return reduced(partial(self._submit, work.add), numbers).result()

    def dag(self, way: str, layers: Layers) -> list[int]:
        if way == "get":
            planned = _Planned()
            ends = layered(partial(planned.add, work.mix), layers)
            return list(self.client.get(planned.tasks, ends))
        return self.client.gather(layered(partial(self._submit, work.mix), layers))

    def _submit(self, *call: Any) -> Any:
        return self.client.submit(*call, pure=False)


class _Planned:
    """A graph of Dask that is put together task by task."""

    def __init__(self) -> None:
        self.tasks: dict[str, Any] = {}

    def add(self, *call: Any) -> str:
        name = f"task-{len(self.tasks)}"
        self.tasks[name] = call
        return name


def _certificate() -> tuple[str, str]:
    """Make a key and a certificate that is signed with it; return their files."""
    directory = tempfile.mkdtemp()
    key, certificate = f"{directory}/key.pem", f"{directory}/cert.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            *curve,
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            "-days",
            "1",
            "-subj",
            "/CN=x",
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate
