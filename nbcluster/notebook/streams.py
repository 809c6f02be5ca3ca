"""Puts the text of one stream of one engine together into lines. Knows no labels and no notebook."""

from __future__ import annotations

from dataclasses import dataclass

PARTIAL_AFTER = 0.2
"""Seconds after which a line that has no end yet is shown all the same."""


@dataclass(frozen=True)
class Line:
    """A line came to its end and was not shown before."""

    text: str


@dataclass(frozen=True)
class Moved:
    """A line that is shown before its end has changed. `serial` tells it from later ones."""

    serial: int
    text: str
    settled: bool


class StreamLines:
    """Collects text; gives whole lines at once, and a line in the making as one that moves.

    A carriage return makes the following text overwrite the line, as a terminal does: a progress bar is one
    line that moves until its newline. ANSI sequences are kept; a part that holds one replaces, as its width
    is not known.
    """

    def __init__(self) -> None:
        self._under = ""
        """What the part after the last carriage return overwrites."""
        self._part = ""
        self._returned = False
        self._since: float | None = None
        self._serial = 0
        self._drawn: str | None = None
        """What is shown of the present line; None while nothing is."""
        self._drawn_at = float("-inf")

    @property
    def pending(self) -> bool:
        """Whether there is a line without an end that is not shown as it is."""
        return self._since is not None and self._text() != (self._drawn or "")

    @property
    def moving(self) -> bool:
        """Whether the present line is shown already."""
        return self._drawn is not None

    def feed(self, text: str, now: float) -> list[Line | Moved]:
        """Take text that was printed; return the lines that it ends."""
        ended: list[Line | Moved] = []
        *whole, rest = text.split("\n")
        for part in whole:
            self._add(part)
            ended.append(self._end())
        self._add(rest)
        if (rest or self._part) and self._since is None:
            self._since = now
        return ended

    def tick(self, now: float, interval: float) -> list[Line | Moved]:
        """Return the present line if it is time to show it; `interval` seconds lie between drawings."""
        if self._since is None or not self.pending or now - self._drawn_at < interval:
            return []
        if not (self.moving or self._returned or now - self._since >= PARTIAL_AFTER):
            return []
        self._drawn, self._drawn_at = self._text(), now
        return [Moved(self._serial, self._drawn, settled=False)]

    def close(self) -> list[Line | Moved]:
        """End the present line, if there is one, though no newline came."""
        if self._since is None and not self.moving:
            return []
        if not self._text() and not self.moving:
            self._reset()
            return []
        return [self._end()]

    def _add(self, text: str) -> None:
        first, *others = text.split("\r")
        self._part += first
        for other in others:
            self._under, self._part, self._returned = self._text(), other, True

    def _text(self) -> str:
        return overwrite(self._under, self._part)

    def _end(self) -> Line | Moved:
        text = self._text()
        ended = Moved(self._serial, text, settled=True) if self.moving else Line(text)
        self._reset()
        return ended

    def _reset(self) -> None:
        self._under = self._part = ""
        self._returned = False
        self._since = self._drawn = None
        self._drawn_at = float("-inf")
        self._serial += 1


def overwrite(under: str, over: str) -> str:
    """Return what a terminal shows when `over` is written from the start of a line that holds `under`."""
    if not over:
        return under
    if "\x1b" in under or "\x1b" in over:
        return over
    return over + under[len(over) :]
