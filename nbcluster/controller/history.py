"""What became of every task, on disk: a SQLite file written by its own thread in groups. Knows records, no tasks.

Nothing that goes wrong with the disk reaches the cluster: it is logged once, counted, and said to who reads.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nbcluster.ids import EngineNumber, TaskId
from nbcluster.protocol.calls import ReadHistory, Records, TaskRecord

log = logging.getLogger(__name__)

FILE = "history.sqlite"

PAUSE = 0.25
"""Seconds in which rows are gathered before they are written together."""

PENDING_LIMIT = 200_000
"""Rows that may wait for a slow disk; those beyond are counted as lost."""

PAGE = 20_000
"""Records of one answer at most."""

COLUMNS = (
    "task",
    "key",
    "label",
    "kind",
    "state",
    "owner",
    "engine",
    "attempt",
    "submitted",
    "started",
    "ended",
    "seconds",
    "nbytes",
    "error",
)

Row = tuple[
    TaskId,
    str,
    str,
    str,
    str,
    str,
    EngineNumber | None,
    int,
    float | None,
    float | None,
    float,
    float | None,
    int | None,
    str,
]
"""The values of COLUMNS, which are the first fields of a TaskRecord."""

_INSERT = f"INSERT INTO tasks VALUES ({','.join('?' * len(COLUMNS))})"  # noqa: S608  # of constants


class History:
    """The history of one cluster.

    Parameters
    ----------
    directory : Path
        Where the file is made.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._pending: deque[Row] = deque()
        self._questions: deque[tuple[ReadHistory, Callable[[Records], None]]] = deque()
        self._lost = 0
        self._losing = threading.Lock()
        self._why = ""
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)
        self._thread.start()

    def add(self, row: Row) -> None:
        """Have a row written, some time soon."""
        pending = self._pending
        if len(pending) >= PENDING_LIMIT:
            self._lose(1, "the disk is too slow for them")
            return
        pending.append(row)
        if len(pending) == 1:
            self._wake.set()

    def read(self, question: ReadHistory, answer: Callable[[Records], None]) -> None:
        """Have a question answered; `answer` is called in the history's thread."""
        self._questions.append((question, answer))
        self._hurry.set()
        self._wake.set()

    def close(self) -> None:
        """Stop, and remove the file: the history ends with its cluster."""
        self._closing = True
        self._hurry.set()
        self._wake.set()
        self._thread.join(5.0)
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _lose(self, count: int, why: str) -> None:
        with self._losing:
            if not self._lost:
                log.warning("the history is not complete from now on: %s", why)
            self._lost += count
            self._why = why

    # -- in the thread ------------------------------------------------------------------------

    def _work(self) -> None:
        database: sqlite3.Connection | None = None
        while not self._closing:
            self._wake.wait()
            self._hurry.wait(PAUSE)
            self._wake.clear()
            self._hurry.clear()
            rows = [self._pending.popleft() for _ in range(len(self._pending))]
            if self._pending:
                self._wake.set()  # they came meanwhile, when it was not empty, and so woke nobody
            try:
                if database is None:
                    database = _open(self._path)
                _write(database, rows)
            except (sqlite3.Error, OSError) as error:
                self._lose(len(rows), f"{self._path} cannot be written ({error})")
            while self._questions:
                question, answer = self._questions.popleft()
                answer(self._answer(database, question))
        if database is not None:
            database.close()

    def _answer(self, database: sqlite3.Connection | None, question: ReadHistory) -> Records:
        records: tuple[TaskRecord, ...] = ()
        left_out, note = 0, ""
        if self._lost:
            note = f"{self._lost} records could not be kept: {self._why}"
        try:
            if database is not None:
                records, left_out = _read(database, question)
        except (sqlite3.Error, OSError) as error:
            note = f"the history at {self._path} cannot be read: {error}"
        return Records(records, left_out, note)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = OFF")  # it ends with the cluster: nothing is to outlive a crash
    database.execute(f"CREATE TABLE IF NOT EXISTS tasks ({', '.join(COLUMNS)})")
    return database


def _write(database: sqlite3.Connection, rows: list[Row]) -> None:
    if not rows:
        return
    database.execute("BEGIN")
    try:
        database.executemany(_INSERT, rows)
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise


def _read(database: sqlite3.Connection, question: ReadHistory) -> tuple[tuple[TaskRecord, ...], int]:
    conditions = ["1"]
    values: list[object] = []
    if question.state:
        conditions.append("state = ?")
        values.append(question.state)
    if question.label:
        conditions.append("label = ?")
        values.append(question.label)
    if question.since:
        conditions.append("ended >= ?")
        values.append(question.since)
    where = " AND ".join(conditions)
    limit = min(question.limit or PAGE, PAGE)
    found = database.execute(
        f"SELECT {', '.join(COLUMNS)} FROM tasks WHERE {where} ORDER BY rowid LIMIT ? OFFSET ?",  # noqa: S608  # of constants
        (*values, limit, question.offset),
    ).fetchall()
    (count,) = database.execute(f"SELECT count(*) FROM tasks WHERE {where}", values).fetchone()  # noqa: S608  # of constants
    records = tuple(TaskRecord(*row) for row in found)
    return records, max(0, count - question.offset - len(records))
