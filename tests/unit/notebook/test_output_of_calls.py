"""What calls print, drawn without a cluster: in lines of their own, labelled, bounded, in the cell that submitted."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from msgspec import json, msgpack

from nbcluster.client import listening
from nbcluster.notebook.calloutput import CallOutput, CallOutputs
from nbcluster.notebook.display import CellDisplay
from nbcluster.notebook.late import LateOutput
from nbcluster.notebook.operations import Move, Operation, Show, Write
from nbcluster.protocol.calls import OutputPiece


class Paper:
    """A publisher that keeps what it is asked."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def publish(self, operation: Operation) -> None:
        self.operations.append(operation)

    def flush(self) -> None:
        """Nothing is held back."""

    @property
    def text(self) -> str:
        text = "".join(each.text for each in self.operations if isinstance(each, Write))
        return re.sub(r"\x1b\[\d*m", "", text)


def text(*pieces: str, stream: str = "stdout") -> bytes:
    return msgpack.encode(tuple(OutputPiece(stream, piece) for piece in pieces))


@pytest.fixture
def paper():
    return Paper()


@pytest.fixture
def output(paper):
    display = CellDisplay("c", "calls", (), single=False, raw=False, rest="the .output of each Future")
    return CallOutput(display, paper, lambda drawn: None)


def test_lines_are_labelled_by_engine(output, paper):
    output.take("a", 0, text("one\ntwo\n"))
    output.take("b", 1, text("three\n"))
    assert paper.operations == []  # not on the thread that brings it
    assert output.draw(0.0) is False
    assert paper.text == "[0] one\n[0] two\n[1] three\n"


def test_a_line_that_a_call_left_open_is_not_gone_on_with_by_the_next(output, paper):
    output.take("a", 0, text("par"))
    output.take("a", 0, text("t"))
    output.take("b", 0, text("next\n"))
    output.draw(0.0)
    assert paper.text == "[0] part\n[0] next\n"


def test_the_last_line_is_drawn_without_its_end_when_nothing_more_comes(output, paper):
    output.take("a", 0, text("open"))
    assert output.draw(0.0) is True
    assert paper.text == ""
    output.draw(0.0, last=True)
    assert paper.text == "[0] open\n"


def test_what_is_shown_ends_the_line_before_it(output, paper):
    shown = OutputPiece("display_data", "", json.encode({"data": {"text/html": "<b>"}, "metadata": {}}))
    output.take("a", 0, msgpack.encode((OutputPiece("stdout", "open"), shown)))
    output.take("b", 0, text("next\n"))
    output.draw(0.0)
    assert paper.text == "[0] open\n[0] next\n"
    assert [each.data for each in paper.operations if isinstance(each, Show)][-1] == {"text/html": "<b>"}


def test_ten_thousand_calls_are_few_operations_and_five_thousand_lines(output, paper):
    for number in range(10_000):
        output.take(str(number), number % 2, text(f"line {number}\n"))
    began = time.process_time()
    output.draw(0.0)
    assert time.process_time() - began < 2.0
    assert paper.text.count("\n") == 5_000
    assert len(paper.operations) < 10
    moves = [each.text for each in paper.operations if isinstance(each, Move)]
    assert moves == ["… and 5,000 more lines: see the .output of each Future"]


class Shell:
    """A kernel's shell, as far as output needs one."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any], str]] = []
        self.parent: dict[str, Any] = {}
        self.display_pub = self
        self.session = self
        self.pub_socket = None
        self.topic = b""

    def get_parent(self) -> dict[str, Any]:
        return self.parent

    def send(
        self, socket: object, kind: str, content: dict[str, Any], parent: dict[str, Any], **more: object
    ) -> None:
        self.sent.append((kind, content, parent["header"]["msg_id"]))

    def cell(self, name: str, *, asks: bool = True) -> None:
        self.parent = {"header": {"msg_id": name}, "content": {"allow_stdin": asks}}


@pytest.fixture
def shell():
    return Shell()


@pytest.fixture
def late():
    made = LateOutput()
    yield made
    made.close()


@pytest.fixture
def outputs(shell, late):
    made = CallOutputs(shell, notebook=True, drawer=late, has_open=lambda output: True)
    yield made
    made.close()


def test_a_call_prints_into_the_cell_that_was_running_when_it_was_submitted(shell, outputs, late):
    shell.cell("first")
    outputs.begin()
    first = listening.listener_here()
    outputs.end()
    shell.cell("second")
    outputs.begin()
    assert listening.listener_here() is not first
    assert shell.sent == []
    first.take("a", 0, text("late\n"))
    late.close()
    [(kind, content, parent)] = shell.sent
    assert (kind, parent) == ("stream", "first")
    assert "late" in content["text"]


def test_a_cell_within_a_cell_is_the_same_cell(shell, outputs):
    shell.cell("one")
    outputs.begin()
    before = listening.listener_here()
    outputs.begin()
    assert listening.listener_here() is before


def test_where_nobody_listens_to_a_finished_cell_a_display_is_made_in_time(shell, outputs, late):
    shell.cell("one", asks=False)
    outputs.begin()
    listener = listening.listener_here()
    outputs.end()
    [(kind, made, _)] = shell.sent
    assert kind == "display_data"
    shell.cell("two", asks=False)
    listener.take("a", 0, text("late\n"))
    late.close()
    kind, content, parent = shell.sent[-1]
    assert (kind, parent) == ("update_display_data", "two")
    assert content["transient"] == made["transient"]
    assert "late" in content["data"]["text/plain"]


def test_nothing_is_shown_after_the_end(shell, outputs):
    shell.cell("one")
    outputs.begin()
    outputs.close()
    assert listening.listener_here() is None
