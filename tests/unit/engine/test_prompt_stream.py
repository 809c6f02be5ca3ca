"""The stream is prompt after a silence, batches a flood, and does not flush when it is clean."""

from __future__ import annotations

import codecs
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ipykernel.iostream import OutStream

from nbcluster.engine import outstream
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


class Said:
    """A call that notes what is put away as its output."""

    def __init__(self, name: str, told: list[tuple[str, str, str]]) -> None:
        self._name = name
        self._told = told
        self.output = self

    def write(self, stream: str, text: str) -> None:
        self._told.append((self._name, stream, text))


def test_what_was_written_while_a_pipe_was_looked_at_is_of_the_call_that_wrote_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[tuple[str, str, str]] = []
    running = [Said("first", told)]
    reading, writing = os.pipe()
    stream = Counted()
    stream.name, stream._fid, stream._should_watch = "stdout", reading, True
    stream._raw_lock, stream._raw_decoder = threading.Lock(), codecs.getincrementaldecoder("utf-8")()
    stream.raw_belongs_to = lambda: running[0]  # type: ignore[assignment,return-value]
    look = outstream.ioctl

    def ioctl(*args: Any) -> Any:
        running[0] = Said("second", told)  # the first has ended, and this one has begun and writes
        os.write(writing, b"of the second")
        return look(*args)

    monkeypatch.setattr(outstream, "ioctl", ioctl)
    with (tmp_path / "copy").open("wb") as copy:
        stream._original_stdstream_copy = copy.fileno()
        stream.read_once()
    os.close(reading)
    os.close(writing)
    assert told == [("second", "stdout", "of the second")]
