"""A hundred thousand calls on many engines: shared evenly, through deaths, with nothing left behind."""

from __future__ import annotations

import pytest

from nbcluster.testing.many_calls import ManyCalls


@pytest.mark.parametrize(("engines", "deaths"), [(2, 0), (50, 20)])
def test_a_hundred_thousand_calls_in_flat_memory(engines, deaths):
    many = ManyCalls(engines, seconds=0.001)
    many.run(10_000, outstanding=5000, deaths=deaths // 4)
    size = many.size()
    many.run(90_000, outstanding=5000, deaths=deaths)
    assert many.done == 100_000
    assert not many.scheduler.calls
    assert many.largest <= 5000 + 1000
    assert many.size() <= size * 1.1


def test_graphs_on_a_thousand_engines_leave_nothing_behind():
    many = ManyCalls(1000, seconds=0.001, trees=True)
    many.run(20_000, outstanding=5000, deaths=5)
    size = many.size()
    many.run(30_000, outstanding=5000, deaths=5)
    assert many.done == 50_000
    assert not many.scheduler.calls
    assert many.largest <= 2 * 5000  # also those that ended and that others still take
    assert many.size() <= size * 1.1


@pytest.mark.parametrize("seconds", [0.0001, 0.01, 1.0])
def test_the_work_is_shared_and_no_engine_idles_while_another_has_much_to_do(seconds):
    engines, calls = 16, 4000
    many = ManyCalls(engines, seconds)
    many.run(calls, outstanding=calls)
    assert set(many.ran) == set(range(engines))
    best = calls * seconds / engines
    assert many.now <= best * 1.1 + 0.1 + 2 * seconds
