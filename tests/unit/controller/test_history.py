"""What became of tasks is written, read back in pages, and said to be incomplete when the disk fails."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from queue import SimpleQueue

import pytest

from nbcluster.controller import history as module
from nbcluster.controller.history import History, Row
from nbcluster.ids import EngineNumber, TaskId
from nbcluster.protocol.calls import ReadHistory, Records, TaskRecord
from nbcluster.testing.waiting import wait_until


def row(number: int, state: str = "done", label: str = "fit") -> Row:
    ended = 1000.0 + number
    return (
        TaskId(f"t-{number}"),
        "",
        label,
        "call",
        state,
        "me",
        EngineNumber(0),
        1,
        ended - 2,
        ended - 1,
        ended,
        1.0,
        4,
        "" if state == "done" else "ValueError: no",
    )


def read(history: History, **question: object) -> Records:
    answers: SimpleQueue[Records] = SimpleQueue()
    history.read(ReadHistory(**question), answers.put)  # type: ignore[arg-type]
    return answers.get(timeout=10)


def test_records_come_back_as_they_were_oldest_first_and_in_pages(tmp_path: Path) -> None:
    history = History(tmp_path)
    for number in range(10):
        history.add(row(number, "failed" if number % 5 == 0 else "done", "fit" if number < 6 else "load"))
    everything = read(history)
    assert everything == Records(everything.records, 0, "")
    assert [record.task for record in everything.records] == [f"t-{number}" for number in range(10)]
    assert everything.records[0] == TaskRecord(*row(0, "failed"))
    page = read(history, offset=4, limit=3)
    assert ([record.task for record in page.records], page.left_out) == (["t-4", "t-5", "t-6"], 3)
    assert [record.task for record in read(history, state="failed").records] == ["t-0", "t-5"]
    assert [record.task for record in read(history, label="load", since=1008.0).records] == ["t-8", "t-9"]
    assert read(history, offset=50) == Records((), 0, "")
    history.close()
    assert list(tmp_path.iterdir()) == []


def test_an_answer_holds_so_many_and_says_how_many_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 4)
    history = History(tmp_path)
    for number in range(10):
        history.add(row(number))
    page = read(history, limit=0)
    assert (len(page.records), page.left_out) == (4, 6)
    history.close()


def test_everything_that_is_added_from_one_thread_while_another_writes_is_there(tmp_path: Path) -> None:
    history = History(tmp_path)
    for number in range(5000):
        history.add(row(number))
        if number % 500 == 0:
            read(history, limit=1)
    wait_until(lambda: read(history, limit=1).left_out == 4999, 10, "every row")
    history.close()


def test_a_disk_that_fails_is_logged_once_counted_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write = module._write

    def full(database: sqlite3.Connection, rows: list[Row]) -> None:
        if rows:
            raise sqlite3.OperationalError("database or disk is full")

    history = History(tmp_path)
    with caplog.at_level(logging.WARNING):
        monkeypatch.setattr(module, "_write", full)
        for _ in range(2):
            history.add(row(1))
            lost = read(history)
        assert lost.records == ()
        assert lost.note.startswith("2 records could not be kept")
        assert "disk is full" in lost.note
        monkeypatch.setattr(module, "_write", write)
        history.add(row(3))
        after = read(history)
        assert [record.task for record in after.records] == ["t-3"]
        assert after.note == lost.note
    assert caplog.text.count("not complete") == 1
    history.close()


def test_a_directory_that_cannot_be_written_costs_the_history_alone(tmp_path: Path) -> None:
    history = History(tmp_path / "missing")
    history.add(row(1))
    assert "1 records could not be kept" in read(history).note
    history.close()


def test_rows_that_the_disk_does_not_take_in_time_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PENDING_LIMIT", 3)
    monkeypatch.setattr(module, "PAUSE", 30.0)  # nothing is written before it is asked for
    history = History(tmp_path)
    for number in range(5):
        history.add(row(number))
    answer = read(history)
    assert [record.task for record in answer.records] == ["t-0", "t-1", "t-2"]
    assert "2 records could not be kept: the disk is too slow" in answer.note
    history.close()
