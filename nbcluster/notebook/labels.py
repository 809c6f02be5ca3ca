"""Says which engines something comes from, in a few characters. Knows no output."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

_COLOURS = (34, 35, 32)
"""ANSI foregrounds that stay readable on light and dark. No red: that is for errors. Cyan and yellow are as good as
invisible on JupyterLab's white."""
_RESET = "\x1b[0m"


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as a short list.

    >>> ranges([0, 1, 2, 5])
    '0-2,5'
    """
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(_run(run) for run in runs)


def _run(run: list[int]) -> str:
    if len(run) < 3:
        return ",".join(map(str, run))
    return f"{run[0]}-{run[-1]}"


def engines_phrase(numbers: Sequence[int]) -> str:
    """Return "engine 2" or "engines 0-3"."""
    return f"engine{'s' if len(set(numbers)) > 1 else ''} {ranges(numbers)}"


class Labels:
    """The labels of one cell: `[2] `, all of one width, coloured by engine; nothing when `plain` is true.

    Parameters
    ----------
    engines : iterable of int
        The engines of the cell.
    plain : bool
        The cell has one engine and needs no labels.
    """

    def __init__(self, engines: Iterable[int], *, plain: bool) -> None:
        self.plain = plain
        self._width = max((len(str(number)) for number in engines), default=1) + 2

    def before(self, source: Sequence[int]) -> str:
        """Return what stands before a line that these engines printed."""
        if self.plain:
            return ""
        text = f"[{ranges(source)}]"
        return f"\x1b[{_colour(source)}m{text}{_RESET}{' ' * (max(self._width, len(text)) - len(text) + 1)}"

    def indent(self, source: Sequence[int]) -> str:
        """Return the blanks that stand under a label."""
        return "" if self.plain else " " * (max(self._width, len(ranges(source)) + 2) + 1)

    def line(self, source: Sequence[int], text: str) -> str:
        """Return a line with its label. A colour that the text left open does not reach the next label."""
        reset = _RESET if not self.plain and "\x1b[" in text and not text.endswith(_RESET) else ""
        return f"{self.before(source)}{text}{reset}"

    def heading(self, source: Sequence[int]) -> dict[str, str]:
        """Return a small heading for rich output, as a MIME bundle."""
        phrase = engines_phrase(source)
        return {
            "text/plain": f"[{ranges(source)}]",
            "text/html": f'<small style="opacity: 0.7">{html.escape(phrase)}</small>',
        }


def _colour(source: Sequence[int]) -> int:
    return _COLOURS[source[0] % len(_COLOURS)] if len(source) == 1 else 1
