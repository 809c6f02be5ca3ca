"""Text with ANSI colours as HTML, escaped. Knows colours and weights; whatever else a sequence asks for is left out."""

from __future__ import annotations

import re
from html import escape

_SEQUENCE = re.compile(
    r"\x1b(?:\[([0-9;:?]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()#][0-9A-Za-z]|[=>@-Z\\-_])"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
"""The first eight colours. A page has them as classes, so that they follow its theme."""

_CUBE = (0, 95, 135, 175, 215, 255)
"""Levels of the colour cube of 256; source: xterm's 256colres.h."""


def to_html(line: str) -> str:
    """One line as HTML. Each begins in plain text.

    Examples
    --------
    >>> to_html("a \\x1b[31mred\\x1b[0m <b>")
    'a <span class="nbc-red">red</span> &lt;b&gt;'
    """
    made: list[str] = []
    pen, at = _Pen(), 0
    for found in _SEQUENCE.finditer(line):
        made.append(pen.written(line[at : found.start()]))
        if found[2] == "m" and "?" not in found[1]:
            pen.set([int(code) if code else 0 for code in re.split("[;:]", found[1])])
        at = found.end()
    made.append(pen.written(line[at:]))
    return "".join(made)


def plain(line: str) -> str:
    """One line without colours."""
    return _CONTROL.sub("", _SEQUENCE.sub("", line))


class _Pen:
    """How text is written now."""

    def __init__(self) -> None:
        self.set([0])

    def set(self, codes: list[int]) -> None:
        """Take the codes of one SGR sequence; source: ECMA-48, 8.3.117."""
        rest = iter(codes)
        for code in rest:
            match code:
                case 0:
                    self.fore = self.back = ""
                    self.marks: set[str] = set()
                case 1:
                    self.marks.add("bold")
                case 2:
                    self.marks.add("faint")
                case 3:
                    self.marks.add("italic")
                case 4:
                    self.marks.add("underline")
                case 7:
                    self.marks.add("inverse")
                case 9:
                    self.marks.add("struck")
                case 22:
                    self.marks -= {"bold", "faint"}
                case 23 | 24 | 27 | 29:
                    self.marks.discard({23: "italic", 24: "underline", 27: "inverse", 29: "struck"}[code])
                case 38:
                    self.fore = _extended(rest)
                case 48:
                    self.back = _extended(rest)
                case 39:
                    self.fore = ""
                case 49:
                    self.back = ""
                case _ if 30 <= code <= 37 or 90 <= code <= 97:
                    self.fore = NAMES[code % 10]
                case _ if 40 <= code <= 47 or 100 <= code <= 107:
                    self.back = NAMES[code % 10]

    def written(self, text: str) -> str:
        """Text in this pen."""
        text = escape(_CONTROL.sub("", text), quote=False)
        if not text or not (self.fore or self.back or self.marks):
            return text
        fore, back = (self.back, self.fore) if "inverse" in self.marks else (self.fore, self.back)
        kinds = [f"nbc-{mark}" for mark in sorted(self.marks - ({"inverse"} if fore or back else set()))]
        styles = []
        for colour, prefix, name in ((fore, "", "color"), (back, "on-", "background")):
            if colour.startswith("#"):
                styles.append(f"{name}:{colour}")
            elif colour:
                kinds.append(f"nbc-{prefix}{colour}")
        kind = f' class="{" ".join(kinds)}"' if kinds else ""
        style = f' style="{";".join(styles)}"' if styles else ""
        return f"<span{kind}{style}>{text}</span>"


def _extended(rest: object) -> str:
    """A colour of 256, or of red, green and blue; "" when the sequence ends too soon."""
    codes = iter(rest)  # type: ignore[call-overload]  # the caller's iterator, which goes on after us
    try:
        kind = next(codes)
        if kind == 2:
            return "#" + "".join(f"{min(255, next(codes)):02x}" for _ in range(3))
        if kind != 5:
            return ""
        number = next(codes)
    except StopIteration:
        return ""
    if number < 16:
        return NAMES[number % 8]
    if number < 232:
        levels = (number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6
        return "#" + "".join(f"{_CUBE[level]:02x}" for level in levels)
    grey = min(238, 8 + 10 * (number - 232))
    return f"#{grey:02x}{grey:02x}{grey:02x}"
