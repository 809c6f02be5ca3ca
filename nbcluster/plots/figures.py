"""Bokeh figures of a board, and documents of them for a page that has BokehJS. Knows no page, no clusters.

Each source bears the name that its columns have in `nbcluster.plots.columns`: who shows a figure brings it up to date
by giving its sources other columns.
"""

from __future__ import annotations

from typing import Any

from bokeh.core.validation import silence
from bokeh.core.validation.warnings import MISSING_RENDERERS
from bokeh.embed import json_item
from bokeh.layouts import row
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, LayoutDOM, Range1d
from bokeh.plotting import figure
from bokeh.themes import Theme

from nbcluster.core.board import Board
from nbcluster.drawing.graph import GraphShown
from nbcluster.plots import columns
from nbcluster.plots.columns import Columns

silence(MISSING_RENDERERS, True)

TOOLS = "xpan,xwheel_zoom,box_zoom,reset,save"

TITLES = {"busy": "busy, % of the time", "cpu": "CPU, % of one core", "memory": "memory, MiB"}

LIGHT, DARK = "#444444", "#D0D0D0"


def stream(source: ColumnDataSource, engines: list[int]) -> LayoutDOM:
    """The task stream: a row for each engine; pointed at, a rectangle tells what it is."""
    made = figure(
        height=max(120, 60 + 22 * len(engines)),
        sizing_mode="stretch_width",
        tools=TOOLS,
        active_scroll=None,
        toolbar_location="above",
        x_axis_label="seconds",
        y_range=Range1d(start=len(engines) - 0.4, end=-0.6),  # as elsewhere: the first engine is on top
        output_backend="canvas",
    )
    made.quad(
        left="left",
        right="right",
        bottom="bottom",
        top="top",
        fill_color="fill",
        line_color=None,
        hatch_pattern="hatch",
        hatch_color="#FFFFFF",
        source=source,
    )
    made.add_tools(
        HoverTool(tooltips=[("label", "@label"), ("took", "@took"), ("where", "@engine"), ("what", "@told")])
    )
    made.yaxis.ticker = list(range(len(engines)))
    made.yaxis.major_label_overrides = {at: f"engine {engine}" for at, engine in enumerate(engines)}
    made.ygrid.visible = False
    return made


def series(name: str, source: ColumnDataSource) -> LayoutDOM:
    """One measure of how engines were used: a line for each."""
    made = figure(
        height=170,
        title=TITLES[name],
        sizing_mode="stretch_width",
        tools=TOOLS,
        active_scroll=None,
        toolbar_location=None,
        x_axis_label="seconds",
        y_range=DataRange1d(start=0),
        output_backend="canvas",
    )
    made.multi_line(xs="xs", ys="ys", line_color="colour", line_dash="dash", line_width=1.8, source=source)
    made.add_tools(HoverTool(tooltips=[("engine", "@engine"), (name, "$snap_y")], line_policy="interp"))
    return made


def graph(nodes: ColumnDataSource, arrows: ColumnDataSource, high: float) -> LayoutDOM:
    """The graph, so many pixels high: what needs a value stands below what makes it."""
    made = figure(
        height=int(min(520, max(160, 60 + high))),
        sizing_mode="stretch_width",
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll=None,
        toolbar_location="above",
        output_backend="canvas",
    )
    made.segment(x0="x0", y0="y0", x1="x1", y1="y1", line_color="#7F7F7F", line_alpha=0.7, source=arrows)
    boxes = made.rect(
        x="x", y="y", width="width", height="height", fill_color="fill", line_color=None, source=nodes
    )
    made.text(
        x="x",
        y="y",
        text="sign",
        text_align="center",
        text_baseline="middle",
        text_color="#FFFFFF",
        source=nodes,
    )
    tips = [("what", "@name"), ("state", "@state"), ("more", "@where")]
    made.add_tools(HoverTool(tooltips=tips, renderers=[boxes]))
    made.axis.visible = False
    made.grid.visible = False
    return made


def of_board(board: Board, shown: GraphShown | None = None) -> dict[str, LayoutDOM]:
    """The figures of a board by plot: `stream`, `graph` and `engines`, those that have something to draw.

    Parameters
    ----------
    board : Board
    shown : GraphShown, optional
        The work as a graph.
    """
    made: dict[str, LayoutDOM] = {}
    for plot, found in columns.of_board(board, shown).items():
        sources = {name: _source(name, values) for name, values in found.items()}
        if plot == "stream":
            made[plot] = stream(sources["stream"], sorted(board.strips))
        elif plot == "graph":
            high = columns.height(found["nodes"])
            made[plot] = graph(sources["nodes"], sources["arrows"], high)
        else:
            rows = [series(name, sources[name]) for name in columns.SERIES]
            made[plot] = row(children=rows, sizing_mode="stretch_width")
    return made


def documents(board: Board, shown: GraphShown | None = None, *, is_dark: bool = False) -> dict[str, Any]:
    """The figures as `Bokeh.embed.embed_item` takes them, by plot."""
    style = theme(is_dark=is_dark)
    return {plot: json_item(made, theme=style) for plot, made in of_board(board, shown).items()}


def theme(*, is_dark: bool) -> Theme:
    """How plots look: on whatever the page has behind them."""
    ink = DARK if is_dark else LIGHT
    lines = {"axis_line_color": ink, "major_tick_line_color": ink, "minor_tick_line_color": None}
    texts = {
        "major_label_text_color": ink,
        "axis_label_text_color": ink,
        "axis_label_text_font_style": "normal",
    }
    return Theme(
        json={
            "attrs": {
                "Plot": {"background_fill_alpha": 0, "border_fill_alpha": 0, "outline_line_color": None},
                "Grid": {"grid_line_color": ink, "grid_line_alpha": 0.2},
                "Axis": {**lines, **texts},
                "Title": {"text_color": ink, "text_font_size": "12px", "text_font_style": "normal"},
            }
        }
    )


def _source(name: str, values: Columns) -> ColumnDataSource:
    return ColumnDataSource(data=values, name=name)
