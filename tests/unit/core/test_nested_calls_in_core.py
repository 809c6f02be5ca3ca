"""An engine on which something waits: which calls it gets, and which it has to give back."""

from __future__ import annotations

import pytest

from nbcluster.core.inputs import EngineLends
from nbcluster.ids import EngineNumber
from nbcluster.testing.simulation import Simulation


@pytest.fixture
def sim():
    return Simulation()


def lend(sim, level, number=0):
    """The engine says what may run on top of what waits there."""
    incarnation, _ = sim._alive(number)
    sim.step(EngineLends(EngineNumber(number), incarnation, level))
    return sim


def test_an_engine_that_waits_gets_deeper_calls_alone(sim):
    sim.engines(1).call("outer").begin(0)
    lend(sim, 0).call("same").call("deep", level=1)
    assert sim.flight(0) == ["outer", "deep"]
    sim.begin(0)
    lend(sim, 1).call("deeper", level=2).call("deepest", level=3)
    assert sim.flight(0) == ["outer", "deep", "deeper", "deepest"]
    sim.give(0, "deeper").give(0, "deepest")
    lend(sim, 0).give(0, "deep")
    lend(sim, -1)
    assert sim.flight(0) == ["outer", "same"]


def test_what_was_sent_before_and_cannot_begin_is_taken_back(sim):
    sim.engines(1).call("outer", "next").begin(0)
    assert sim.flight(0) == ["outer", "next"]
    lend(sim, 0).give_back(0)
    assert sim.flight(0) == ["outer"]


def test_calls_with_time_limits_wait_and_are_waited_for(sim):
    sim.engines(1).call("outer", timeout=60).begin(0)
    lend(sim, 0).call("deep", level=1, timeout=60)
    assert sim.flight(0) == ["outer", "deep"]
    lend(sim, -1).give_back(0)
    assert sim.flight(0) == ["outer"]
    lend(sim, 0)
    assert sim.flight(0) == ["outer", "deep"]
    sim.give(0, "deep")
    lend(sim, -1).give(0, "outer")
    assert sim.flight(0) == []


def test_a_call_with_a_time_limit_that_cannot_begin_holds_no_deeper_one_back(sim):
    sim.engines(1).call("outer").begin(0).call("limited", timeout=60)
    lend(sim, 0).call("deep", "deep2", level=1)
    assert sim.flight(0) == ["outer", "deep", "deep2"]
