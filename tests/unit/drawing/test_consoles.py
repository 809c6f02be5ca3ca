"""Text of engines as HTML: colours, what is escaped, what is left out and said to be, one static output."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbcluster.drawing import ansi
from nbcluster.drawing.console import MOST_BYTES, MOST_TEXT, Said, html, is_image, text

GOLDEN = Path(__file__).parents[2] / "golden" / "console"
DOT = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    ("line", "drawn"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("\x1b[31mred\x1b[39m no", '<span class="nbc-red">red</span> no'),
        (
            "\x1b[1;32mboth\x1b[22mgreen\x1b[m.",
            '<span class="nbc-bold nbc-green">both</span><span class="nbc-green">green</span>.',
        ),
        ("\x1b[91;44mx", '<span class="nbc-red nbc-on-blue">x</span>'),
        ("\x1b[38;5;196mx\x1b[0m", '<span style="color:#ff0000">x</span>'),
        ("\x1b[38;5;2mx", '<span class="nbc-green">x</span>'),
        ("\x1b[48;5;244mx", '<span style="background:#808080">x</span>'),
        ("\x1b[38;2;1;2;300;3mx", '<span class="nbc-italic" style="color:#0102ff">x</span>'),
        ("\x1b[7mx", '<span class="nbc-inverse">x</span>'),
        ("\x1b[7;31mx", '<span class="nbc-on-red">x</span>'),
        ("\x1b[38;5mx", "x"),
        ("\x1b[2K\x1b[1A\x1b[?25lx\x1b]0;title\x07y\x1b(Bz\x07\x00", "xyz"),
        ("\x1b[31m", ""),
        ("\x1b", ""),
        ("<\x1b[31m&\x1b[0m>", '&lt;<span class="nbc-red">&amp;</span>&gt;'),
    ],
)
def test_colours_are_honoured_and_the_rest_is_left_out(line: str, drawn: str) -> None:
    assert ansi.to_html(line) == drawn
    assert "\x1b" not in ansi.plain(line)


PARTS = (
    Said("engine 0", ("epoch 1", "\x1b[32mdone\x1b[0m <script>alert(1)</script>"), 3, (DOT,)),
    Said("engines 1,2", ("the same",)),
    Said("engine 3"),
)


def test_a_console_stays_as_it_was() -> None:
    drawn = html(PARTS, "cluster.last.output")
    assert drawn.partition("</style>")[2] == (GOLDEN / "stays.html").read_text().rstrip("\n")
    assert text(PARTS).splitlines() == [
        "[engine 0] … 3 earlier lines",
        "[engine 0] epoch 1",
        "[engine 0] done <script>alert(1)</script>",
        "[engine 0] (an image)",
        "[engines 1,2] the same",
    ]


def test_what_is_long_is_folded_and_bounded_and_says_so() -> None:
    parts = [Said(f"engine {n}", [f"line {at} <&> of a run" for at in range(1000)]) for n in range(16)]
    drawn = html(parts, "cluster.last.output")
    assert len(drawn.encode()) < MOST_BYTES + 20_000
    assert "<details open" not in drawn
    assert drawn.count("engine 3: 1,000 lines") == 1
    assert drawn.count("earlier lines not shown; see cluster.last.output") == 16
    assert drawn.count("line 999") == 16, "the last ones are kept"
    lines = text(parts, "cluster.last.output").splitlines()
    assert len("\n".join(lines).encode()) < MOST_TEXT + 2_000
    assert sum(line.endswith("earlier lines; see cluster.last.output") for line in lines) == 16
    assert sum("line 999 " in line for line in lines) == 16


def test_only_images_are_images() -> None:
    assert is_image(DOT)
    for hostile in (
        "javascript:alert(1)",
        'data:image/png;base64,A" onerror="x',
        "data:text/html;base64,AAAA",
        "http://x/y.png",
    ):
        assert not is_image(hostile)
        assert hostile not in html([Said("engine 0", ("x",), 0, (hostile,))])
