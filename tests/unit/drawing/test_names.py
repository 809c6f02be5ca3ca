"""Names on engines as HTML: by engine, side by side, bounded, escaped."""

from __future__ import annotations

from nbcluster.drawing import names as drawing
from nbcluster.protocol.tasks import NameInfo

HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>\'"&</style>'


def test_each_engine_has_its_names_and_their_sum() -> None:
    names = {
        0: [NameInfo("x", "list", (2,), 1024), NameInfo("y", "int", None, 28, "", "7")],
        3: [],
    }
    parts = drawing.describe(names, "Names of namespace “a”", "live")
    assert sorted(parts) == ["after", "head", "names/0", "names/3", "root"]
    assert "live" in parts["head"]
    assert "<b>engine 0</b> 2 names, 1.03 KiB" in parts["names/0"]
    assert '<th scope="row" title="x">x</th><td>list</td><td>2</td>' in parts["names/0"]
    assert "<b>engine 3</b> 0 names" in parts["names/3"]
    html = drawing.filled(parts)
    assert "data-part" not in html
    assert html.count("<table") == 1


def test_of_thousands_of_names_the_largest_are_shown_and_the_rest_is_counted() -> None:
    many = [NameInfo(f"n{at:04}", "int", None, at) for at in range(5000)]
    parts = drawing.describe({engine: many for engine in range(60)}, "Names")
    html = drawing.filled(parts)
    assert "n4999" in html
    assert "n0000" not in html
    assert "the 10 largest; 4,990 more are in the list itself" in parts["names/0"]
    assert "and 20 more engines" in parts["after"]
    assert html.count("<tr data-key") == drawing.MOST_ROWS
    assert len(html) < 150_000
    assert "the 100 largest" in drawing.describe({0: many}, "Names")["names/0"]


def test_engines_that_agree_throughout_share_a_column_and_what_is_odd_is_marked() -> None:
    unlike = [
        ("x", {0: "int 1", 1: "int 1", 2: "int 1", 5: "int 2"}),
        ("y", {0: "a", 1: "a", 2: "a", 5: "missing"}),
    ]
    table = drawing.differences(unlike, [0, 1, 2, 5], "What differs")["table"]
    assert '<th scope="col">engines 0–2</th><th scope="col">engine 5</th>' in table
    assert '<td>int 1</td><td class="nbc-other"><span aria-hidden="true">≠</span> int 2</td>' in table
    assert '<td class="nbc-missing">— missing</td>' in table


def test_differences_are_bounded_and_say_what_is_left_out() -> None:
    engines = list(range(30))
    unlike = [(f"n{at:03}", {engine: f"int {engine}" for engine in engines}) for at in range(140)]
    parts = drawing.differences(unlike, engines, "What differs")
    assert parts["table"].count("<tr data-key") == drawing.MOST_DIFFERENCES
    assert "40 more names differ; 18 more engines with yet other values" in parts["after"]
    assert "Every engine has the same names" in drawing.differences([], engines, "What differs")["table"]


def test_names_types_and_previews_are_escaped() -> None:
    described = drawing.describe({0: [NameInfo(HOSTILE, HOSTILE, None, 1, "", HOSTILE)]}, HOSTILE, HOSTILE)
    unlike = drawing.differences([(HOSTILE, {0: HOSTILE, 1: "missing"})], [0, 1], HOSTILE, HOSTILE)
    for html in (drawing.filled(described), drawing.filled(unlike)):
        assert "<img" not in html
        assert "<script" not in html
        assert 'onerror="' not in html
