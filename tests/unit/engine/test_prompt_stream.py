"""The stream is prompt after a silence, batches a flood, and does not flush when it is clean."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ipykernel.iostream import OutStream

from nbcluster.engine.outstream import BATCH, PROMPT, PromptStream


class Counted(PromptStream):
    """A stream without a kernel, on a clock of the test's."""

    def __init__(self) -> None:
        self.flushes = 0


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Counted:
    made = Counted()

    def flush(stream: Any) -> None:
        made.flushes += 1

    monkeypatch.setattr(OutStream, "write", lambda stream, text: len(text))
    monkeypatch.setattr(OutStream, "flush", flush)
    return made


def test_the_first_text_is_prompt_and_the_next_waits(
    stream: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert stream.flush_interval == PROMPT
    now += PROMPT
    assert stream.flush_interval == pytest.approx(BATCH)
    now += BATCH + 0.04
    assert stream.flush_interval == pytest.approx(BATCH - 0.04)
    now += 1
    assert stream.flush_interval == PROMPT


def test_a_clean_stream_is_not_flushed(stream: Counted) -> None:
    stream.flush()
    assert stream.flushes == 0
    stream.write("a")
    stream.flush()
    stream.flush()
    assert stream.flushes == 1
    stream.write("b")
    stream.flush()
    assert stream.flushes == 2
