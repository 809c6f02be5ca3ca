"""An engine runs calls from the task channel, and says truly how they ended."""

from __future__ import annotations

from typing import Any

from task_router import value_of


def double(x: float) -> float:
    return 2 * x


def test_an_agent_says_hello_and_runs_calls_in_order(calling: Any) -> None:
    hello = calling.tasks.hello()
    assert (hello.pid, hello.incarnation) == (calling.pid, 7)
    refs = calling.tasks.run_many([(double, (number,), {}) for number in range(100)])
    results = calling.tasks.results(100)
    assert [(result.task, result.attempt) for result in results] == [(ref.task, ref.attempt) for ref in refs]
    assert [value_of(result) for result in results] == [2 * number for number in range(100)]
    calling.tasks.nothing_else()
