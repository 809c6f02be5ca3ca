"""Calls that may run on the same engines, and which engines those are. Knows numbers and loads; decides nothing."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from nbcluster.core.queues import FairLine, Turns
from nbcluster.ids import EngineNumber

if TYPE_CHECKING:
    from nbcluster.core.model import Call
    from nbcluster.core.targets import Targets

_NONE = (float("inf"), EngineNumber(-1))

KindKey = tuple[str, frozenset[tuple[str, float]], bool, int]
"""Targets, resources, whether there is a time limit, and how deep they are nested."""


class Kind:
    """Calls that are alike in where they may run.

    Attributes
    ----------
    targets : Targets
        As submitted; numbers that count from the end are made absolute.
    resources : dict of str to float
        What an engine must have.
    alone : bool
        Its calls have a time limit: each is sent to an engine that has nothing in flight.
    level : int
        How deep its calls are nested: an engine that waits takes only what is deeper than what waits.
    ready : FairLine of Call
        Those that wait for any of the engines.
    engines : dict of EngineNumber to None
        Those that may run them, now or once they are up.
    """

    __slots__ = (
        "_entered",
        "_takers",
        "alone",
        "engines",
        "key",
        "level",
        "listed",
        "ready",
        "resources",
        "targets",
    )

    def __init__(
        self, key: KindKey, targets: Targets, resources: dict[str, float], alone: bool, turns: Turns
    ) -> None:
        self.key = key
        self.targets = targets
        self.resources = resources
        self.alone = alone
        self.level = key[3]
        self.ready: FairLine[Call] = FairLine(turns)
        self.engines: dict[EngineNumber, None] = {}
        self.listed = True
        """It is kept up to date; one that nothing waited for may be dropped."""
        self._takers: list[tuple[float, EngineNumber]] = []
        self._entered: dict[EngineNumber, float] = {}
        """The least load of each that the heap has."""

    def __repr__(self) -> str:
        return f"<kind {self.what()}: {self.ready.size} ready for {list(self.engines)}>"

    def what(self) -> str:
        """What its calls ask of an engine, for a person."""
        parts = [repr(self.targets.text)] if self.targets.text else []
        parts += [f"{name}={amount:g}" for name, amount in self.resources.items()]
        return " with ".join(parts) or "any engine that can run functions"

    # Who can take more is found by a heap of (load, number). A load that has grown since makes its entry come too
    # early, where it is put right; one that has shrunk is entered again, and what it had before is passed over. So the
    # least is found without a look at all.

    def offer(self, load: float, number: EngineNumber) -> None:
        """An engine can take a call, with so much before it."""
        entered = self._entered.get(number)
        if entered is not None and entered <= load:
            return
        self._entered[number] = load
        if len(self._takers) > 2 * len(self.engines) + 16:
            self._entered = {number: load for number, load in self._entered.items() if number in self.engines}
            self._takers = [(load, number) for number, load in self._entered.items()]
            heapify(self._takers)
        else:
            heappush(self._takers, (load, number))

    def next_offer(self) -> tuple[float, EngineNumber] | None:
        """Take out the entry with the least load, which may be out of date."""
        takers, entered = self._takers, self._entered
        while takers:
            offer = heappop(takers)
            if entered.get(offer[1]) == offer[0]:
                del entered[offer[1]]
                return offer
        return None

    def least(self) -> tuple[float, EngineNumber]:
        """No engine that can take a call comes before this, by load and number, but the one taken out last."""
        return self._takers[0] if self._takers else _NONE

    def offers(self) -> list[tuple[float, EngineNumber]]:
        """The entry of each engine, in no order; some may be out of date."""
        return [(load, number) for number, load in self._entered.items()]
