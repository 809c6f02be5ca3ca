"""Folds what becomes of one client's tasks into a picture of bounded size. Knows no clock, no sockets and no drawing.

The numbers by label are counted always (see tallies); the rest of the picture is made only while somebody watches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from nbcluster.core.curves import Curves, Samples
from nbcluster.core.strips import Strips
from nbcluster.core.tallies import Tally, group_of
from nbcluster.ids import EngineNumber
from nbcluster.protocol.feed import (
    Bar,
    EngineFacts,
    EngineLoad,
    Failure,
    Item,
    Scope,
    StopWanted,
    WorkTold,
    key_of,
)

MOST_BARS = 100
MOST_ENGINES = 64
MOST_FAILURES = 5
MOST_STOPS = 10
"""Wishes to stop something that are told; the latest."""

LONGEST_FAILURE = 4000
"""Characters of an error, or of what is noted of an engine."""

SAMPLE_EVERY = 1.0
"""Seconds."""


Ended = tuple[str, EngineNumber | None, str, float, float, str]
"""A task that ended: label, engine, state, when it began (0: it never ran), seconds that it ran, error."""


class EngineNow(Struct, frozen=True):
    """What an engine is at: label of what runs, whether it is the watcher's own, bytes of memory, percent of CPU."""

    engine: EngineNumber
    state: str
    running: str = ""
    own: bool = False
    since: float = 0.0
    memory: int = 0
    cpu: float = 0.0
    host: str = ""
    pid: int = 0
    kernel: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""


class Summary:
    """The picture of one client's work, from the moment on that somebody watches it.

    Parameters
    ----------
    tallies : mapping
        The client's tallies, which go on being counted.
    now : float
        Epoch seconds.

    Examples
    --------
    >>> tally = Tally("fit")
    >>> tally.submitted(2, now=0.0)
    >>> summary = Summary({"fit": tally}, now=0.0)
    >>> tally.ended("done", 0.5, now=1.0)
    >>> summary.ended([("fit", 0, "done", 0.5, 0.5, "")], now=1.0)
    >>> told = summary.tell((), now=1.0)
    >>> told.items[0]
    Bar(label='fit', total=2, running=0, done=1, failed=0, cancelled=0, lost=0, seconds=0.5, first=0.0, last=1.0)
    """

    def __init__(self, tallies: Mapping[str, Tally], now: float) -> None:
        self._tallies = tallies
        self._since = now
        self._strips = Strips()
        self._curves = Curves()
        self._failures: deque[Failure] = deque(maxlen=MOST_FAILURES)
        self._failed = 0
        self._stops: deque[StopWanted] = deque(maxlen=MOST_STOPS)
        self._samples: dict[EngineNumber, Samples] = {}
        self._worked: dict[EngineNumber, float] = {}
        self._worked_before: dict[EngineNumber, float] = {}
        self._sampled = now
        self._number = 0
        self._told: dict[str, Item] = {}

    # -- what happens -------------------------------------------------------------------------

    def ended(self, tasks: Iterable[Ended], now: float) -> None:
        """Tasks ended, in this order. Neighbours that share a rectangle anyway are added up first: that is cheaper."""
        width = self._strips.width
        engine: EngineNumber | None = None
        label, start, end, busy, count = "", 0.0, 0.0, 0.0, 0
        for its_label, its_engine, state, started, seconds, error in tasks:
            its_end = started + seconds
            if (
                its_engine == engine
                and its_label is label
                and count
                and state == "done"
                and its_end - start <= width
                and started >= start
            ):
                count += 1
                busy += seconds
                if its_end > end:
                    end = its_end
                continue
            if count and engine is not None:
                self._draw(engine, start, end, label, busy, count, 0)
                count = 0
            if state == "failed" or state == "lost":
                self._fail(its_label, its_engine, error, now)
            if its_engine is None or not started:
                continue
            if state == "done":
                engine, label, start, end, busy, count = its_engine, its_label, started, its_end, seconds, 1
            else:
                self._draw(its_engine, started, its_end, its_label, seconds, 1, 1)
        if count and engine is not None:
            self._draw(engine, start, end, label, busy, count, 0)

    def _draw(
        self, engine: EngineNumber, start: float, end: float, label: str, busy: float, count: int, failed: int
    ) -> None:
        self._strips.add(engine, start, end, label, busy, count, failed)
        self._worked[engine] = self._worked.get(engine, 0.0) + busy

    def _fail(self, label: str, engine: EngineNumber | None, error: str, now: float) -> None:
        self._failed += 1
        self._failures.append(Failure(self._failed, label, engine, now, _shortened(error)))

    def reported(self, label: str, engine: EngineNumber, values: Mapping[str, Any], now: float) -> None:
        """A task gave values to `report`."""
        self._curves.add(group_of(label), engine, values, now)

    def stop_wanted(self, work: str) -> None:
        """Somebody wants a wait of this name to be stopped."""
        self._stops.append(StopWanted(work))

    def wants_sample(self, now: float) -> bool:
        """Whether memory and CPU of engines are to be measured for the next picture."""
        return now - self._sampled >= SAMPLE_EVERY or not self._samples

    # -- what is told -------------------------------------------------------------------------

    def tell(self, engines: Sequence[EngineNow], now: float, *, whole: bool = False) -> WorkTold | None:
        """The picture, or what changed in it since it was told last; None when nothing has."""
        if self.wants_sample(now):
            self._sample(engines, now)
        items = self._items(engines)
        changed = tuple(
            items.values()
            if whole or not self._number
            else (item for key, item in items.items() if self._told.get(key) != item)
        )
        gone = () if whole else tuple(key for key in self._told if key not in items)
        if not (whole or changed or gone):
            return None
        self._told = items
        self._number += 1
        return WorkTold(self._number, now, whole or self._number == 1, changed, gone)

    def _items(self, engines: Sequence[EngineNow]) -> dict[str, Item]:
        bars, labels_left_out = self._bars(engines)
        shown = engines[:MOST_ENGINES]
        strips = self._strips
        scope = Scope(
            self._since,
            strips.width if strips.is_binned else 0.0,
            strips.drawn,
            self._failed,
            labels_left_out,
            len(engines) - len(shown),
            self._curves.left_out,
        )
        items: Iterable[Item] = (
            *bars,
            *(self._load(engine) for engine in shown),
            *(facts for engine in shown if (facts := _facts(engine)) is not None),
            *strips.lanes(),
            *self._curves.curves(),
            *self._failures,
            *self._stops,
            scope,
        )
        return {key_of(item): item for item in items}

    def _bars(self, engines: Sequence[EngineNow]) -> tuple[list[Bar], int]:
        running: dict[str, int] = {}
        for engine in engines:
            if engine.own:
                group = group_of(engine.running)
                running[group] = running.get(group, 0) + 1
        tallies = [tally for tally in self._tallies.values() if tally.total]
        left_out = len(tallies) - MOST_BARS
        if left_out > 0:
            tallies.sort(key=lambda tally: (tally.open == 0, -tally.last))
            del tallies[MOST_BARS:]
        return [tally.bar(running.get(tally.label, 0)) for tally in tallies], max(0, left_out)

    def _load(self, engine: EngineNow) -> EngineLoad:
        samples = self._samples.get(engine.engine)
        every, columns = (samples.every, samples.columns()) if samples is not None else (1.0, ())
        busy, memory, cpu = columns or ((), (), ())
        return EngineLoad(
            engine.engine, engine.state, engine.running, engine.since, every * SAMPLE_EVERY, busy, memory, cpu
        )

    def _sample(self, engines: Sequence[EngineNow], now: float) -> None:
        passed = now - self._sampled
        numbers = {engine.engine for engine in engines}
        for gone in self._samples.keys() - numbers:
            del self._samples[gone]
        for engine in engines[:MOST_ENGINES]:
            number = engine.engine
            since = max(engine.since, self._since)
            worked = self._worked.get(number, 0.0) + (max(0.0, now - since) if engine.own else 0.0)
            new = worked - self._worked_before.get(number, 0.0)
            busy = min(1.0, max(0.0, new / passed)) if passed > 0 else float(engine.own)
            row = (round(100 * busy), engine.memory >> 20, round(engine.cpu))
            self._samples.setdefault(number, Samples()).add(row)
            self._worked_before[number] = worked
        self._sampled = now


def _facts(engine: EngineNow) -> EngineFacts | None:
    """What an engine is; None while nothing of it is known."""
    if not (engine.host or engine.kernel or engine.tags or engine.note):
        return None
    note = _shortened(engine.note)
    return EngineFacts(engine.engine, engine.host, engine.pid, engine.kernel, engine.tags, note)


def _shortened(text: str) -> str:
    over = len(text) - LONGEST_FAILURE
    return f"{text[:LONGEST_FAILURE]}… ({over} more characters)" if over > 0 else text
