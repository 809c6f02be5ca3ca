"""The picture as one image, for pages that take styles and drawings out of what they do not trust. Pure.

JupyterLab does so in a notebook that somebody else ran, and so do sites that show code. An image with its bytes in it
stays; where styles are kept, one of them hides it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

from nbcluster.drawing import parts, words
from nbcluster.drawing.stream import WIDTH, Strips, colours_of, height_of
from nbcluster.drawing.style import LABELS
from nbcluster.protocol.feed import Bar

ROW = 20
NAME = 260
BAR = 220
MARGIN = 8

LARGEST = 60_000
"""Bytes of a task stream in it: a thousand rectangles of a few labels have half of that."""

LONGEST = 38
"""Characters of a name beside its bar."""

FILLS = {"done": "#0072B2", "failed": "#D55E00", "cancelled": "#7F7F7F", "running": "#56B4E9"}

STYLE = "text{font:12px system-ui,sans-serif;fill:#222}svg{color:#222}" + "".join(
    f".nbc-c{number}{{fill:{fill}}}" for number, fill in enumerate(LABELS)
)


def plain(bars: Sequence[Bar], names: Mapping[str, str], svg: str, strips: Strips, text: str) -> str:
    """Return the image, which styles hide.

    Parameters
    ----------
    bars : sequence of Bar
    names : mapping of str to str
        What is shown in place of some labels.
    svg, strips
        The drawing of the task stream, and what it draws.
    text : str
        What the image says, for who does not see it.
    """
    drawn, _ = parts.chosen(bars)
    colours = colours_of(strips)
    rows = "".join(
        _row(bar, names.get(bar.label, bar.label), colours.get(bar.label), ROW * at)
        for at, bar in enumerate(drawn)
    )
    below = ROW * len(drawn) + MARGIN
    stream = svg.replace("<svg ", f'<svg y="{below}" ', 1)
    if len(stream.encode()) > LARGEST:
        return ""  # the file would grow by more than the picture is worth
    height = below + height_of(strips)
    image = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-MARGIN} {-MARGIN} {WIDTH + 2 * MARGIN} {height + MARGIN}" '
        f'width="{WIDTH + 2 * MARGIN}" height="{height + MARGIN}"><style>{STYLE}</style>'
        f'<rect x="{-MARGIN}" y="{-MARGIN}" width="100%" height="100%" rx="4" fill="#fff"/>{rows}{stream}</svg>'
    )
    encoded = b64encode(image.encode()).decode()
    return f'<img class="nbc-plain" alt="{escape(text)}" src="data:image/svg+xml;base64,{encoded}"/>'


def _row(bar: Bar, name: str, colour: int | None, top: int) -> str:
    total = max(1, bar.total)
    x = float(NAME)
    key = (
        "" if colour is None else f'<rect class="nbc-c{colour}" x="0" y="{top + 4}" width="10" height="10"/>'
    )
    pieces = f'{key}<rect x="{NAME}" y="{top + 3}" width="{BAR}" height="12" fill="#ddd"/>'
    for state, count in (
        ("done", bar.done),
        ("failed", bar.failed + bar.lost),
        ("cancelled", bar.cancelled),
        ("running", bar.running),
    ):
        width = BAR * count / total
        if count:
            pieces += (
                f'<rect x="{x:.1f}" y="{top + 3}" width="{width:.1f}" height="12" fill="{FILLS[state]}"/>'
            )
        x += width
    shown = words.short(name)
    shown = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
    return (
        f'<text x="16" y="{top + 13}">{escape(shown)}</text>{pieces}'
        f'<text x="{NAME + BAR + 10}" y="{top + 13}">{escape(words.progress(bar))}</text>'
    )
