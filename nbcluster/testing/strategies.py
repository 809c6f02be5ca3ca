"""Hypothesis strategies for what a scheduler can be told. Knows shapes; knows no state."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nbcluster.protocol.calls import CallOptions
from nbcluster.protocol.messages import Cancelled, Lost, Outcome, Raised, Succeeded
from nbcluster.protocol.outcomes import CallOutcome, Rejected, Returned, Threw, Withdrawn

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


def call_options() -> SearchStrategy[CallOptions]:
    """What calls can ask for; most of it can be had in a small cluster."""
    free = st.builds(
        CallOptions,
        targets=st.sampled_from(["", "", "", "any", "gpu", "0,1", "-1,", "1:", "bash", "nowhere"]),
        label=st.sampled_from(["fit", "load"]),
        retries=st.sampled_from([0, 0, 1, 2]),
        timeout=st.sampled_from([None, None, None, 3.0]),
        priority=st.sampled_from([0, 0, 0, 5, -1]),
        resources=st.sampled_from([{}, {}, {"gpu": 1.0}]),
        repeatable=st.sampled_from([True, True, False]),
    )
    pinned = st.builds(
        CallOptions,
        targets=st.integers(-1, 3).map(str),
        label=st.just("push"),
        retries=st.sampled_from([0, 0, 1]),
        timeout=st.sampled_from([None, None, 3.0]),
        priority=st.sampled_from([0, 0, 5]),
        pinned=st.just(True),
    )
    return st.one_of(free, free, pinned)


def call_outcomes() -> SearchStrategy[CallOutcome]:
    """What an engine can answer to a call that nobody asked to stop."""
    answers: list[CallOutcome] = [
        Returned(8),
        Returned(1_000_000, home=False),
        Threw("ZeroDivisionError", "division by zero", ("line 1",), b"pickle"),
        Withdrawn("interrupted by %cluster interrupt"),
        Rejected("NotSerializable", "it could not be unpickled"),
    ]
    return st.sampled_from([*answers[:2], *answers])


def answers_to_a_stop() -> SearchStrategy[CallOutcome]:
    """What an engine can answer to a call that was asked to stop."""
    answers: list[CallOutcome] = [
        Withdrawn("interrupted"),
        Returned(8),
        Threw("ValueError", "in the handler"),
    ]
    return st.sampled_from([answers[0], *answers])
