"""Says whether a piece of HTML may stand within ours: whole elements of text, tables and pictures, nothing that acts.

What is more than that is left to the notebook, which shows it by its own means and under its own trust.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

LONGEST = 50_000
"""Characters; what is longer is left to the notebook."""

_VOID = frozenset({"br", "col", "hr", "img", "wbr"})

_PHRASES = frozenset(
    {"a", "abbr", "b", "code", "em", "i", "kbd", "mark", "s", "samp", "small", "span", "strong"}
)
_TABLES = frozenset({"caption", "colgroup", "table", "tbody", "td", "tfoot", "th", "thead", "tr"})
_BLOCKS = frozenset({"dd", "div", "dl", "dt", "figcaption", "figure", "li", "ol", "p", "pre", "style", "ul"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_ELEMENTS = _VOID | _PHRASES | _TABLES | _BLOCKS | _HEADINGS | {"sub", "sup", "u", "var"}

_ATTRIBUTES = frozenset(
    {
        "align",
        "alt",
        "border",
        "class",
        "colspan",
        "dir",
        "height",
        "id",
        "lang",
        "rowspan",
        "scope",
        "scoped",
    }
    | {"span", "style", "title", "valign", "width"}
)

_LINKS = {
    "href": re.compile(r"(?:https?:|#)", re.IGNORECASE),
    "src": re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,", re.IGNORECASE),  # nothing is fetched
}


def is_plain(html: str) -> bool:
    """Whether it may.

    Examples
    --------
    >>> is_plain("<table><tr><td>1</td></tr></table>")
    True
    >>> is_plain("<p onclick='f()'>1</p>"), is_plain("<script>f()</script>"), is_plain("</div>")
    (False, False, False)
    """
    if len(html) > LONGEST or not html.lstrip().startswith("<"):
        return False
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.is_plain and not reader.open


class _Reader(HTMLParser):
    """Follows the elements; every one that is begun has to end, in its place."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.is_plain = True
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One begins."""
        if tag not in _ELEMENTS or any(not _is_harmless(name, value or "") for name, value in attrs):
            self.is_plain = False
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One that is said to be empty: browsers do not heed that, but for those that always are."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """One ends."""
        if not self.open or self.open.pop() != tag:
            self.is_plain = False

    def handle_data(self, data: str) -> None:
        """Text; in a style it is not to fetch anything."""
        if self.open[-1:] == ["style"] and re.search(r"@import|url\s*\(|\\", data, re.IGNORECASE):
            self.is_plain = False
        if self.open[-1:] != ["style"] and "<" in data:  # what no parser is sure of
            self.is_plain = False

    def handle_comment(self, data: str) -> None:
        """Browsers and this parser do not agree on where every comment ends."""
        self.is_plain = False

    def handle_decl(self, decl: str) -> None:
        """A whole page, or what looks like one."""
        self.is_plain = False

    def unknown_decl(self, data: str) -> None:
        """The same."""
        self.is_plain = False

    def handle_pi(self, data: str) -> None:
        """An instruction."""
        self.is_plain = False


def _is_harmless(name: str, value: str) -> bool:
    if name in _LINKS:
        return _LINKS[name].match(value) is not None
    if name == "style":
        return re.search(r"url\s*\(|expression|\\", value, re.IGNORECASE) is None
    return name in _ATTRIBUTES or name.startswith("aria-")
