"""The blocking API's one thread: what it refuses, and what it says when a wait is long or given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nbcluster.client import portal as module
from nbcluster.client import raising
from nbcluster.client.futures import Future
from nbcluster.client.portal import portal
from nbcluster.errors import UsageError


async def answer(value: Any) -> Any:
    return value


async def for_ever() -> None:
    await asyncio.Event().wait()


def test_work_is_done_on_its_thread_and_its_value_comes_back() -> None:
    assert portal().call(answer(3)) == 3


def test_the_blocking_api_on_the_io_thread_is_refused_and_not_waited_for() -> None:
    async def inside() -> Any:
        return portal().call(answer(3))

    with pytest.raises(
        UsageError, match=r"called on nbcluster's own I/O thread.*another thread, or use AsyncCluster there"
    ):
        portal().call(inside(), timeout=5)
    assert portal().call(answer("goes on")) == "goes on"


def test_a_wait_that_is_given_up_says_for_what_and_ends_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[bool] = []

    async def work() -> None:
        try:
            await for_ever()
        finally:
            ended.append(True)

    monkeypatch.setattr(module, "SAY_AFTER", 0.01)
    with pytest.raises(TimeoutError, match=r"gave up after waiting 0.05 s for engine 2"):
        portal().call(work(), timeout=0.05, waiting=lambda: "engine 2")
    assert portal().call(answer(1)) == 1
    assert ended == [True]
    assert capsys.readouterr().err == "nbcluster: waiting for engine 2\n"


def test_an_error_that_looks_like_a_timeout_is_the_works_own() -> None:
    async def fails() -> None:
        raise TimeoutError("of the work")

    with pytest.raises(TimeoutError, match="of the work"):
        portal().call(fails(), timeout=5)


def test_errors_of_pythons_own_classes_are_prepared_before_they_are_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[BaseException] = []
    monkeypatch.setattr(raising, "before_raise", [seen.append])

    async def missing() -> None:
        raise KeyError("x")

    async def refused() -> None:
        raise UsageError("not so")

    with pytest.raises(KeyError) as missed:
        portal().call(missing())
    with pytest.raises(TimeoutError) as late:
        Future().result(0.01)
    with pytest.raises(UsageError):
        portal().call(refused())
    assert seen == [missed.value, late.value]
