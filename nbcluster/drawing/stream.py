"""The task stream as one SVG: a row for each engine, a rectangle for each task or bin of tasks. Draws boards alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from nbcluster.drawing import words
from nbcluster.drawing.style import LABELS
from nbcluster.ids import EngineNumber
from nbcluster.protocol.feed import Scope, Strip

WIDTH = 900
ROW = 16
LEFT = 28
NARROWEST = 0.8
"""Of a rectangle, so that it is seen."""

GAP = 0.5
"""Between neighbours, so that they are told apart."""

_TEXTS = '<g class="nbc-texts">'
_TEXTS_END = "</g>"


Strips = Mapping[EngineNumber, Sequence[Strip]]


def stream(svg: str, strips: Strips, scope: Scope) -> str:
    """A drawing with a legend and a sentence that says what was summarised; "" when there is nothing to draw."""
    lanes = _lanes(strips)
    if not lanes:
        return ""
    colours = colours_of(strips)
    before, _, rest = svg.partition(_TEXTS)
    bare = before + rest.partition(_TEXTS_END)[2]
    return (
        f'<div class="nbc-stream">{bare}{_labels(lanes)}</div><p class="nbc-legend">{_legend(colours)}</p>'
        f'<p class="nbc-dim nbc-note">{escape(_said(lanes, scope))}</p>'
    )


def _labels(lanes: Sequence[tuple[EngineNumber, Sequence[Strip]]]) -> str:
    """The texts of the drawing, by styles: where these are taken out they would be loose words."""
    height = len(lanes) + 1
    texts = [(str(engine), at, "") for at, (engine, _) in enumerate(lanes)]
    texts.append(("0 s", len(lanes), f"left:{100 * LEFT / WIDTH:.1f}%"))
    texts.append((_far(lanes), len(lanes), "left:auto;right:0"))
    return "".join(
        f'<i aria-hidden="true" data-t="{text}" style="top:{100 * (at + 0.5) / height:.2f}%;{where}"></i>'
        for text, at, where in texts
    )


def _far(lanes: Sequence[tuple[EngineNumber, Sequence[Strip]]]) -> str:
    first = min(row[0].start for _, row in lanes)
    return words.duration(max(strip.end for _, row in lanes for strip in row) - first)


def drawing(strips: Strips, scope: Scope) -> str:
    """The picture alone, as SVG; "" when there is nothing to draw."""
    lanes = _lanes(strips)
    if not lanes:
        return ""
    first = min(row[0].start for _, row in lanes)
    last = max(strip.end for _, row in lanes for strip in row)
    colours = colours_of(strips)
    scale = (WIDTH - LEFT) / max(1e-6, last - first)
    texts = "".join(
        f'<text x="0" y="{at * ROW + 12}">{engine}</text>' for at, (engine, _) in enumerate(lanes)
    )
    rows = "".join(
        f'<path d="M{LEFT} {at * ROW + ROW - 1.5}H{WIDTH}" stroke="currentColor" stroke-opacity=".2"/>'
        f"{_row(row, at * ROW, first, scale, colours)}"
        for at, (engine, row) in enumerate(lanes)
    )
    height = len(lanes) * ROW
    of = words.counted(len(lanes), "engine")
    told = escape(f"task stream of {of} over {words.duration(last - first)}: {_said(lanes, scope)}")
    return (
        f'<svg role="img" aria-label="{told}" viewBox="0 0 {WIDTH} {height + 16}" width="{WIDTH}" '
        f'height="{height + 16}">{rows}{_TEXTS}{texts}'
        f'<text x="{LEFT}" y="{height + 13}">0 s</text>'
        f'<text x="{WIDTH}" y="{height + 13}" text-anchor="end">{words.duration(last - first)}</text>{_TEXTS_END}</svg>'
    )


def _lanes(strips: Strips) -> list[tuple[EngineNumber, Sequence[Strip]]]:
    return [(engine, row) for engine, row in sorted(strips.items()) if row]


def colours_of(strips: Strips) -> dict[str, int]:
    """A colour for each label, the commonest first; those beyond the last colour share it."""
    seconds: dict[str, float] = {}
    for _, row in _lanes(strips):
        for strip in row:
            seconds[strip.label] = seconds.get(strip.label, 0.0) + strip.busy
    ranked = sorted(seconds, key=lambda label: -seconds[label])
    return {label: min(number, len(LABELS) - 1) for number, label in enumerate(ranked)}


def height_of(strips: Strips) -> int:
    """How high the drawing is."""
    return (len(_lanes(strips)) + 1) * ROW if _lanes(strips) else 0


def _row(row: Sequence[Strip], top: float, first: float, scale: float, colours: Mapping[str, int]) -> str:
    paths: dict[int, list[str]] = {}
    marks: list[str] = []
    for strip in row:
        x = LEFT + (strip.start - first) * scale
        width = max(NARROWEST, (strip.end - strip.start) * scale - GAP)
        part = strip.busy / (strip.end - strip.start) if strip.end > strip.start else 1.0
        height = round(max(2.0, (ROW - 4) * min(1.0, part)), 1)
        y = round(top + ROW - 2 - height, 1)
        paths.setdefault(colours[strip.label], []).append(
            f"M{x:.1f} {y:g}h{width:.1f}v{height:g}h-{width:.1f}z"
        )
        if strip.failed:
            middle = x + width / 2
            marks.append(f"M{middle - 3:.1f} {top + 3:g}l6 7m0-7l-6 7")
    drawn = "".join(f'<path class="nbc-c{number}" d="{"".join(d)}"/>' for number, d in paths.items())
    crosses = (
        f'<path d="{"".join(marks)}" fill="none" stroke="currentColor" stroke-width="1.6"/>' if marks else ""
    )
    return drawn + crosses


def _legend(colours: Mapping[str, int]) -> str:
    apart = [(label, number) for label, number in colours.items() if number < len(LABELS) - 1]
    rest = len(colours) - len(apart)
    keys = [
        f'<span><i class="nbc-key nbc-c{number}"></i>{escape(words.short(label))}</span>'
        for label, number in apart
    ]
    if rest:
        keys.append(
            f'<span><i class="nbc-key nbc-c{len(LABELS) - 1}"></i>{words.counted(rest, "further label")}</span>'
        )
    return "".join(keys)


def _said(lanes: Sequence[tuple[EngineNumber, Sequence[Strip]]], scope: Scope) -> str:
    """What the rectangles stand for."""
    rectangles = sum(len(row) for _, row in lanes)
    failed = sum(strip.failed for _, row in lanes for strip in row)
    crosses = f"; ✕ marks the {failed:,} that did not succeed" if failed else ""
    if not scope.width or rectangles == scope.drawn:
        return f"{words.counted(rectangles, 'task')}, a rectangle each{crosses}"
    return (
        f"{words.counted(scope.drawn, 'task')} in {words.counted(rectangles, 'rectangle')}: what an engine ran within "
        f"{words.duration(scope.width)} is one, as high as the part of the time that it took{crosses}"
    )
