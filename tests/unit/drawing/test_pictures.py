"""Boards as text, HTML and SVG: what is said, what is escaped, how large it gets."""

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from nbcluster.core.board import Board
from nbcluster.drawing import words
from nbcluster.drawing.parts import MOST_BARS
from nbcluster.drawing.picture import PARTS, Picture
from nbcluster.drawing.style import CSS
from nbcluster.drawing.words import Wait
from nbcluster.ids import EngineNumber
from nbcluster.protocol.feed import Bar, Curve, EngineLoad, Failure, Item, Lane, Scope, Strip, WorkTold

HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>\'"&</style>'
ZERO = EngineNumber(0)


def board(*items: Item, now: float = 110.0) -> Board:
    return Board().apply(WorkTold(1, now, True, items))


class Reader(HTMLParser):
    """The elements of a page that are open, their attributes, and its text outside of styles."""

    VOID = ("br", "img", "path", "polyline")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


EVERYTHING = (
    Bar(HOSTILE, 10, running=2, done=3, failed=1, cancelled=1, lost=1, seconds=4.0, first=100.0, last=109.0),
    EngineLoad(ZERO, "busy", HOSTILE, 109.0, 1.0, (0, 75), (10, 120), (0, 99)),
    EngineLoad(EngineNumber(1), "restarting"),
    Lane(ZERO, 0, (Strip(100.0, 101.0, HOSTILE, 1, 0, 1.0), Strip(102.0, 104.0, HOSTILE, 3, 1, 1.0))),
    Curve(HOSTILE, ZERO, HOSTILE, (101.0, 102.0), (3.0, 1.0)),
    Failure(7, HOSTILE, ZERO, 105.0, HOSTILE),
    Scope(99.0, 0.5, 4, 7, 2, 3, 5),
)


@pytest.mark.parametrize("live", [True, False])
def test_what_users_name_and_say_is_escaped_wherever_it_stands(live: bool) -> None:
    picture = Picture(board(*EVERYTHING), Wait(HOSTILE, 3, 10))
    html = "".join(picture.parts().values()) if live else picture.html()
    read = Reader(html)
    assert read.open == [], "every element is closed"
    assert {tag for tag, _ in read.tags} & {"script", "iframe", "object", "link"} == set()
    for tag, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "href"]
        assert tag == "img" or "src" not in attributes
    assert html.count("</style>") == (0 if live else 1)
    text = "".join(read.texts)
    assert text.count("<img src=x onerror=") >= 5, "it is shown as it is"


def image_in(html: str) -> ElementTree.Element:
    [image] = [attributes for tag, attributes in Reader(html).tags if tag == "img"]
    kind, _, encoded = (image["src"] or "").partition(",")
    assert kind == "data:image/svg+xml;base64"
    return ElementTree.fromstring(b64decode(encoded))


def test_a_picture_needs_neither_script_nor_network() -> None:
    html = Picture(board(*EVERYTHING), Wait("gather", 3, 10)).html()
    image = image_in(html)
    assert not re.search(
        r"<script|@import|url\(|href|src=", html.replace("src=x", "").replace('src="data:', "")
    )
    drawn = ElementTree.tostring(image, encoding="unicode")
    assert not re.search(r"<script|@import|url\(|href|src=", drawn.replace("src=x", ""))


def test_where_styles_are_taken_out_an_image_says_the_same() -> None:
    html = Picture(board(*EVERYTHING), Wait("gather", 3, 10)).html()
    image = image_in(html)
    texts = ["".join(each.itertext()) for each in image.findall(".//{*}text")]
    assert "3 of 10 done, 1 failed, 1 lost, 1 cancelled, 2 running, 2 waiting" in texts
    assert any(text.startswith("<img src=x onerror=") for text in texts)
    fills = [each.get("fill") for each in image.findall(".//{*}rect")]
    assert {"#0072B2", "#D55E00", "#7F7F7F", "#56B4E9"} <= set(fills)
    assert [each.get("class") for each in image.findall(".//{*}path") if each.get("class")] == ["nbc-c0"]
    [own] = re.findall(r'<div class="nbc (nbc-[0-9a-f]{12})"', html)
    assert f".{own} .nbc-plain{{display:none}}" in html, "where they are kept it is not seen"
    assert "nbc-plain" not in CSS, "what a live view brings into the page hides no image of another picture"
    left = re.sub(r"<style.*?</style>|<[^>]*>", "\n", html, flags=re.S)
    assert "0 s" not in [line.strip() for line in left.splitlines()], "no words of the drawing stand alone"


def test_whatever_a_colour_says_is_said_in_words_too() -> None:
    html = Picture(board(*EVERYTHING)).html()
    read = Reader(html)
    told = [
        attributes.get("aria-label") or "" for _, attributes in read.tags if attributes.get("role") == "img"
    ]
    assert any("3 of 10 done, 1 failed, 1 lost, 1 cancelled, 2 running, 2 waiting" in each for each in told)
    engines = Reader(Picture(board(*EVERYTHING)).parts()["engines"])
    assert any("75 % of its time" in (attributes.get("aria-label") or "") for _, attributes in engines.tags)
    text = " ".join(read.texts)
    assert "✕ marks the 1 that did not succeed" in text
    assert "the last 1 of 7 errors" in text


def test_what_is_summarised_says_so_and_how_many() -> None:
    parts = Picture(board(*EVERYTHING)).parts()
    assert "2 labels that rested longest are not told of" in parts["bars"]
    assert "and 3 more engines" in parts["engines"]
    assert "5 numbers of further reports are not shown" in parts["curves"]
    html = Picture(board(*EVERYTHING)).html()
    assert "4 tasks in 2 rectangles: what an engine ran within 0.5 s is one" in html
    assert "2 tasks ended before that, or never ran" in html


def test_many_labels_are_few_bars_those_that_matter_and_one_line_for_the_rest() -> None:
    bars = [Bar(f"step {n:02}", 10, done=10, first=float(n), last=float(n)) for n in range(40)]
    bars[3] = Bar("step 03", 10, running=1, done=5, first=3.0, last=3.0)
    bars[5] = Bar("step 05", 10, failed=1, done=9, first=5.0, last=5.0)
    shown = Picture(board(*bars, Scope(0.0))).text().splitlines()
    assert len(shown) == MOST_BARS + 1
    assert shown[0] == "step 03  5 of 10 done, 1 running, 4 waiting"
    assert shown[1] == "step 05  9 of 10 done, 1 failed"
    assert shown[2:-1] == [f"step {n}  10 done" for n in range(30, 40)]
    assert shown[-1] == "28 more labels: 280 of 280 done"


def test_the_svg_is_well_formed_and_draws_each_strip_where_it_was() -> None:
    html = Picture(board(*EVERYTHING)).html()
    [svg] = [found for found in re.findall(r"<svg.*?</svg>", html, re.S) if "task stream" in found]
    root = ElementTree.fromstring(svg)
    [path] = [each for each in root.iter("path") if each.get("class") == "nbc-c0"]
    # 872 wide from 28 on for 4 s: the first takes a quarter, the second begins in the middle and is half as high.
    assert path.get("d") == "M28.0 2h217.5v12h-217.5zM464.0 8h435.5v6h-435.5z"


def test_labels_that_were_done_before_are_left_out() -> None:
    old, new = Bar("old", 3, done=3, last=90.0), Bar("new", 3, done=3, last=105.0)
    waits = Bar("waits", 3, done=1, last=90.0)
    assert [bar.label for bar in Picture(board(old, new, waits), since=100.0).bars] == ["new", "waits"]


def test_the_largest_picture_is_under_200_kilobytes() -> None:
    label = "<" * 500
    items: list[Item] = [
        *(Bar(f"{label}{n}", 10**9, 10**8, 10**8, 10**8, 10**8, 10**8, 1e9, 1.0, 1e9) for n in range(100)),
        *(
            EngineLoad(EngineNumber(n), "restarting", label, 1.0, 1.0, (9,) * 60, (9999,) * 60, (9,) * 60)
            for n in range(64)
        ),
        *(
            Lane(
                EngineNumber(n), 0, tuple(Strip(at, at + 0.7, f"{label}{at}", 9, 9, 0.5) for at in range(16))
            )
            for n in range(64)
        ),
        *(
            Curve(label, EngineNumber(n), label, tuple(map(float, range(101))), (1 / 3,) * 101)
            for n in range(24)
        ),
        *(Failure(n, label, ZERO, 1.0, "<&" * 2000 + "… (9999999 more characters)") for n in range(5)),
        Scope(0.0, 9.0, 10**9, 10**9, 10**9, 10**9, 10**9),
    ]
    picture = Picture(board(*items), Wait(label, 10**9, 10**9))
    html = picture.html()
    assert len(html.encode()) < 200_000
    assert Reader(html).open == []
    assert "(cut: it has 4,027 characters)" in html


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (Wait("gather", 0, 10), "0 of 10 calls, since 0 ms"),
        (
            Wait("gather", 20, 100, 1, "call", 10.0),
            "20 of 100 calls, 1 failed, since 10 s, 2.0/s, about 40 s left",
        ),
        (Wait("map of f", 5000, None, 0, "item", 10.0), "5,000 items done, since 10 s, 500/s"),
        (Wait("cell", 1, 1, 0, "call", 90.0, "done"), "1 of 1 call, took 90 s"),
        (Wait("map of f", 6, 6, 0, "item", 90.0, "done"), "6 of 6 items, took 90 s, 15 s each"),
        (Wait("cell", 0, 2, 0, "call", 7300.0, "interrupted"), "0 of 2 calls, interrupted after 2 h 1 min"),
        (Wait("cell", 1, 2, 1, "call", 1.0, "failed"), "1 of 2 calls, 1 failed, failed after 1.0 s"),
        (
            Wait("cell [4]", 16, 16, 16, "engine", 29.0, "interrupted"),
            "16 of 16 engines, 16 did not succeed, interrupted after 29 s, 0.6/s",
        ),
    ],
)
def test_headlines(wait: Wait, said: str) -> None:
    assert ", ".join(words.headline(wait)) == said


def test_a_cluster_that_tells_no_more_is_said_with_the_reason() -> None:
    picture = Picture(board(*EVERYTHING).end("the controller <b>died</b>"), Wait("gather", 3, 10))
    assert picture.text().splitlines()[1] == "as it was last told; the controller <b>died</b>"
    for html in (picture.html(), picture.parts()["head"]):
        assert "as it was last told; the controller &lt;b&gt;died&lt;/b&gt;" in html


def test_nothing_was_sent_yet() -> None:
    assert repr(Picture(Board())) == "nothing was sent yet"
    assert set(Picture(Board()).parts()) == set(PARTS)
    assert Reader(Picture(Board()).html()).open == []
