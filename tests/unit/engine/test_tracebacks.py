"""The frames of the machinery are cut from the end of a traceback, and only from there."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from nbcluster.engine.shell import _hide_internal_tail


def function_of(module: str, calls: Callable[[], None] | None) -> Callable[[], None]:
    namespace = {"__name__": module, "calls": calls}
    exec(
        compile("def f():\n    if calls is None:\n        raise ValueError\n    calls()", module, "exec"),
        namespace,
    )
    made: Callable[[], None] = namespace["f"]  # type: ignore[assignment]  # what the line above defined
    return made


@pytest.mark.parametrize(
    ("modules", "shown"),
    [
        (["user", "ipykernel.kernelbase", "zmq.sugar"], ["user"]),
        (["user", "nbcluster.engine.shell"], ["user"]),
        (["user", "zmq.sugar"], ["user", "zmq.sugar"]),
        (["user", "ipykernel.iostream", "user.hook"], ["user", "ipykernel.iostream", "user.hook"]),
        (["user", "library"], ["user", "library"]),
    ],
)
def test_internal_frames_at_the_end_are_cut(modules: list[str], shown: list[str]) -> None:
    call: Callable[[], None] | None = None
    for module in reversed(modules):
        call = function_of(module, call)
    assert call is not None
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # which one does not matter
        call()
    trace = caught.value.__traceback__
    assert trace is not None
    _hide_internal_tail(trace)
    assert [frame.filename for frame in traceback.extract_tb(trace)][1:] == shown
