"""Hypothesis strategies for what a scheduler can be told. Knows shapes; knows no state."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nbcluster.protocol.messages import Cancelled, Lost, Outcome, Raised, Succeeded

CLIENTS = ("ann", "bob")
KERNELS = ("", "", "bash")
TAGS = ("gpu", "big")


def numbers() -> SearchStrategy[int]:
    """An engine's number, as likely to exist as not."""
    return st.integers(0, 5)


def target_texts() -> SearchStrategy[str]:
    """Well-formed targets; many of them exist in a small cluster."""
    bound = st.one_of(st.just(""), st.integers(-4, 4).map(str))
    step = st.sampled_from(["", ":", ":2", ":-1"])
    span = st.builds("{}:{}{}".format, bound, bound, step)
    number = st.integers(-2, 4).map(str)
    name = st.sampled_from([*TAGS, "here", "bash", "python"])
    item = st.one_of(number, span, name)
    return st.one_of(
        st.sampled_from(["", "", "all", "any", "any"]),
        item,
        st.lists(item, min_size=2, max_size=3).map(", ".join),
    )


def outcomes() -> SearchStrategy[Outcome]:
    """What an engine can answer."""
    answers: list[Outcome] = [
        Succeeded(1),
        Raised("ZeroDivisionError", "division by zero"),
        Raised("KeyboardInterrupt", ""),
        Lost("the message could not be sent"),
        Cancelled("aborted by the kernel"),
    ]
    return st.sampled_from(answers)


def causes() -> SearchStrategy[str]:
    """What ends a process."""
    return st.sampled_from(["killed by SIGKILL", "exited with code 1"])
