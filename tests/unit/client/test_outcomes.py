"""Each way in which a call can end is the exception that the API names."""

from __future__ import annotations

import concurrent.futures

import pytest

from nbcluster import errors
from nbcluster.client.outcomes import exception_of
from nbcluster.ids import EngineNumber
from nbcluster.protocol import outcomes as o


@pytest.mark.parametrize(
    ("outcome", "kind", "said"),
    [
        (o.EngineGone("engine 2 was killed"), errors.EngineLost, "engine 2 was killed"),
        (o.Withdrawn("by its owner"), errors.TaskCancelled, "fit was cancelled: by its owner"),
        (
            o.OutOfTime(1.5, "the engine is stuck"),
            errors.TaskTimeout,
            "fit ran longer than its limit of 1.5 s on engine 3; the engine is stuck",
        ),
        (o.Rejected("NoEngines", "none has a gpu"), errors.NoEngines, "none has a gpu"),
        (o.Rejected("DependencyFailed", "needs t-1"), errors.DependencyFailed, "needs t-1"),
        (o.Rejected("Unheard", "of"), errors.NBClusterError, "of"),
    ],
)
def test_an_outcome_is_an_exception(outcome: o.CallOutcome, kind: type[Exception], said: str) -> None:
    error = exception_of(outcome, "fit", EngineNumber(3))
    assert type(error) is kind
    assert str(error) == said


def test_a_value_is_none() -> None:
    assert exception_of(o.Returned(3), "fit", EngineNumber(0)) is None


def test_the_timeouts_are_told_apart_and_a_cancel_is_a_cancel() -> None:
    late = exception_of(o.OutOfTime(1), "fit", None)
    assert not isinstance(late, TimeoutError)
    assert isinstance(exception_of(o.Withdrawn("x"), "fit", None), concurrent.futures.CancelledError)


def test_an_exception_that_could_not_be_shipped_is_remote() -> None:
    error = exception_of(
        o.Threw("Odd", "no", ("Traceback", "Odd: no"), b"", "it holds a lock"), "f", EngineNumber(1)
    )
    assert isinstance(error, errors.RemoteError)
    assert (error.ename, error.evalue, error.engine) == ("Odd", "no", 1)
    assert any("it holds a lock" in note for note in error.__notes__)
    missing = (
        b"\x80\x05\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x07nowhere\x94\x8c\x05Error\x94\x93\x94)R\x94."
    )
    unloadable = exception_of(o.Threw("Error", "x", ("Traceback",), missing), "f", EngineNumber(1))
    assert isinstance(unloadable, errors.RemoteError)
