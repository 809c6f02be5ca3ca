"""The task stream as a bounded number of rectangles: neighbours are merged, the more the more there is. Draws nothing.

Two neighbours of an engine become one when both fit into the present width. When there are too many rectangles the
width doubles, so what a task costs does not grow with the run, and the picture of a long run is binned.
"""

from __future__ import annotations

from nbcluster.ids import EngineNumber
from nbcluster.protocol.feed import Lane, Strip

MOST_STRIPS = 1000
"""Rectangles of a picture."""

FIRST_WIDTH = 0.002
"""Seconds: narrower than anybody sees."""

PAGE = 32
"""Strips of a page: the last page of an engine changes, those before it only when strips are merged."""


class Drawn:
    """One rectangle that still grows. `shares` has the seconds of each label, `longest` the label with the most."""

    __slots__ = ("busy", "count", "end", "failed", "label", "longest", "shares", "start")

    def __init__(self, start: float, end: float, label: str, busy: float, count: int, failed: int) -> None:
        self.start, self.end, self.label = start, end, label
        self.busy = self.longest = busy
        self.count, self.failed = count, failed
        self.shares: dict[str, float] | None = None

    def take(self, label: str, seconds: float, count: int, failed: int) -> None:
        """Add tasks of a label."""
        self.busy += seconds
        self.count += count
        self.failed += failed
        if self.shares is None:
            if label == self.label:
                self.longest += seconds
                return
            self.shares = {self.label: self.longest}
        share = self.shares[label] = self.shares.get(label, 0.0) + seconds
        if label == self.label or share > self.longest:
            self.label, self.longest = label, share

    def merge(self, other: Drawn) -> None:
        """Add the next rectangle."""
        self.end = max(self.end, other.end)
        failed, count = other.failed, other.count
        for label, seconds in (other.shares or {other.label: other.longest}).items():
            self.take(label, seconds, count, failed)
            failed = count = 0

    def strip(self) -> Strip:
        """The rectangle as views see it."""
        busy = min(self.busy, self.end - self.start)
        return Strip(self.start, self.end, self.label, self.count, self.failed, round(busy, 6))


class Strips:
    """The rectangles of every engine."""

    def __init__(self, most: int = MOST_STRIPS) -> None:
        self._most = most
        self._lanes: dict[EngineNumber, list[Drawn]] = {}
        self._pages: dict[EngineNumber, list[Lane]] = {}
        self._changed: dict[EngineNumber, int] = {}
        self._number = 0
        self.width = FIRST_WIDTH
        self.is_binned = False
        """Whether some rectangle holds more than one task."""
        self.drawn = 0

    def add(
        self, engine: EngineNumber, start: float, end: float, label: str, busy: float, count: int, failed: int
    ) -> None:
        """Draw tasks of one label that ended: those of an engine in the order in which they began, or nearly so."""
        self.drawn += count
        if count > 1:
            self.is_binned = True
        lane = self._lanes.get(engine)
        if lane is None:
            lane = self._lanes[engine] = []
            self._pages[engine] = []
        elif end - lane[-1].start <= self.width and start >= lane[-1].start:
            last = lane[-1]
            if end > last.end:
                last.end = end
            last.take(label, busy, count, failed)
            self.is_binned = True
            self._change(engine, len(lane) - 1)
            return
        lane.append(Drawn(start, end, label, busy, count, failed))
        self._number += 1
        self._change(engine, len(lane) - 1)
        while self._number > self._most and len(self._lanes) < self._number:
            self._widen()

    def _change(self, engine: EngineNumber, index: int) -> None:
        before = self._changed.get(engine)
        if before is None or index < before:
            self._changed[engine] = index

    def _widen(self) -> None:
        self.width *= 2
        self.is_binned = True
        self._number = 0
        for engine, lane in self._lanes.items():
            merged: list[Drawn] = []
            for each in lane:
                if merged and each.end - merged[-1].start <= self.width:
                    merged[-1].merge(each)
                else:
                    merged.append(each)
            self._lanes[engine] = merged
            self._number += len(merged)
            self._changed[engine] = 0

    def lanes(self) -> list[Lane]:
        """All rectangles, by pages; those that did not change are the same objects as before."""
        for engine, first in self._changed.items():
            lane, pages = self._lanes[engine], self._pages[engine]
            page = first // PAGE
            del pages[page:]
            for number in range(page, (len(lane) + PAGE - 1) // PAGE):
                strips = tuple(each.strip() for each in lane[number * PAGE : (number + 1) * PAGE])
                pages.append(Lane(engine, number, strips))
        self._changed.clear()
        return [page for pages in self._pages.values() for page in pages]
