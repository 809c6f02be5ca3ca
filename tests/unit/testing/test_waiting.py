"""Stories of a wait: it returns the fact, or says what it waited for."""

from __future__ import annotations

import pytest

from nbcluster.testing.waiting import wait_until


def test_the_first_true_answer_is_returned() -> None:
    answers = iter([0, "", None, "here", "too late"])
    assert wait_until(lambda: next(answers), deadline=5, what="a word") == "here"
    assert next(answers) == "too late"


def test_a_fact_that_never_comes_is_named_with_its_last_answer() -> None:
    with pytest.raises(TimeoutError, match=r"waited 0.01 s for engine 2 to answer; the last answer was \[\]"):
        wait_until(lambda: [], deadline=0.01, what="engine 2 to answer")


def test_a_fact_is_asked_once_even_without_time() -> None:
    assert wait_until(lambda: 1, deadline=0, what="nothing") == 1


def test_an_error_of_the_fact_ends_the_wait() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, deadline=60, what="a number")
