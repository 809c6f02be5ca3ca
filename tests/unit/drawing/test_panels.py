"""The launcher as HTML and text: what is shown when, what is escaped, what is told to screen readers."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from nbcluster.core.board import Board
from nbcluster.drawing import enginetable
from nbcluster.drawing.enginetable import EngineRow, rows_of_board, rows_of_status
from nbcluster.drawing.panel import Offers, PanelView, Question, Under, connecting_code, parts, static
from nbcluster.ids import EngineNumber, Incarnation
from nbcluster.protocol.feed import EngineFacts, EngineLoad, WorkTold
from nbcluster.protocol.status import EngineStatus

HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>\'"&</style>'
ZERO, ONE = EngineNumber(0), EngineNumber(1)


class Reader(HTMLParser):
    """The elements of a page and its text; every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "input":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def asks(self) -> list[str]:
        """What its buttons and forms ask for."""
        return [attrs["data-do"] or "" for _, attrs in self.tags if "data-do" in attrs]


def whole(view: PanelView) -> str:
    """All parts, where they belong."""
    found = parts(view)
    html = found["root"]
    while slots := [name for name in re.findall(r'data-part="([^"]+)"></', html) if name in found]:
        for name in slots:
            html = html.replace(f'data-part="{name}"></', f'data-filled="{name}">{found[name]}</', 1)
    return html


def test_without_a_cluster_there_is_a_form_and_what_runs() -> None:
    offers = Offers("nb", 4, (("bash", "Bash"),), ("local", "ssh"), ("old",))
    page = Reader(whole(PanelView(offers)))
    assert page.asks() == ["start", "connect"]
    assert "No cluster yet." in page.text
    assert "Connect to “old”" in page.text
    fields = {attrs["name"]: attrs.get("value") for tag, attrs in page.tags if tag in ("input", "select")}
    assert fields == {"name": "nb", "n": "4", "kernel": None, "launcher": None, "tags": None}
    options = [attrs["value"] for tag, attrs in page.tags if tag == "option"]
    assert options == ["", "bash", "local", "ssh"]
    labels = sum(tag == "label" for tag, _ in page.tags)
    assert labels == len(fields), "each field has a label"


def test_a_cluster_has_its_engines_their_buttons_and_the_code_that_connects() -> None:
    rows = (
        EngineRow(0, "busy", "fit", 65.2, 1200, 99, "python3", "here", 77, ("gpu",)),
        EngineRow(3, "failed", note="exited with code 1\nImportError: <nope>"),
    )
    page = Reader(whole(PanelView(cluster="nb", rows=rows, left_out=2)))
    assert page.asks() == ["scale", "add", "stop", "interrupt", "restart", "interrupt", "restart"]
    assert "2 engines: 1 busy, 1 failed" in page.text
    for told in (
        "65 s",
        "1,200 MiB",
        "99 %",
        "python3",
        "here",
        "gpu",
        "ImportError: <nope>",
        "2 more engines",
    ):
        assert told in page.text
    names = [attrs["aria-label"] for tag, attrs in page.tags if attrs.get("data-do") == "restart"]
    assert names == ["Restart engine 0", "Restart engine 3"]
    assert [attrs["scope"] for tag, attrs in page.tags if tag == "th"] == ["col"] * 9 + ["row"] * 2
    assert "engines of the cluster nb" in page.text, "the table has a caption"
    [copied] = [attrs["data-copy"] for _, attrs in page.tags if "data-copy" in attrs]
    assert copied == 'from nbcluster import Cluster\ncluster = Cluster.connect("nb")'


def test_only_the_row_of_an_engine_changes_with_it() -> None:
    before = parts(PanelView(cluster="nb", rows=(EngineRow(0, "idle"), EngineRow(1, "idle"))))
    after = parts(PanelView(cluster="nb", rows=(EngineRow(0, "idle"), EngineRow(1, "idle", cpu=3, memory=1))))
    assert [name for name in after if after[name] != before[name]] == ["row/1"]


def test_what_is_under_way_says_what_it_waits_for_and_its_clock_is_not_read_out() -> None:
    view = PanelView(under_way=(Under("starting cluster “a”", 3.4, "engine 1 (starting)"),), is_blocked=True)
    said = parts(view)["said"]
    assert "waiting for engine 1 (starting)" in said
    assert re.search(r'aria-hidden="true"[^>]*>3 s<', said)
    assert parts(view)["form"] == "", "nothing else can be started meanwhile"


def test_a_question_takes_the_focus_and_can_be_refused() -> None:
    page = Reader(parts(PanelView(cluster="a", question=Question("Stop “a”?", "Stop it")))["question"])
    assert [
        (attrs["data-do"], "data-focus" in attrs, "data-escape" in attrs) for tag, attrs in page.tags[2:]
    ] == [
        ("confirm", True, False),
        ("dismiss", False, True),
    ]


def test_a_long_error_keeps_its_beginning_and_its_end() -> None:
    text = parts(PanelView(trouble="engine 0 did not start\n" + "x" * 9000 + "\nLastWord"))["trouble"]
    assert "engine 0 did not start" in text
    assert "LastWord" in text
    assert "characters are left out here" in text
    assert len(text) < 8000


@pytest.mark.parametrize("has_cluster", [True, False])
def test_whatever_users_say_is_escaped_everywhere(has_cluster: bool) -> None:
    rows = (
        EngineRow(0, HOSTILE, HOSTILE, 1.0, 1, 1, HOSTILE, HOSTILE, 7, (HOSTILE,), f"{HOSTILE}\n{HOSTILE}"),
        EngineRow(1, "failed", note=HOSTILE),
    )
    view = PanelView(
        Offers(HOSTILE, 2, ((HOSTILE, HOSTILE),), (HOSTILE,), (HOSTILE,)),
        HOSTILE if has_cluster else "",
        rows if has_cluster else (),
        under_way=(Under(HOSTILE, 1.0, HOSTILE),),
        said=HOSTILE,
        trouble=f"{HOSTILE}\n{HOSTILE}",
        question=Question(HOSTILE, HOSTILE, HOSTILE),
    )
    for html in (whole(view), static(HOSTILE, rows, HOSTILE)):
        page = Reader(html)
        assert not {"img", "script", "style"} & {tag for tag, _ in page.tags}
        assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
        assert page.text.count("alert(2)") >= 3


def test_the_code_that_connects_is_python_whatever_the_name() -> None:
    name = 'a"\\b'
    assert eval(connecting_code(name).splitlines()[-1].partition("connect")[2]) == name


def test_the_rows_of_a_board_are_its_loads_with_their_facts() -> None:
    loads = (
        EngineLoad(ONE, "busy", "fit", 95.0, busy=(1,), memory=(0, 200), cpu=(0, 50)),
        EngineLoad(ZERO, "starting", memory=(0,), cpu=(0,)),
    )
    facts = (EngineFacts(ONE, "here", 9, "python3", ("gpu",), "note"),)
    rows = rows_of_board(Board().apply(WorkTold(1, 100.0, True, (*loads, *facts))))
    assert rows == [
        EngineRow(0, "starting"),
        EngineRow(1, "busy", "fit", 5.0, 200, 50, "python3", "here", 9, ("gpu",), "note"),
    ]


def test_the_text_has_the_same_columns_as_the_table() -> None:
    status = EngineStatus(
        ONE,
        Incarnation(1),
        "busy",
        host="here",
        pid=9,
        kernel="python3",
        memory=300 << 20,
        cpu=49.6,
        running="fit",
        running_since=97.0,
    )
    lines = enginetable.text(rows_of_status([status], 100.0)).splitlines()
    assert lines[0].split() == ["engine", "state", "runs", "for", "memory", "cpu", "kernel", "host"]
    assert lines[1].split() == ["1", "busy", "fit", "3.0", "s", "300", "MiB", "50", "%", "python3", "here"]
    assert enginetable.text([]) == ""
