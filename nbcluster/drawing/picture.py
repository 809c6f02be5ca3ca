"""A board as a whole: live parts for a widget, one static HTML for a saved notebook, text for a terminal. Pure."""

from __future__ import annotations

from hashlib import sha256
from html import escape

from nbcluster.core.board import Board
from nbcluster.drawing import parts, words
from nbcluster.drawing.graph import GraphShown, graph
from nbcluster.drawing.plain import plain
from nbcluster.drawing.stream import drawing, stream
from nbcluster.drawing.style import CSS
from nbcluster.drawing.words import Wait
from nbcluster.protocol.feed import Bar

PARTS = ("head", "bars", "engines", "graph", "curves", "errors")
"""The parts of a live view, from above."""


class Picture:
    """What is shown of a client's work.

    Parameters
    ----------
    board : Board
    wait : Wait, optional
        What a cell waits for.
    since : float
        Epoch seconds of the controller: labels that were done before are left out.
    is_now : bool
        It is of this moment, and what engines are at belongs to it.
    graph : GraphShown, optional
        The work as a graph: its nodes say what the labels of its tasks mean, and tasks of other labels are left out.
    """

    def __init__(
        self,
        board: Board,
        wait: Wait | None = None,
        since: float = 0.0,
        *,
        is_now: bool = False,
        graph: GraphShown | None = None,
    ) -> None:
        self.board = board
        self._graph = graph
        self._names = {node.label: node.name for node in graph.nodes} if graph is not None else {}
        self._is_now = is_now
        self.wait = wait
        self._bars = [
            bar
            for bar in board.bars
            if (bar.label in self._names if graph is not None else bar.ended < bar.total or bar.last >= since)
        ]

    @property
    def bars(self) -> list[Bar]:
        """The bars that are shown."""
        return list(self._bars)

    def parts(self) -> dict[str, str]:
        """The parts of a live view as HTML, by name."""
        board, scope = self.board, self.board.scope
        return {
            "head": (parts.head(self.wait) if self.wait is not None else "") + parts.ended(board.ended),
            "bars": parts.bars(self._bars, scope.labels_left_out, self._names),
            "graph": graph(self._graph) if self._graph is not None else "",
            "engines": parts.engines(board.engines, scope.engines_left_out),
            "curves": parts.curves(board.curves, scope.curves_left_out),
            "errors": parts.errors(board),
        }

    def html(self) -> str:
        """One static HTML with SVG, which needs neither JavaScript nor a network."""
        drawn = self.parts()
        svg = drawing(self.board.strips, self.board.scope)
        text = self.text()
        # Its own style hides its image, and no other's: beside it may be one whose style was taken out.
        own = f"nbc-{sha256(f'{text}{svg}'.encode()).hexdigest()[:12]}"
        return (
            f"<style>{CSS}.{own} .nbc-plain{{display:none}}</style>"
            f'<div class="nbc {own}" role="group" aria-label="{escape(text.splitlines()[0])}">'
            f"{drawn['head']}{drawn['bars']}{drawn['engines'] if self._is_now else ''}{drawn['curves']}"
            f"{self.stream(svg)}{drawn['graph']}{drawn['errors']}"
            f"{plain(self._bars, self._names, svg, self.board.strips, text)}</div>"
        )

    def stream(self, svg: str = "") -> str:
        """The task stream as HTML and SVG, with what it leaves out; "" when there is nothing to draw.

        Parameters
        ----------
        svg : str
            The drawing, where it was made already.
        """
        board = self.board
        tasks = stream(svg or drawing(board.strips, board.scope), board.strips, board.scope)
        before = sum(bar.ended for bar in self._bars) - board.scope.drawn
        if not tasks or before <= 0:
            return tasks
        return f'{tasks}<p class="nbc-dim nbc-note">{words.counted(before, "task")} ended before that, or never ran</p>'

    def text(self) -> str:
        """The same in lines of text."""
        lines = []
        if self.wait is not None:
            lines.append(f"{words.short(self.wait.what)}: {', '.join(words.headline(self.wait))}")
        if self.board.ended:
            lines.append(words.as_it_was(self.board.ended))
        drawn, rest = parts.chosen(self._bars)
        names = {bar.label: words.short(self._names.get(bar.label, bar.label)) for bar in drawn}
        width = max(map(len, names.values()), default=0)
        lines += [f"{names[bar.label]:<{width}}  {words.progress(bar)}" for bar in drawn]
        lines += [words.several(rest)] if rest else []
        return "\n".join(lines) or "nothing was sent yet"

    def _repr_html_(self) -> str:
        return self.html()

    def __repr__(self) -> str:
        engines = [words.engine_text(engine) for engine in self.board.engines]
        return "\n".join([self.text(), *engines])
