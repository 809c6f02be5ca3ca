"""GPUs are handed out to engines, come back with them, and are never shared."""

from __future__ import annotations

import pytest

from nbcluster.core.effects import StartEngine, TellRefused
from nbcluster.core.inputs import Add, Remove, Restart
from nbcluster.protocol.messages import KernelSpecRef
from nbcluster.testing.simulation import Simulation

FOUR = KernelSpecRef(gpus=("0", "1", "GPU-ab", "3"), gpus_per_engine=1, env={"MINE": "7"})


@pytest.fixture
def sim() -> Simulation:
    return Simulation()


def gpus_of(sim: Simulation) -> dict[int, tuple[str, ...]]:
    return {number: engine.spec.gpus for number, engine in sim.scheduler.engines.items()}


def test_each_engine_has_its_own_and_sees_no_other(sim: Simulation) -> None:
    sim.step(Add(2, FOUR))
    assert gpus_of(sim) == {0: ("0",), 1: ("1",)}
    sim.expect(StartEngine, engine=0).expect(StartEngine, engine=1)
    assert sim.scheduler.engines[1].spec.env == {"MINE": "7", "CUDA_VISIBLE_DEVICES": "1"}


def test_those_of_a_removed_engine_are_free_and_those_of_a_restarted_one_stay(sim: Simulation) -> None:
    sim.step(Add(2, FOUR))
    sim.ready(0).ready(1).step(Remove((0,)))
    sim.lose(0, "exited with code 0")
    sim.step(Restart((1,), "restarted"))
    sim.lose(1, "exited with code 0")
    sim.step(Add(1, KernelSpecRef(gpus=FOUR.gpus, gpus_per_engine=3)))
    assert gpus_of(sim) == {0: ("0", "GPU-ab", "3"), 1: ("1",)}


def test_more_than_are_free_is_refused_and_nothing_is_started(sim: Simulation) -> None:
    sim.step(Add(3, FOUR))
    sim.forget()
    sim.step(Add(2, FOUR))
    sim.expect(TellRefused, error="UsageError").and_nothing_else()
    assert len(sim.scheduler.engines) == 3
    sim.step(Add(1, KernelSpecRef()))
    assert gpus_of(sim)[3] == ()
