"""Small calls that need each other: a chain, a tree, a random graph in layers. Each system is asked in all its ways."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks import work
from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.graphs import Layers, RunsGraphs, layered

LINKS = 1_000
NUMBERS = range(10_000)
WIDTH, DEPTH, FAN_IN = 100, 50, 3
TURNS = 3


def random_layers() -> Layers:
    """Return the same graph each time: the first layer takes a number each."""
    chance = random.Random(3)
    first: list[tuple[int, ...]] = [(i,) for i in range(WIDTH)]
    return [first] + [
        [tuple(chance.sample(range(WIDTH), FAN_IN)) for _ in range(WIDTH)] for _ in range(DEPTH - 1)
    ]


def chain(system: RunsGraphs, way: str) -> Any:
    """Run the chain."""
    return system.chain(way, LINKS)


def tree(system: RunsGraphs, way: str) -> Any:
    """Run the tree."""
    return system.tree(way, NUMBERS)


def dag(layers: Layers, system: RunsGraphs, way: str) -> Any:
    """Run the random graph."""
    return system.dag(way, layers)


def run(graph: Callable[[RunsGraphs, str], Any], wanted: Any, system: System, run_id: str) -> Samples:
    """Run it a few times in each way; the first time of each warms up. `total_s` is of the system's best way."""
    assert isinstance(system, RunsGraphs)
    system.start(2)
    samples: Samples = {}
    for way in system.graph_ways:
        walls = []
        for _ in range(TURNS + 1):
            begun = time.perf_counter()
            found = graph(system, way)
            walls.append(time.perf_counter() - begun)
            assert found == wanted, f"{way} came to {found!r:.100}"
        samples[f"{way}_s"] = walls[1:]
    system.stop()
    return {"total_s": min(samples.values(), key=median), **samples}


def measurement(name: str, title: str, factor: int, graph: Callable[..., Any], wanted: Any) -> Measurement:
    """Return the measurement of one graph, which must be so many times as fast as the peers'."""
    return Measurement(
        name,
        f"{title}, 2 engines; total is the best way",
        RunsGraphs,
        partial(run, graph, wanted),
        bars=tuple(
            Bar(f"{title}, wall, against {peer} ({factor} times)", "total_s", 1 / factor, peer)
            for peer in ("ray", "dask")
        ),
    )


LAYERS = random_layers()

CHAIN = measurement("chain", f"a chain of {LINKS:,} no-op calls", 20, chain, LINKS)
TREE = measurement(
    "tree",
    f"a binary tree that adds {len(NUMBERS):,} numbers, {len(NUMBERS) - 1:,} calls",
    8,
    tree,
    sum(NUMBERS),
)
DAG = measurement(
    "dag",
    f"a random graph of {WIDTH * DEPTH:,} calls in {DEPTH} layers, {FAN_IN} inputs each",
    8,
    partial(dag, LAYERS),
    layered(work.mix, LAYERS),
)
