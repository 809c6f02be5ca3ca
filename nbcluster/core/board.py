"""The fold of the feed that every view draws. A value: applying a message gives another board. Knows no drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nbcluster.ids import EngineNumber
from nbcluster.protocol.feed import (
    Bar,
    Curve,
    EngineFacts,
    EngineLoad,
    Failure,
    Item,
    Lane,
    Scope,
    StopWanted,
    Strip,
    WorkTold,
    key_of,
)


@dataclass(frozen=True)
class Board:
    """The picture as last told.

    Examples
    --------
    >>> board = Board().apply(WorkTold(1, 10.0, True, (Bar("fit", 3, done=1), Scope(0.0))))
    >>> board = board.apply(WorkTold(2, 10.2, False, (Bar("fit", 3, done=2),)))
    >>> board.bars[0].done, board.now
    (2, 10.2)
    """

    number: int = 0
    now: float = 0.0
    """Epoch seconds of the controller."""
    is_behind: bool = True
    """A message is missing: the picture is older than it could be until a whole one comes."""
    items: Mapping[str, Item] = field(default_factory=dict)
    ended: str = ""
    """Why nothing more will be told: the cluster has ended, or this client has left it."""

    def apply(self, told: WorkTold) -> Board:
        """The board after a message. What changed since a message that is missing is of no use."""
        if told.whole:
            return Board(told.number, told.now, False, {key_of(item): item for item in told.items})
        if self.is_behind or told.number != self.number + 1:
            return Board(self.number, self.now, True, self.items)
        items = {key: item for key, item in self.items.items() if key not in told.gone}
        items.update((key_of(item), item) for item in told.items)
        return Board(told.number, told.now, False, items)

    def end(self, why: str) -> Board:
        """The board of a cluster that tells no more: as it was, and why. The first reason stays."""
        return self if self.ended else replace(self, ended=why)

    @property
    def scope(self) -> Scope:
        """What of all there is the board shows."""
        scope = self.items.get("scope")
        return scope if isinstance(scope, Scope) else Scope(self.now)

    @property
    def bars(self) -> list[Bar]:
        """The bars, those first that were submitted first."""
        bars = [item for item in self.items.values() if isinstance(item, Bar)]
        return sorted(bars, key=lambda bar: bar.first)

    @property
    def engines(self) -> list[EngineLoad]:
        """The engines by number."""
        engines = [item for item in self.items.values() if isinstance(item, EngineLoad)]
        return sorted(engines, key=lambda engine: engine.engine)

    @property
    def facts(self) -> dict[EngineNumber, EngineFacts]:
        """What the engines are, as far as that is known."""
        return {item.engine: item for item in self.items.values() if isinstance(item, EngineFacts)}

    @property
    def strips(self) -> dict[EngineNumber, list[Strip]]:
        """The task stream by engine."""
        lanes = [item for item in self.items.values() if isinstance(item, Lane)]
        strips: dict[EngineNumber, list[Strip]] = {}
        for lane in sorted(lanes, key=lambda lane: (lane.engine, lane.page)):
            strips.setdefault(lane.engine, []).extend(lane.strips)
        return strips

    @property
    def curves(self) -> list[Curve]:
        """What tasks reported."""
        return [item for item in self.items.values() if isinstance(item, Curve)]

    @property
    def stops(self) -> set[str]:
        """The names of waits that somebody wants to be stopped."""
        return {item.work for item in self.items.values() if isinstance(item, StopWanted)}

    @property
    def failures(self) -> list[Failure]:
        """The last failures, in order."""
        failures = [item for item in self.items.values() if isinstance(item, Failure)]
        return sorted(failures, key=lambda failure: failure.number)
