"""The gate, and whom an interrupt may hit."""

from __future__ import annotations

import pytest

from nbcluster.engine.gate import Gate
from nbcluster.engine.interrupts import REMEMBERED, Interrupts


def test_the_gate_is_closed_until_the_outermost_cell_ends() -> None:
    gate = Gate()
    assert not gate.closed
    with gate.cell():
        with pytest.raises(ValueError, match="x"), gate.cell():
            raise ValueError("x")
        assert gate.closed
    assert not gate.closed


class Main:
    """A main thread: what its handler would do with each signal."""

    def __init__(self) -> None:
        self.interrupts = Interrupts()
        self.signals = 0

    def send(self) -> None:
        self.signals += 1


def test_an_aim_hits_the_running_cell_once() -> None:
    main = Main()
    main.interrupts.begin("a")
    assert main.interrupts.aim("a", main.send)
    assert main.interrupts.is_unheard()
    assert main.interrupts.is_hit()
    assert not main.interrupts.is_unheard()
    assert main.signals == 1


def test_a_signal_that_arrives_in_the_next_cell_misses_it() -> None:
    main = Main()
    main.interrupts.begin("a")
    main.interrupts.aim("a", main.send)
    main.interrupts.running = "b"  # as the handler would see it if the signal were slow
    assert not main.interrupts.is_hit()


def test_an_aim_at_what_ended_sends_nothing_and_is_forgotten() -> None:
    main = Main()
    main.interrupts.begin("a")
    main.interrupts.end()
    assert not main.interrupts.aim("a", main.send)
    main.interrupts.begin("a")
    assert not main.interrupts.take_pending()
    assert main.signals == 0


def test_an_aim_that_was_not_heard_does_not_outlive_its_cell() -> None:
    main = Main()
    main.interrupts.begin("a")
    main.interrupts.aim("a", main.send)
    main.interrupts.end()
    assert not main.interrupts.is_unheard()
    main.interrupts.begin("b")
    assert not main.interrupts.is_unheard()
    assert main.interrupts.is_hit(), "a plain signal from outside means what runs"


def test_an_aim_at_what_has_not_come_is_pending_when_it_comes() -> None:
    main = Main()
    main.interrupts.begin("a")
    assert not main.interrupts.aim("b", main.send)
    assert not main.interrupts.take_pending()
    main.interrupts.end()
    main.interrupts.begin("b")
    assert main.interrupts.take_pending()
    assert not main.interrupts.take_pending()
    assert main.signals == 0


def test_what_is_remembered_is_bounded() -> None:
    main = Main()
    for number in range(REMEMBERED + 1):
        main.interrupts.aim(f"never {number}", main.send)
    main.interrupts.begin("never 0")
    assert not main.interrupts.take_pending()
    main.interrupts.begin("never 1")
    assert main.interrupts.take_pending()


def test_an_interrupt_of_anything_hits_also_beside_an_aim_at_something_else() -> None:
    main = Main()
    main.interrupts.begin("a")
    main.interrupts.aim("a", main.send)
    main.interrupts.aim_at_any()
    main.interrupts.running = "b"
    assert main.interrupts.is_hit()


def test_a_postponed_interrupt_is_taken_once_and_ends_with_its_cell() -> None:
    main = Main()
    main.interrupts.begin("a")
    main.interrupts.postpone()
    main.interrupts.end()
    main.interrupts.begin("b")
    assert not main.interrupts.take_pending()
    main.interrupts.postpone()
    assert main.interrupts.take_pending()
    assert not main.interrupts.take_pending()
