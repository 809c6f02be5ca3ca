"""Plots: what a board holds is in their columns, each source has its name, and nothing of BokehJS is in a document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bokeh.models import ColumnDataSource, Plot

from nbcluster.core.board import Board
from nbcluster.drawing.graph import MOST_NODES, GraphShown, NodeShown
from nbcluster.drawing.style import LABELS
from nbcluster.plots import columns, figures
from nbcluster.protocol.feed import EngineLoad, Item, Lane, Scope, Strip, WorkTold

HOSTILE = "<script>alert(1)</script>"


def board(*items: Item) -> Board:
    return Board().apply(WorkTold(1, 110.0, True, items))


WORK = board(
    Lane(0, 0, (Strip(101.0, 102.0, "fit", 1, 0, 1.0), Strip(102.0, 104.0, HOSTILE, 7, 2, 1.0))),
    Lane(3, 0, (Strip(101.5, 102.0, "fit", 1, 0, 0.5),)),
    EngineLoad(0, "idle", busy=(10, 20), cpu=(30, 40), memory=(50, 60)),
    EngineLoad(3, "busy", every=2.0, busy=(1, 2, 3), cpu=(4, 5, 6), memory=(7, 8, 9)),
    Scope(100.0, width=0.1, drawn=9),
)

GRAPH = GraphShown(
    (NodeShown(0, "", "a = 1", state="done"), NodeShown(1, "", HOSTILE, (0,), "running", "engine 0"))
)


def test_rectangles_are_where_and_how_the_strips_are() -> None:
    told = columns.stream(WORK)
    assert told["left"] == [1.0, 2.0, 1.5]
    assert told["right"] == [2.0, 4.0, 2.0]
    assert told["engine"] == ["engine 0", "engine 0", "engine 3"]
    assert told["told"] == ["1 task", "7 tasks, 2 did not succeed", "1 task"]
    assert told["hatch"] == [" ", "x", " "], "a failure is not told by a colour alone"
    assert told["fill"] == [LABELS[0], LABELS[1], LABELS[0]]
    heights = [bottom - top for top, bottom in zip(told["top"], told["bottom"], strict=True)]
    assert [abs(round(float(height), 2)) for height in heights] == [0.84, 0.42, 0.84], (
        "as high as it was busy"
    )
    assert len({len(column) for column in told.values()}) == 1


def test_series_end_now_and_lines_of_many_engines_differ() -> None:
    told = columns.engines(WORK)
    assert told["busy"]["xs"] == [[9.0, 10.0], [6.0, 8.0, 10.0]]
    assert told["busy"]["ys"] == [[10, 20], [1, 2, 3]]
    assert told["memory"]["ys"] == [[50, 60], [7, 8, 9]]
    many = columns.engines(board(*(EngineLoad(engine, "idle", busy=(1,)) for engine in range(32))))["busy"]
    assert len(set(zip(many["colour"], many["dash"], strict=True))) == 32


def test_graphs_have_their_nodes_and_arrows_and_are_bounded() -> None:
    told = columns.graph(GRAPH)
    assert told["nodes"]["sign"] == ["✓", "▶"]
    assert told["nodes"]["y"][0] > told["nodes"]["y"][1], "what needs a value stands below"
    assert told["arrows"]["x0"] == told["arrows"]["x1"]
    many = GraphShown(tuple(NodeShown(number, "", "n", (number - 1,)) for number in range(1, 3_000)))
    assert len(columns.graph(many)["nodes"]["x"]) <= MOST_NODES


def test_what_has_nothing_to_draw_is_left_out() -> None:
    assert columns.of_board(Board()) == {}
    assert set(columns.of_board(board(EngineLoad(0, "idle")))) == {"engines"}
    assert set(columns.of_board(WORK, GRAPH)) == {"stream", "graph", "engines"}
    assert figures.documents(Board()) == {}


def test_each_source_is_found_by_its_name_and_takes_later_columns() -> None:
    found = columns.of_board(WORK, GRAPH)
    made = figures.of_board(WORK, GRAPH)
    assert set(made) == set(found)
    for plot, sources in found.items():
        for name, values in sources.items():
            [source] = made[plot].select({"name": name})  # BokehJS finds none where several bear a name
            assert isinstance(source, ColumnDataSource)
            assert set(source.data) == set(values)


def test_each_measure_has_a_figure_and_rows_have_names() -> None:
    made = figures.of_board(WORK, GRAPH)
    assert len(list(made["engines"].select({"type": Plot}))) == len(columns.SERIES)
    stream: Any = made["stream"]
    assert stream.yaxis[0].major_label_overrides == {0: "engine 0", 1: "engine 3"}


@pytest.mark.parametrize("is_dark", [False, True])
def test_documents_are_small_and_follow_the_theme(is_dark: bool) -> None:
    told = json.dumps(figures.documents(WORK, GRAPH, is_dark=is_dark))
    assert (figures.DARK in told, figures.LIGHT in told) == (is_dark, not is_dark)
    assert len(told) < 60_000


def test_who_cannot_see_is_told_what_was_summarised() -> None:
    told = columns.labels(WORK, GRAPH)
    assert told["stream"] == "task stream of 2 engines: 9 tasks in 3 rectangles"
    assert told["graph"] == "graph of 2 statements"
    assert "engine 0" in told["engines"]


def test_another_set_of_engines_is_another_shape() -> None:
    assert columns.shapes(WORK)["stream"] == "0,3"
    assert columns.shapes(WORK)["engines"] == columns.shapes(Board())["engines"]
