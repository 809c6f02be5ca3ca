"""Tables of records and names say what they hold, and what they leave out."""

from __future__ import annotations

from nbcluster.client.records import SHOWN, Name, difference_table, name_table, task_table
from nbcluster.ids import EngineNumber, TaskId
from nbcluster.protocol.calls import TaskRecord


def record(number: int, **fields: object) -> TaskRecord:
    return TaskRecord(TaskId(f"t-{number}"), **fields)  # type: ignore[arg-type]


def test_a_table_is_a_list_and_draws_itself() -> None:
    rows = [
        record(
            1, key="fit", label="fit", state="done", engine=EngineNumber(2), attempt=1, seconds=0.5, nbytes=7
        ),
        record(2, label="<b>", state="failed", error="ValueError: no\nmore"),
    ]
    table = task_table(rows, "12 more were left out by the limit")
    assert list(table) == rows
    lines = repr(table).splitlines()
    assert lines[0].split() == [
        "key",
        "label",
        "kind",
        "state",
        "engine",
        "attempt",
        "started",
        "seconds",
        "bytes",
        "error",
    ]
    assert lines[1].split() == ["fit", "fit", "call", "done", "2", "1", "0.5", "7"]
    assert lines[2].endswith("ValueError: no")
    assert lines[3] == "12 more were left out by the limit"
    html = table._repr_html_()
    assert "<td>&lt;b&gt;</td>" in html
    assert "12 more were left out" in html


def test_a_long_table_says_how_much_it_does_not_draw() -> None:
    table = task_table([record(number) for number in range(SHOWN + 5)])
    assert repr(table).splitlines()[-1] == "… and 5 more"
    assert len(table) == SHOWN + 5


def test_an_empty_table_says_so() -> None:
    assert repr(task_table([])) == "(nothing)"


def test_names_are_compared_by_what_can_be_seen_of_them() -> None:
    names = [
        Name("a", "int", None, 28, "", "1", engine=0),
        Name("a", "int", None, 28, "", "1", engine=1),
        Name("b", "ndarray", (3, 4), 96, engine=0),
        Name("b", "ndarray", (3, 5), 120, engine=1),
        Name("c", "str", None, 50, "", "'x'", engine=1),
    ]
    assert repr(name_table(names)).splitlines()[3].split() == ["b", "0", "ndarray", "3×4", "96"]
    assert list(difference_table(names, [0, 1])) == [
        ("b", {0: "ndarray 3×4, 96 bytes", 1: "ndarray 3×5, 120 bytes"}),
        ("c", {0: "missing", 1: "str 'x'"}),
    ]
    assert "alike" in repr(difference_table(names[:2], [0, 1]))


def test_a_record_shows_what_is_known_of_it_and_nothing_else() -> None:
    assert repr(record(1, label="fit", state="done")) == "TaskRecord(task='t-1', label='fit', state='done')"
