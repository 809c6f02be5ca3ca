"""Completes names inside %%distributed cells by asking an engine. Knows nothing of kernels."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nbcluster.errors import NBClusterError
from nbcluster.notebook.clusters import Clusters
from nbcluster.notebook.grammar import CELL_OPTIONS, parse_cell

TIME_LIMIT = 0.3
"""Seconds that Tab may take; an engine that is busy answers nothing in that time."""

_MAGIC = re.compile(r"%%(?:distributed|nbcluster)\b(?P<line>[^\n]*)(?P<rest>\n.*)?\Z", re.DOTALL)

_TYPED = re.compile(r"[\w.]+\Z")


@dataclass(frozen=True)
class Place:
    """A cursor inside a distributed cell. `code` and `cursor` are what the engine sees."""

    line: str
    code: str
    cursor: int


def place_in_cell(text: str, line: int, column: int) -> Place | None:
    """Return where a cursor is in the body of a distributed cell; None when it is not in one.

    Parameters
    ----------
    text : str
        The whole cell.
    line, column : int
        The cursor, both from 0.
    """
    found = _MAGIC.match(text.lstrip("\n"))
    line -= len(text) - len(text.lstrip("\n"))
    if found is None or found["rest"] is None or line < 1:
        return None
    code = found["rest"][1:]
    before = code.split("\n")[: line - 1]
    return Place(found["line"], code, sum(len(text) + 1 for text in before) + column)


class CellMatcher:
    """A matcher for IPython's completer: what an engine knows, inside a distributed cell.

    Parameters
    ----------
    clusters : callable
        Gives the Clusters that the magics use.
    expand : callable
        Fills in `{expr}` on the magic's line.
    """

    matcher_api_version = 2
    matcher_priority = 200.0
    matcher_identifier = "nbcluster.distributed_cell"

    def __init__(self, clusters: Callable[[], Clusters], expand: Callable[[str], str]) -> None:
        self._clusters, self._expand = clusters, expand
        # IPython asks every matcher for it, as functions have one.
        self.__qualname__ = self.matcher_identifier

    def __call__(self, context: Any) -> dict[str, Any]:
        """Return the matches for a CompletionContext; none when the cell is not ours."""
        place = place_in_cell(context.full_text, context.cursor_line, context.cursor_position)
        if place is not None:
            return self._in_body(place)
        if context.cursor_line == 0 and _MAGIC.match(context.full_text):
            return self._on_line(context.text_until_cursor)
        return {"completions": []}

    def _in_body(self, place: Place) -> dict[str, Any]:
        try:
            options = parse_cell(place.line, self._expand)
            cluster = self._clusters().current(options.cluster)
            reply = cluster.complete(
                place.code,
                place.cursor,
                targets=options.targets,
                timeout=TIME_LIMIT,
                namespace=options.namespace,
            )
        except (NBClusterError, TimeoutError):
            # Tab is a question in passing: that there is no cluster is said when the cell runs.
            return {"completions": []}
        return _from_reply(reply, place)

    def _on_line(self, before: str) -> dict[str, Any]:
        word = before.rsplit(" ", 1)[-1]
        if not word.startswith("-"):
            return {"completions": []}
        return _matches([(option, "keyword") for option in CELL_OPTIONS if option.startswith(word)], word)


def _from_reply(reply: dict[str, Any], place: Place) -> dict[str, Any]:
    matches = [str(match) for match in reply.get("matches", ())]
    start = int(reply.get("cursor_start", place.cursor))
    if not matches or not 0 <= start <= place.cursor:
        return _as_typed(place)
    typed = reply.get("metadata", {}).get("_jupyter_types_experimental", [])
    kinds = {str(entry.get("text")): str(entry.get("type") or "") for entry in typed}
    return _matches([(match, kinds.get(match, "")) for match in matches], place.code[start : place.cursor])


def _as_typed(place: Place) -> dict[str, Any]:
    # IPython asks its other matchers unless one finds something. They know other names than the engine does, and
    # may take seconds; so what was typed stands as the one match, which changes nothing.
    typed = _TYPED.search(place.code[: place.cursor])
    return _matches([(typed[0], "")], typed[0]) if typed else {"completions": []}


def _matches(found: list[tuple[str, str]], fragment: str) -> dict[str, Any]:
    from IPython.core.completer import SimpleCompletion

    return {
        "completions": [SimpleCompletion(text, type=kind or None) for text, kind in found],
        "matched_fragment": fragment,
        "ordered": True,
        "suppress": True,
    }
