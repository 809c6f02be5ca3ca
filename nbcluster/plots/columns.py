"""What plots draw, as columns of their sources: a pure fold of a board. Knows no Bokeh.

Times are seconds since the board's scope begins, so that what was zoomed stays where it is while the work goes on.
"""

from __future__ import annotations

from collections.abc import Mapping

from nbcluster.core.board import Board
from nbcluster.drawing import words
from nbcluster.drawing.graph import SIGNS, GraphShown, collapsed, placed
from nbcluster.drawing.stream import colours_of
from nbcluster.drawing.style import LABELS

Columns = dict[str, list[object]]
"""Of one source, by name; all of one length."""

STATES = {
    "waiting": "#7F7F7F",
    "running": "#56B4E9",
    "done": "#0072B2",
    "failed": "#D55E00",
    "cancelled": "#7F7F7F",
}
"""Colours of Okabe and Ito; the sign of a state stands beside its colour."""

SERIES = ("busy", "cpu", "memory")

LINES = ("solid", "dashed", "dotted", "dotdash", "dashdot")
"""Of engines whose colours are alike."""

_HALF = 0.42
"""Of the height of an engine's row."""


def stream(board: Board) -> Columns:
    """The task stream: a rectangle for each task, or for as many as the board has put together."""
    since, colours = board.scope.since, colours_of(board.strips)
    columns: Columns = {
        name: []
        for name in ("left", "right", "bottom", "top", "fill", "hatch", "label", "engine", "took", "told")
    }
    for row, (engine, strips) in enumerate(sorted(board.strips.items())):
        for strip in strips:
            took = strip.end - strip.start
            part = min(1.0, strip.busy / took) if took > 0 else 1.0
            told = words.counted(strip.count, "task")
            told += f", {strip.failed:,} did not succeed" if strip.failed else ""
            values = (
                *(strip.start - since, strip.end - since),
                *(row + _HALF - 2 * _HALF * max(0.1, part), row + _HALF),  # the axis points down
                *(LABELS[colours[strip.label]], "x" if strip.failed else " "),
                *(words.short(strip.label), f"engine {engine}", words.duration(took), told),
            )
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
    return columns


def engines(board: Board) -> dict[str, Columns]:
    """How engines were used: for each of SERIES a line for each engine."""
    now = board.now - board.scope.since
    found: dict[str, Columns] = {}
    for name in SERIES:
        columns: Columns = {"xs": [], "ys": [], "engine": [], "colour": [], "dash": []}
        for at, engine in enumerate(board.engines):
            samples: tuple[int, ...] = getattr(engine, name)
            last = len(samples) - 1
            columns["xs"].append([now - (last - number) * engine.every for number in range(len(samples))])
            columns["ys"].append(list(samples))
            columns["engine"].append(f"engine {engine.engine}")
            columns["colour"].append(LABELS[at % (len(LABELS) - 1)])
            columns["dash"].append(LINES[at // (len(LABELS) - 1) % len(LINES)])
        found[name] = columns
    return found


def graph(shown: GraphShown) -> dict[str, Columns]:
    """The nodes of a graph, at most 500, and its arrows."""
    nodes, _ = collapsed(shown)
    places = placed(nodes)
    boxes: Columns = {
        name: [] for name in ("x", "y", "width", "height", "fill", "sign", "name", "state", "where")
    }
    arrows: Columns = {"x0": [], "y0": [], "x1": [], "y1": []}
    for node in nodes:
        left, top, width, height = places[node.number]
        values = (
            *(left + width / 2, -top - height / 2, width, height, STATES.get(node.state, STATES["waiting"])),
            *(SIGNS.get(node.state, ""), node.name, node.state, node.where or node.far),
        )
        for column, value in zip(boxes.values(), values, strict=True):
            column.append(value)
        for need in node.needs:
            if need not in places:
                continue
            above = places[need]
            ends = (above[0] + above[2] / 2, -above[1] - above[3], left + width / 2, -top)
            for column, value in zip(arrows.values(), ends, strict=True):
                column.append(value)
    return {"nodes": boxes, "arrows": arrows}


def height(nodes: Columns) -> float:
    """How high a graph is."""
    middles = [float(y) for y in nodes["y"] if isinstance(y, float | int)]
    return max(middles, default=0.0) - min(middles, default=0.0)


def of_board(board: Board, shown: GraphShown | None = None) -> dict[str, dict[str, Columns]]:
    """The columns of each source, by plot and source; a plot that has nothing to draw is left out."""
    plots: dict[str, dict[str, Columns]] = {}
    if any(board.strips.values()):
        plots["stream"] = {"stream": stream(board)}
    if shown is not None and len(shown.nodes) > 1:
        plots["graph"] = graph(shown)
    if board.engines:
        plots["engines"] = engines(board)
    return plots


def shapes(board: Board) -> Mapping[str, str]:
    """What of a plot does not change with its columns: one of another shape is made anew."""
    return {"stream": ",".join(map(str, sorted(board.strips))), "engines": "", "graph": ""}


def labels(board: Board, shown: GraphShown | None = None) -> Mapping[str, str]:
    """What each plot is, in words for who cannot see it."""
    scope = board.scope
    rows = [engine for engine, strips in board.strips.items() if strips]
    rectangles = sum(map(len, board.strips.values()))
    together = f" in {words.counted(rectangles, 'rectangle')}" if rectangles != scope.drawn else ""
    of = words.counted(len(rows), "engine")
    use = "; ".join(words.engine_text(engine) for engine in board.engines)
    return {
        "stream": f"task stream of {of}: {words.counted(scope.drawn, 'task')}{together}",
        "engines": f"use of engines: {use}",
        "graph": f"graph of {words.counted(len(shown.nodes), shown.unit)}" if shown is not None else "",
    }
