"""A line that counts: where somebody looks, and nowhere else."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from nbcluster import gather, progress
from nbcluster.client import progress as lines
from nbcluster.client.futures import Future
from nbcluster.errors import UsageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Put a terminal in the place of stderr; within a test, since pytest puts its own there when one begins."""
    monkeypatch.delenv(lines.VARIABLE, raising=False)

    def put() -> Terminal:
        made = Terminal()
        monkeypatch.setattr(sys, "stderr", made)
        return made

    return put


def ended(count: int) -> list[Future]:
    futures = [Future() for _ in range(count)]
    for number, future in enumerate(futures):
        future.set_result(number)
    return futures


def test_a_terminal_is_shown_how_many_have_ended(show: Callable[[], Terminal]) -> None:
    terminal = show()
    assert progress(ended(3))[2].result() == 2
    assert "3/3" in terminal.getvalue()


def test_failures_are_counted(show: Callable[[], Terminal]) -> None:
    terminal = show()
    futures = ended(2)
    broken = Future()
    broken.set_exception(ValueError("no"))
    progress([*futures, broken])
    assert "1 failed" in terminal.getvalue()


@pytest.mark.parametrize(("wanted", "shown"), [("off", False), ("on", True), ("auto", True), ("", True)])
def test_the_variable_says_whether_it_is_shown(
    show: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch, wanted: str, shown: bool
) -> None:
    terminal = show()
    monkeypatch.setenv(lines.VARIABLE, wanted)
    progress(ended(3))
    assert bool(terminal.getvalue()) is shown


def test_a_variable_that_says_nothing_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lines.VARIABLE, "maybe")
    with pytest.raises(UsageError, match="NBCLUSTER_PROGRESS='maybe' cannot be: it is auto, on or off"):
        progress(ended(1))


def test_without_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    progress(ended(3))
    assert capsys.readouterr().err == ""


def test_a_short_gather_shows_nothing(show: Callable[[], Terminal]) -> None:
    terminal = show()
    assert gather(ended(100)) == list(range(100))
    assert terminal.getvalue() == ""


def test_a_long_gather_shows_how_far_it_is(
    show: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = show()
    monkeypatch.setattr(lines.watch, "__kwdefaults__", {"delay": 0.0, "fail_fast": False})
    late = Future()
    futures = [*ended(2), late]
    threading.Timer(0.3, late.set_result, [7]).start()
    assert gather(futures) == [0, 1, 7]
    assert "3/3" in terminal.getvalue()


def test_a_map_counts_its_items(
    show: Callable[[], Terminal], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = show()
    from nbcluster.client.mapping import Map

    monkeypatch.setattr(lines.line.__wrapped__, "__kwdefaults__", {"delay": 0.0, "unit": "item"})
    maker = memory.peer.submission().map_maker(
        abs, (range(50),), chunksize=10, ordered=True, max_outstanding=None, return_exceptions=False
    )
    assert len(list(Map(maker))) == 50
    assert "map of abs" in terminal.getvalue()
    assert "50/50" in terminal.getvalue()
