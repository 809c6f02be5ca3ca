"""Graphs as SVG: where nodes are, what is summarised, what is said beside colours, what is escaped."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from nbcluster.core.board import Board
from nbcluster.drawing.graph import (
    MOST_NODES,
    SIGNS,
    GraphShown,
    NodeShown,
    collapsed,
    graph,
    layers_of,
    placed,
)
from nbcluster.drawing.picture import Picture
from nbcluster.protocol.feed import Bar, Scope, WorkTold

GOLDEN = Path(__file__).parents[2] / "golden" / "graph"

CELL = GraphShown(
    (
        NodeShown(0, "cell [3] line 2", "data = load('sales.csv')", (), "done", "engine 0, 1.2 s"),
        NodeShown(1, "cell [3] line 3", "prices = load('prices.csv')", (), "done", "engine 1, 0.8 s"),
        NodeShown(
            2,
            "cell [3] line 4",
            "fits = [fit(data, n) for n in range(9)]",
            (0,),
            "running",
            "",
            ("done",) * 19 + ("failed", "running", "waiting"),
            "19 of 22 elements",
        ),
        NodeShown(3, "cell [3] lines 5-8", "if prices: … and 3 more", (1,), "failed", "engine 1, 3 ms"),
        NodeShown(4, "cell [3] line 9", "<b>&report</b>", (0, 3), "cancelled"),
        NodeShown(5, "cell [3] line 10", "max(fits)", (2,)),
    )
)


def test_a_graph_is_drawn_as_it_was() -> None:
    assert graph(CELL) == (GOLDEN / "cell.html").read_text().rstrip("\n")


def tree(count: int, state: str = "done") -> GraphShown:
    return GraphShown(
        tuple(
            NodeShown(n, f"cell [1] line {n}", f"x{n}", (n // 3,) if n else (), state) for n in range(count)
        )
    )


def test_what_needs_a_value_is_in_a_lower_layer_and_nothing_covers_another() -> None:
    for seed in range(20):
        chosen = random.Random(seed)
        nodes = [
            NodeShown(n, "", f"x{n}", tuple(chosen.sample(range(n), min(n, chosen.randrange(3)))))
            for n in range(chosen.choice((5, 50, 90)))
        ]
        layers, places = layers_of(nodes), placed(nodes)
        for node in nodes:
            for need in node.needs:
                assert layers[need] < layers[node.number]
                assert places[need][1] + places[need][3] < places[node.number][1]
        spots = list(places.values())
        for at, (left, top, wide, high) in enumerate(spots):
            for other_left, other_top, other_wide, other_high in spots[:at]:
                apart = (
                    left >= other_left + other_wide
                    or other_left >= left + wide
                    or top >= other_top + other_high
                    or other_top >= top + high
                )
                assert apart


def test_a_circle_is_drawn_all_the_same() -> None:
    nodes = (NodeShown(0, "", "a", (1,)), NodeShown(1, "", "b", (0, 7)), NodeShown(2, "", "c", (1,)))
    assert "3 statements" in graph(GraphShown(nodes))


@pytest.mark.parametrize("count", [501, 5_000])
@pytest.mark.parametrize("make", [tree, lambda count: chain(count)], ids=["tree", "chain"])
def test_a_large_graph_is_few_nodes_and_says_how_many_they_stand_for(make, count: int) -> None:
    shown = make(count)
    nodes, notes = collapsed(shown)
    assert 1 < len(nodes) <= MOST_NODES
    assert notes == [
        f"{count:,} statements in {len(nodes)} nodes: those of one layer, or of neighbouring ones, are one"
    ]
    drawn = graph(shown)
    assert notes[0] in drawn
    assert f"graph: {count:,} statements, {count:,} done" in drawn
    assert len(drawn) < 120_000


def chain(count: int) -> GraphShown:
    return GraphShown(tuple(NodeShown(n, "", f"x{n}", (n - 1,) if n else (), "done") for n in range(count)))


def test_what_has_failed_among_many_is_seen() -> None:
    shown = tree(900)
    nodes = [
        NodeShown(n.number, n.label, n.text, n.needs, "failed" if n.number == 700 else "done")
        for n in shown.nodes
    ]
    few, _ = collapsed(GraphShown(tuple(nodes)))
    assert [node.state for node in few].count("failed") == 1
    assert next(node for node in few if node.state == "failed").where.endswith(", 1 failed")


def test_what_a_node_stands_for_is_unfolded_and_what_failed_comes_first() -> None:
    states = {700: "failed", 5: "running"}
    nodes = tuple(
        NodeShown(n.number, n.label, f"<b>{n.text}", n.needs, states.get(n.number, "done"))
        for n in tree(900).nodes
    )
    drawn = graph(GraphShown(nodes))
    listed = drawn.partition("what each node stands for")[2]
    groups = re.findall(r"<details data-key=\"\d+\"><summary>(.*?)</summary><ul>(.*?)</ul>", listed)
    assert [summary[0] for summary, _ in groups[:3]] == ["✕", "▶", "✓"]
    failed = groups[0][1].split("</li>")
    assert failed[0] == "<li>✕ line 700: &lt;b&gt;x700 (failed)"
    assert "<b>" not in listed
    told = sum(int(count.replace(",", "")) for count in re.findall(r"and ([\d,]+) more done", listed))
    items = len(re.findall(r"<li>. line", listed))
    single = sum(
        list(layers_of(nodes).values()).count(layer) == 1 for layer in set(layers_of(nodes).values())
    )
    assert items + told + single == 900, "nothing is left out in silence"


def test_what_many_nodes_stand_for_is_bounded_and_says_what_is_left_out() -> None:
    listed = graph(chain(5_000)).partition("what each node stands for")[2]
    assert listed.count("<ul>") == 60
    assert "and 440 nodes more" in listed
    assert "what each node stands for" not in graph(chain(400))


def test_many_parts_are_told_in_words_alone() -> None:
    cut = NodeShown(
        1, "cell [1] line 2", "[f(n) for n in many]", (0,), "running", "", ("done",) * 900, "900 of 1,000"
    )
    drawn = graph(GraphShown((NodeShown(0, "cell [1] line 1", "many = g()"), cut)))
    assert "nbc-part" not in drawn
    assert "900 parts of 1 statement told in words alone" in drawn
    assert "900 of 1,000" in drawn


def test_a_state_is_a_sign_beside_its_colour_in_boxes_and_in_squares() -> None:
    for count in (len(SIGNS), 100):
        states = [list(SIGNS)[n % len(SIGNS)] for n in range(count)]
        nodes = tuple(NodeShown(n, "", f"x{n}", (), state) for n, state in enumerate(states))
        drawn = graph(GraphShown(nodes))
        for state, sign in SIGNS.items():
            assert f"{sign} {state}" in drawn
            assert f"({state})</title>" in drawn
        if count == 100:
            signs = re.search(r'class="nbc-sign" d="([^"]+)"', drawn)
            assert signs is not None
            assert signs[1].count("M") == 80, "all but what waits, whose square is empty"


def test_what_is_in_a_cell_is_escaped() -> None:
    drawn = graph(CELL)
    assert "<b>" not in drawn
    assert "&lt;b&gt;&amp;report&lt;/b&gt;" in drawn


def test_bars_are_called_by_their_statements() -> None:
    bars = (Bar("cell [3] line 2", 1, done=1, first=1.0, last=2.0), Bar("other", 3, first=2.0), Scope(0.0))
    picture = Picture(Board().apply(WorkTold(1, 9.0, True, bars)), graph=CELL)
    assert picture.text().splitlines() == ["line 2: data = load('sales.csv')  1 done"], (
        "the cell's own work, and nothing else of this notebook"
    )
    assert "line 2: data = load(&#x27;sales.csv&#x27;)</th>" in picture.parts()["bars"]
    assert "<details>" in picture.parts()["graph"]
    assert "<svg" in picture.html()


def test_one_statement_is_no_graph() -> None:
    assert graph(GraphShown(CELL.nodes[:1])) == ""
