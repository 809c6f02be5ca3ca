"""Consoles: rows of engines within bounds, what is sent of them to a page, and what a cell shows in the end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from comm import DummyComm
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from nbcluster.ids import CellId, EngineNumber, TaskId
from nbcluster.notebook import console as consoles
from nbcluster.notebook.console import MOST_IMAGES, MOST_ROWS, Console
from nbcluster.notebook.consoledisplay import ConsoleDisplay
from nbcluster.notebook.consolewidget import ConsoleWidget
from nbcluster.notebook.operations import Operation, Show
from nbcluster.protocol.messages import Succeeded, TaskDone, TaskOutput, TaskPlace

PNG = "iVBORw0KGgo="


def test_carriage_returns_overwrite_and_streams_are_lines_of_their_own() -> None:
    console = Console([0])
    console.write(0, "stdout", " 10%\r")
    console.write(0, "stderr", "warn")
    console.write(0, "stdout", " 50%\r100")
    console.write(0, "stderr", "ing\n")
    assert console.screens[0].texts == ("100%", "warning")
    console.write(0, "stdout", "\nnext")
    assert console.screens[0].texts == ("100%", "warning", "next")


def test_equal_output_is_one_group() -> None:
    console = Console([0, 1, 2, 3])
    for engine, text in ((0, "a\n"), (1, "b\n"), (2, "a\n")):
        console.write(engine, "stdout", text)
    assert console.same == [[0, 2], [1], [3]]
    console.show_image(2, "x")
    assert console.same == [[0], [1], [2], [3]]


def test_what_is_kept_is_bounded_and_what_is_let_go_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console([0, 1])
    for at in range(3 * MOST_ROWS):
        console.write(0, "stdout", f"{at}\n")
        console.show_image(1, "i" * 10)
    assert (len(console.screens[0].rows), console.screens[0].left_out) == (MOST_ROWS, 2 * MOST_ROWS)
    assert console.screens[0].texts[-1] == f"{3 * MOST_ROWS - 1}"
    assert (len(console.screens[1].images), console.screens[1].images_left_out) == (
        MOST_IMAGES,
        3 * MOST_ROWS - MOST_IMAGES,
    )
    assert len(console.order) <= 4 * MOST_ROWS
    monkeypatch.setattr(consoles, "MOST_BYTES", 1000)
    console.write(1, "stdout", "y" * 600 + "\n")
    assert sum(len(text) for screen in console.screens.values() for text in screen.texts) <= 1000
    console.write(1, "stdout", "z" * 100_000)
    assert console.screens[1].texts[-1].endswith("… (98,000 more characters)"), (
        "a line without end is no way out"
    )


writes = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2), st.sampled_from(["stdout", "stderr"]), st.text("ab\n\r", max_size=8)),
        st.tuples(st.integers(0, 2), st.just("wipe"), st.just("")),
        st.tuples(st.just(0), st.just("tell"), st.just("")),
    ),
    max_size=60,
)


@given(writes, st.integers(2, 5))
def test_a_page_that_takes_every_message_has_what_the_console_has(story: Any, most: int) -> None:
    before, consoles.MOST_ROWS = consoles.MOST_ROWS, most
    try:
        widget = ConsoleWidget()
        widget.comm = DummyComm()
        console, page, now = Console([0, 1, 2]), Page(), 0.0
        for engine, what, text in story:
            if what == "wipe":
                console.wipe(engine)
            elif what == "tell":
                now += 0.1
                widget.update(console, now)
                page.take(widget.told)
            else:
                console.write(engine, what, text)
        widget.update(console, now + 0.1)
        page.take(widget.told)
        assert page.texts() == {
            engine: list(screen.texts) for engine, screen in console.screens.items() if page.screens
        }
    finally:
        consoles.MOST_ROWS = before


class Page:
    """Does what console.js does with messages."""

    def __init__(self) -> None:
        self.last = 0
        self.screens: dict[int, dict[int, str]] = {}

    def take(self, told: dict[str, Any]) -> None:
        told = json.loads(json.dumps(told))
        if told["number"] == self.last:
            return
        assert told["isWhole"] or told["number"] == self.last + 1
        self.last = told["number"]
        if told["isWhole"]:
            self.screens = {}
        for engine, news in told["engines"].items():
            rows = self.screens.setdefault(int(engine), {})
            rows.update({int(number): text for number, text in news["rows"].items()})
            for number in [number for number in rows if number < news["first"]]:
                del rows[number]

    def texts(self) -> dict[int, list[str]]:
        return {engine: [rows[number] for number in sorted(rows)] for engine, rows in self.screens.items()}


def test_little_is_sent_and_everything_again_after_a_while() -> None:
    widget, console = ConsoleWidget(), Console([0, 1])
    widget.begin()
    console.write(0, "stdout", "a\nb\n")
    widget.update(console, 0.0)
    assert widget.told["isWhole"]
    console.write(0, "stdout", "<c>\n")
    widget.update(console, 0.1)
    assert widget.told["engines"] == {
        "0": {"rows": {"2": "&lt;c&gt;"}, "first": 0, "leftOut": 0, "isOver": False}
    }
    assert widget.told["begun"] == [[0, 2]]
    number = widget.told["number"]
    widget.update(console, 0.2)
    assert widget.told["number"] == number, "nothing has changed"
    widget.update(console, 2.1)
    assert widget.told["isWhole"]
    assert len(widget.told["engines"]["0"]["rows"]) == 3
    widget.clear()
    assert widget.told["engines"] == {}


class Drawn:
    """A cell of two engines and what it shows."""

    def __init__(self, *, live: bool = True) -> None:
        places = [TaskPlace(TaskId(f"t{n}"), EngineNumber(n)) for n in range(2)]
        self.widget = ConsoleWidget() if live else None
        self.display = ConsoleDisplay("cell", "c", places, lambda: self.widget)
        self.shown: list[Operation] = []
        self.now = 0.0

    def say(self, engine: int, msg_type: str, **content: Any) -> None:
        event = TaskOutput(
            CellId("cell"),
            TaskId(f"t{engine}"),
            EngineNumber(engine),
            msg_type,
            Raw(json.dumps(content).encode()),
            {},
        )
        self.shown += self.display.apply(event, (), self.now)

    def prints(self, engine: int, text: str) -> None:
        self.say(engine, "stream", name="stdout", text=text)

    def displays(self, engine: int, **data: str) -> None:
        kinds = {"png": "image/png", "html": "text/html", "plain": "text/plain"}
        self.say(engine, "display_data", data={kinds[kind]: text for kind, text in data.items()}, metadata={})

    def pass_time(self) -> None:
        self.now += 0.2
        self.shown += self.display.tick(self.now)

    def end(self) -> list[Operation]:
        for n in range(2):
            done = TaskDone(CellId("cell"), TaskId(f"t{n}"), EngineNumber(n), 1, Succeeded())
            self.shown += self.display.apply(done, (), self.now)
        self.shown += self.display.finish(self.now)
        return self.shown


def test_a_cell_is_a_console_while_it_runs_and_one_static_output_in_its_place() -> None:
    cell = Drawn()
    cell.pass_time()
    assert cell.shown == [], "nothing is shown before there is something"
    cell.prints(0, "one\n")
    cell.prints(1, "two\n")
    cell.displays(1, png=PNG, plain="<Figure>")
    cell.pass_time()
    assert cell.widget is not None
    [live] = cell.shown
    assert isinstance(live, Show)
    assert "application/vnd.jupyter.widget-view+json" in live.data
    cell.prints(0, "three\n")
    cell.pass_time()
    assert cell.widget.told["engines"]["0"]["rows"] == {"1": "three"}
    _, stays = cell.end()
    assert isinstance(stays, Show)
    assert (stays.display_id, stays.update, sorted(stays.data)) == (
        live.display_id,
        True,
        ["text/html", "text/plain"],
    )
    assert stays.data["text/plain"].splitlines() == [
        *("[engine 0] one", "[engine 0] three"),
        *("[engine 1] two", "[engine 1] (an image)"),
    ]
    assert f'src="data:image/png;base64,{PNG}"' in stays.data["text/html"]
    assert cell.widget.told["engines"] == {}, "nothing of the live view is left"


def test_a_flood_is_drawn_more_seldom_and_images_are_sent_once() -> None:
    cell = Drawn()
    cell.prints(0, "one\n")
    cell.displays(0, png=PNG)
    cell.pass_time()
    assert cell.widget is not None
    assert len(cell.widget.told["engines"]["0"]["images"]) == 1
    for at in range(900):
        cell.prints(1, f"{at} {'x' * 990}\n")
    cell.pass_time()
    number = cell.widget.told["number"]
    assert "images" not in cell.widget.told["engines"]["1"]
    cell.prints(1, "more\n")
    cell.pass_time()
    assert cell.widget.told["number"] == number, "900 kB were sent just now"
    cell.now += 5.0
    cell.pass_time()
    assert cell.widget.told["number"] == number + 1


def test_without_a_page_there_is_the_static_output_alone() -> None:
    cell = Drawn(live=False)
    cell.prints(0, "one\n")
    cell.pass_time()
    assert cell.shown == []
    [stays] = cell.end()
    assert isinstance(stays, Show)
    assert not stays.update


def test_plain_tables_are_side_by_side_in_the_console_and_text_where_there_is_no_html() -> None:
    cell, table = Drawn(), "<table><tr><td>{}</td></tr></table>"
    for engine in (0, 1):
        cell.displays(engine, html=table.format(engine), plain=f"cell {engine}\nof it")
    cell.pass_time()
    assert cell.widget.told["engines"]["1"]["images"] == [table.format(1)]
    _live, stays = (each for each in cell.end() if isinstance(each, Show))
    assert f'<figure><figcaption>engine 1</figcaption><div class="nbc-rich">{table.format(1)}</div>' in str(
        stays.data["text/html"]
    )
    assert "[engine 0] cell 0\n[engine 0] of it" in str(stays.data["text/plain"])


def test_what_is_richer_stands_below_and_silence_shows_nothing() -> None:
    assert Drawn().end() == []
    cell = Drawn()
    cell.displays(0, html="<table/>", png=PNG)
    cell.end()
    heading, table = (each for each in cell.shown if isinstance(each, Show))
    assert "text/html" in table.data
    assert heading != table


def test_clearing_waits_for_what_comes_next() -> None:
    cell = Drawn(live=False)
    cell.prints(0, "old\n")
    cell.say(0, "clear_output", wait=True)
    cell.pass_time()
    assert not cell.display._console.is_empty
    cell.prints(0, "new\n")
    cell.prints(1, "kept\n")
    cell.say(0, "clear_output", wait=False)
    [stays] = cell.end()
    assert isinstance(stays, Show)
    assert stays.data["text/plain"] == "[engine 1] kept"


def test_late_output_is_text_below() -> None:
    cell = Drawn()
    cell.end()
    cell.shown.clear()
    cell.prints(0, "late\n")
    cell.pass_time()
    assert "late" in str(cell.shown)
