"""Numbers over time in bounded room: samples at equal distances, and curves of what tasks report. Knows no clock.

When there are too many points every second one goes, or two become their mean: the picture of a long run is coarser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbcluster.ids import EngineNumber
from nbcluster.protocol.feed import Curve

MOST_SAMPLES = 60
MOST_POINTS = 100
MOST_CURVES = 24


class Samples:
    """Rows of numbers, one each `every` seconds; two rows become one when there are too many."""

    def __init__(self) -> None:
        self.every = 1.0
        self.rows: list[tuple[int, ...]] = []
        self._held: list[tuple[int, ...]] = []

    def add(self, row: tuple[int, ...]) -> None:
        """Add a row, one second after the one before."""
        self._held.append(row)
        if len(self._held) < self.every:
            return
        self.rows.append(_mean(self._held))
        self._held.clear()
        if len(self.rows) > MOST_SAMPLES:
            pairs = zip(self.rows[::2], self.rows[1::2], strict=False)
            self.rows = [_mean(pair) for pair in pairs]
            self.every *= 2

    def columns(self) -> tuple[tuple[int, ...], ...]:
        """The numbers by column, the latest last."""
        rows = self.rows or self._held[-1:]
        return tuple(zip(*rows, strict=True))


def _mean(rows: list[tuple[int, ...]] | tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(round(sum(column) / len(rows)) for column in zip(*rows, strict=True))


class Curves:
    """What tasks have reported, by label, engine and name."""

    def __init__(self) -> None:
        self._points: dict[tuple[str, EngineNumber, str], tuple[list[float], list[float]]] = {}
        self._stride: dict[tuple[str, EngineNumber, str], tuple[int, int]] = {}
        self.left_out = 0

    def add(self, label: str, engine: EngineNumber, values: Mapping[str, Any], now: float) -> None:
        """Note the numbers among what a task reported."""
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            number = float(value)
            if number - number != 0:  # neither infinite nor NaN
                continue
            key = (label, engine, name)
            if key not in self._points:
                if len(self._points) >= MOST_CURVES:
                    self.left_out += 1
                    continue
                self._points[key] = [], []
                self._stride[key] = 1, 0
            self._append(key, now, number)

    def _append(self, key: tuple[str, EngineNumber, str], now: float, number: float) -> None:
        times, values = self._points[key]
        stride, skipped = self._stride[key]
        # The last point is always the latest; the one before it stays when enough have come between.
        if times and skipped < stride - 1:
            times[-1], values[-1] = now, number
            self._stride[key] = stride, skipped + 1
            return
        times.append(now)
        values.append(number)
        self._stride[key] = stride, 0
        if len(times) > MOST_POINTS:
            last = times[-1], values[-1]
            del times[1::2], values[1::2]
            if times[-1] != last[0]:
                times.append(last[0])
                values.append(last[1])
            self._stride[key] = stride * 2, 0

    def curves(self) -> list[Curve]:
        """All curves."""
        return [
            Curve(label, engine, name, tuple(times), tuple(values))
            for (label, engine, name), (times, values) in self._points.items()
        ]
