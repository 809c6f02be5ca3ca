"""Ten thousand cancels at random moments, through client, controller and engines: they hit what they name alone."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nbcluster import Cluster
from nbcluster.errors import TaskCancelled

CANCELS = 10_000
CLIENT_THREADS = 8
LONGEST = 0.004
"""Seconds between the submission of a call and its cancel, at most: some wait then, most run, many have ended."""


def quick(n: int) -> int:
    return n


def busy(n: int) -> int:
    for _ in range(3000):
        n += 0
    return n


def sleepy(n: int) -> int:
    time.sleep(0.0005)
    return n


async def awaiting(n: int) -> int:
    await asyncio.sleep(0.0003)
    return n


def cancel_many(shared: Cluster, seed: int, cancels: int) -> Counter[str]:
    """Submit calls and cancel half of them; return how they ended."""
    generator = random.Random(seed)  # moments, not secrets
    ends: Counter[str] = Counter()
    number = seed * 1_000_000
    while ends["asked"] < cancels:
        calls = []
        for _ in range(generator.randint(1, 6)):
            number += 1
            calls.append((number, shared.submit(generator.choice([quick, busy, sleepy, awaiting]), number)))
        chosen = [future for _, future in calls if generator.random() < 0.6]
        until = time.perf_counter() + generator.random() * LONGEST
        while time.perf_counter() < until:
            time.sleep(0)
        if generator.random() < 0.5:
            shared.cancel(chosen)
        else:
            for future in chosen:
                assert future.cancel(60) is future.cancelled()
        ends["asked"] += len(chosen)
        for expected, future in calls:
            try:
                assert future.result(60) == expected
                ends["returned"] += 1
            except TaskCancelled:
                assert future in chosen, f"{future!r} was cancelled, and nobody had asked for that"
                ends["cancelled"] += 1
                ends["interrupted"] += bool(future.record.seconds)
    return ends


@pytest.mark.timeout(400)
def test_ten_thousand_cancels_hit_no_other_task(shared: Cluster) -> None:
    over = threading.Event()

    def run_cells() -> int:
        cells = 0
        while not over.is_set():
            result: Any = shared[cells % 2].execute("sum(range(20_000))", check=True)
            assert result.value == 199_990_000
            cells += 1
        return cells

    with ThreadPoolExecutor(CLIENT_THREADS + 1) as pool:
        cells = pool.submit(run_cells)
        try:
            parts = [
                pool.submit(cancel_many, shared, seed, CANCELS // CLIENT_THREADS)
                for seed in range(CLIENT_THREADS)
            ]
            ends = sum((part.result() for part in parts), Counter[str]())
        finally:
            over.set()
        assert cells.result() > 10
    assert ends["asked"] >= CANCELS
    assert ends["cancelled"] > 1000, f"too few met a call that had not ended, this tests little: {ends}"
    assert ends["interrupted"] > 100, f"too few met a call that ran, this tests little: {ends}"
    assert ends["returned"] > 1000, ends
    assert [engine.starts for engine in shared.engines] == [1, 1]
    assert not shared.tasks(state="running")
