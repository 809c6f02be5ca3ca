"""Waits for a fact with a deadline, the one way for a test to wait. Knows nothing of clusters."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.05


def wait_until(fact: Callable[[], T], deadline: float = 10.0, what: str = "") -> T:
    """Ask for a fact until it is true, and return it.

    Parameters
    ----------
    fact : callable
        Asked again and again; the wait ends with the first answer that is true.
    deadline : float
        Seconds after which the wait is given up.
    what : str
        What is waited for, as the error will say it.

    Returns
    -------
    object
        The first true answer of `fact`.

    Raises
    ------
    TimeoutError
        When no answer was true in time; it says what was waited for and the last answer.

    Examples
    --------
    >>> answers = iter([None, None, 7])
    >>> wait_until(lambda: next(answers), deadline=1, what="a number")
    7
    """
    until = time.monotonic() + deadline
    pause = _FIRST_PAUSE
    while True:
        answer = fact()
        if answer:
            return answer
        left = until - time.monotonic()
        if left <= 0:
            waited_for = what or getattr(fact, "__name__", "a fact")
            raise TimeoutError(f"waited {deadline:g} s for {waited_for}; the last answer was {answer!r}")
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)
