"""What engines have printed as one static HTML: a part to be unfolded for each engine, or those that say the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from nbcluster.drawing import ansi, words
from nbcluster.drawing.plainhtml import is_plain
from nbcluster.drawing.style import CSS

MOST_BYTES = 70_000
"""Of the text of all parts, as HTML."""

MOST_TEXT = 30_000
"""Bytes of it in lines, beside the HTML in the notebook's file."""

OPEN_LINES = 24
"""When all parts together have no more lines, they are unfolded."""

_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]+")


@dataclass(frozen=True)
class Said:
    """What one engine has shown, or several alike; `name` says which. Lines have ANSI colours.

    Images are data URLs, or plain HTML: tables and the like. `said` has the text of these.
    """

    name: str
    lines: Sequence[str] = ()
    lines_left_out: int = 0
    images: Sequence[str] = ()
    images_left_out: int = 0
    said: Mapping[str, str] = field(default_factory=dict)


def html(parts: Sequence[Said], rest: str = "") -> str:
    """All of it; `rest` is where the user finds what is left out."""
    lines = sum(len(part.lines) for part in parts)
    room = MOST_BYTES // max(1, len(parts))
    is_open = lines <= OPEN_LINES or len(parts) == 1
    drawn = "".join(_part(part, room, rest, is_open) for part in parts)
    of = words.counted(len(parts), "part")
    return (
        f'<style>{CSS}</style><div class="nbc nbc-console" role="group" aria-label="output of engines in {of}">'
        f"{figures(parts)}{drawn}</div>"
    )


def figures(parts: Sequence[Said]) -> str:
    """The images side by side, each under the name of its engine."""
    drawn = "".join(
        f"<figure><figcaption>{escape(part.name)}</figcaption>{_figure(part.name, at, source)}</figure>"
        for part in parts
        for at, source in enumerate(part.images)
        if is_image(source) or is_plain(source)
    )
    left_out = sum(part.images_left_out for part in parts)
    note = (
        f'<p class="nbc-dim nbc-note">{words.counted(left_out, "earlier image")} not shown</p>'
        if left_out
        else ""
    )
    return f'<div class="nbc-figures">{drawn}</div>{note}' if drawn or note else ""


def _figure(name: str, at: int, source: str) -> str:
    if is_image(source):
        return f'<img alt="{escape(name)}: image {at + 1}" src="{source}"/>'
    return f'<div class="nbc-rich">{source}</div>'


def is_image(source: str) -> bool:
    """Whether it is an image that holds nothing but itself."""
    return _IMAGE.fullmatch(source) is not None


def _part(part: Said, room: int, rest: str, is_open: bool) -> str:
    kept: list[str] = []
    for line in reversed(part.lines):
        drawn = ansi.to_html(line)
        room -= len(drawn.encode()) + 1
        if room < 0:
            break
        kept.append(drawn)
    left_out = part.lines_left_out + len(part.lines) - len(kept)
    total = part.lines_left_out + len(part.lines)
    far = words.counted(total, "line") if total else "no text"
    note = f"{words.counted(left_out, 'earlier line')} not shown" if left_out else ""
    if note and rest:
        note = f"{note}; see {rest}"
    told = f'<p class="nbc-dim nbc-note">… {escape(note)}</p>' if note else ""
    text = "\n".join(reversed(kept))
    body = f"{told}<pre>{text}</pre>" if total else ""
    opened = " open" if is_open and total else ""
    return f"<details{opened}><summary>{escape(part.name)}: {far}</summary>{body}</details>"


def text(parts: Sequence[Said], rest: str = "") -> str:
    """The same in lines, each with the name of its engine; `rest` is where the user finds what is left out."""
    lines = []
    for part in parts:
        room, kept = MOST_TEXT // len(parts), []
        for line in reversed(part.lines):
            told = f"[{part.name}] {ansi.plain(line)}"
            room -= len(told.encode()) + 1
            if room < 0:
                break
            kept.append(told)
        if left_out := part.lines_left_out + len(part.lines) - len(kept):
            more = f"; see {rest}" if rest else ""
            lines.append(f"[{part.name}] … {words.counted(left_out, 'earlier line')}{more}")
        lines += reversed(kept)
        for image in part.images:
            told = part.said.get(image, "(an image)")
            lines += [f"[{part.name}] {line}" for line in told.splitlines()]
    return "\n".join(lines)
