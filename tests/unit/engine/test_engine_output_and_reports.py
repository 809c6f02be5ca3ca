"""What calls print, show and report, until it is sent."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from msgspec import json, msgpack

from nbcluster import report
from nbcluster.engine import capture, context
from nbcluster.engine.capture import CallOutput
from nbcluster.engine.context import RunningCall
from nbcluster.protocol.calls import OutputPiece
from nbcluster.protocol.tasks import RunOptions


def decoded(output: bytes) -> list[tuple[str, str]]:
    return [(piece.msg_type, piece.text) for piece in msgpack.decode(output, type=tuple[OutputPiece, ...])]


def quiet(output: CallOutput) -> None:
    raise AssertionError("nothing was in a hurry")


def test_pieces_of_a_stream_are_joined_and_the_order_is_kept() -> None:
    output = CallOutput("t", 1, quiet)
    assert not output
    for stream, text in (("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")):
        output.write(stream, text)
    output.show("display_data", {"data": {"text/plain": "x"}})
    output.write("stdout", "e")
    taken = output.take()
    assert decoded(taken) == [
        ("stdout", "ab"),
        ("stderr", "c"),
        ("stdout", "d"),
        ("display_data", ""),
        ("stdout", "e"),
    ]
    assert json.decode(msgpack.decode(taken, type=tuple[OutputPiece, ...])[3].content) == {
        "data": {"text/plain": "x"}
    }
    assert output.take() == b""


def test_much_output_and_late_output_are_in_a_hurry_once_each() -> None:
    hurried: list[CallOutput] = []
    output = CallOutput("t", 1, hurried.append)
    for _ in range(3):
        output.write("stdout", "x" * capture.PROMPT_SIZE)
    assert hurried == [output]
    output.take()
    output.write("stdout", "x" * (capture.PROMPT_SIZE + 1))
    assert hurried == [output, output]
    output.take()
    output.ended = True
    output.write("stdout", "late")
    assert len(hurried) == 3


def test_what_cannot_be_kept_is_counted_and_said() -> None:
    output = CallOutput("t", 1, lambda output: None)
    half = capture.MOST // 2
    for letter in "abc":
        output.write("stdout", letter * half)
    (kept, text), (stream, note) = decoded(output.take())
    assert (kept, len(text), stream) == ("stdout", 2 * half, "stderr")
    assert f"{half} characters" in note
    output.write("stdout", "again")
    assert decoded(output.take()) == [("stdout", "again")]


def test_text_that_is_no_utf8_is_sent_escaped() -> None:
    output = CallOutput("t", 1, quiet)
    output.write("stdout", "a\udcff")
    assert decoded(output.take()) == [("stdout", "a\\udcff")]


def test_many_threads_lose_nothing() -> None:
    output = CallOutput("t", 1, quiet)
    parts: list[bytes] = []
    writers = [
        threading.Thread(target=lambda: [output.write("stdout", "x") for _ in range(2000)]) for _ in range(4)
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        parts.append(output.take())
    parts.append(output.take())
    assert sum(len(text) for part in parts if part for _, text in decoded(part)) == 8000


# -- report -----------------------------------------------------------------------------------


@pytest.fixture
def call() -> Any:
    running = RunningCall("t/1", "t", 1, RunOptions(), quiet)
    with running.entered():
        yield running


@pytest.mark.parametrize(
    ("args", "values", "said"),
    [
        ((0.4,), {"loss": 0.1}, {"fraction": 0.4, "loss": 0.1}),
        ((1,), {}, {"fraction": 1}),
        ((7,), {}, {"value": 7}),
        (("warming up",), {}, {"value": "warming up"}),
        ((True,), {}, {"value": True}),
        ((), {"n": np.int64(3), "x": np.float32(0.5), "none": None}, {"n": 3, "x": 0.5, "none": None}),
        ((), {"l": [1, (2.0, "a")], "d": {1: 2}}, {"l": [1, [2.0, "a"]], "d": {"1": 2}}),
        ((np.float64(0.25),), {}, {"fraction": 0.25}),
        ((), {"huge": 1 << 70}, {"huge": "an integer of 71 bits"}),
    ],
)
def test_a_report_is_noted_as_plain_values(call: RunningCall, args: Any, values: Any, said: Any) -> None:
    report(*args, **values)
    assert call.progress == said
    assert msgpack.decode(msgpack.encode(call.progress)) == said


def test_a_report_of_something_else_says_which_and_changes_nothing(call: RunningCall) -> None:
    report(0.1)
    with pytest.raises(TypeError, match="'model', a object"):
        report(0.2, model=object())
    assert call.progress == {"fraction": 0.1}


def test_outside_of_a_task_a_report_checks_and_does_nothing() -> None:
    report(0.5, loss=1)
    with pytest.raises(TypeError, match="report"):
        report(object())  # type: ignore[arg-type]
    assert context.current.get() is None
    assert context.current_task() is None
