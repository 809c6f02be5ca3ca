"""An array of 256 MB brought to four engines of this host, beside plain copies of it."""

from __future__ import annotations

import os
import time
from statistics import median

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.processes import cpu_seconds
from benchmarks.systems.base import System
from benchmarks.systems.values import SpreadsArrays

ITEMS = 32 << 20
ENGINES = 4
LATER = 6


def run(system: System, run_id: str) -> Samples:
    """Bring another array each time; between them measure what copying costs in this very moment.

    A small one is brought before, so that every engine has loaded numpy. The second follows the first when the plain
    copies were measured, about half a second later.
    """
    import numpy

    assert isinstance(system, SpreadsArrays)
    system.start(ENGINES)
    array = numpy.arange(ITEMS, dtype="f8")
    warm = numpy.zeros_like(array)
    system.spread(array[:1000])
    fresh = [_write_fresh(array)]
    begun = time.perf_counter()
    system.spread(array)
    first = time.perf_counter() - begun
    fresh.append(_write_fresh(array))
    walls, cpus, copies, warm_copies = [], [], [], []
    for turn in range(LATER + 1):
        begun = time.perf_counter()
        numpy.copyto(warm, array)
        warm_copies.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        copy = array.copy()
        copies.append(time.perf_counter() - begun)
        del copy
        array[0] = array[-1] = turn
        before = cpu_seconds(run_id)
        begun = time.perf_counter()
        system.spread(array)
        walls.append((time.perf_counter() - begun) * 1000)
        cpus.append((cpu_seconds(run_id) - before) * 1000)
    second = walls.pop(0) / 1000
    fresh.append(_write_fresh(array))
    system.stop()
    return {
        "first_ms": [first * 1000],
        "second_ms": [second * 1000],
        "later_ms": walls,
        "later_cpu_ms": [sum(cpus[1:]) / LATER],
        "warm_copy_ms": [each * 1000 for each in warm_copies],
        "write_ms": [each * 1000 for each in fresh],
        "first_of_write": [first / median(fresh)],
        "second_of_warm": [second / median(warm_copies)],
        "second_of_copy": [second / median(copies)],
        "later_of_warm": [median(walls) / 1000 / median(warm_copies)],
        "later_of_copy": [median(walls) / 1000 / median(copies)],
    }


def _write_fresh(array: object) -> float:
    """Seconds of writing the same bytes to a new file in memory."""
    path = f"/dev/shm/benchmark-{os.getpid()}"  # where POSIX shared memory is
    begun = time.perf_counter()
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        view = memoryview(array).cast("B")  # type: ignore[arg-type]  # an array is a buffer
        while view:
            view = view[os.write(fd, view) :]
        return time.perf_counter() - begun
    finally:
        os.close(fd)
        os.unlink(path)


MEASUREMENT = Measurement(
    "push256",
    "256 MB to 4 engines (ray: put, and get on 4 workers; dask: scatter with broadcast)",
    SpreadsArrays,
    run,
    bars=(
        Bar("later pushes against array.copy()", "later_of_copy", 0.6),
        Bar("later pushes against a copy into warm memory", "later_of_warm", 1.5),
        Bar("the second push against array.copy()", "second_of_copy", 0.6),
        Bar("the second push against a copy into warm memory", "second_of_warm", 1.5),
        Bar("the first push against write() to a new file", "first_of_write", 1.2),
        Bar("later pushes, wall, against ray", "later_ms", 1.0, "ray"),
    ),
    rounds=3,
)
