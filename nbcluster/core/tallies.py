"""Counts what each client has submitted and what became of it, by label: always, for a few additions a task."""

from __future__ import annotations

from collections.abc import Mapping

from nbcluster.ids import ClientId
from nbcluster.protocol.feed import Bar

RESTS = 1.0
"""Seconds without open tasks after which the next one of a label begins its count anew."""

MOST_LABELS = 200
"""Labels of one client that are counted apart."""

OTHERS = "(others)"
"""The label under which further ones are counted together."""


def group_of(label: str) -> str:
    """The label under which a task is counted: up to a colon; what follows tells tasks of one kind apart."""
    return label.partition(": ")[0] or label


class Tally:
    """The tasks of one label of one client."""

    __slots__ = ("cancelled", "done", "failed", "first", "label", "last", "lost", "seconds", "total")

    def __init__(self, label: str) -> None:
        self.label = label
        self._begin(0.0)

    def _begin(self, now: float) -> None:
        self.total = self.done = self.failed = self.cancelled = self.lost = 0
        self.seconds = self.last = 0.0
        self.first = now

    @property
    def open(self) -> int:
        """How many have not ended."""
        return self.total - self.done - self.failed - self.cancelled - self.lost

    def submitted(self, count: int, now: float) -> None:
        """Count tasks that are new."""
        if not self.open and now - self.last > RESTS:
            self._begin(now)
        self.total += count

    def refused(self, count: int) -> None:
        """Take back tasks that were not accepted after all."""
        self.total -= count

    def ended(self, state: str, seconds: float, now: float) -> None:
        """Count a task that ended in this state: done, failed, cancelled or lost."""
        if state == "done":
            self.done += 1
        elif state == "failed":
            self.failed += 1
        elif state == "cancelled":
            self.cancelled += 1
        else:
            self.lost += 1
        self.seconds += seconds
        self.last = now

    def bar(self, running: int) -> Bar:
        """The tally as views see it."""
        return Bar(
            self.label,
            self.total,
            min(running, self.open),
            self.done,
            self.failed,
            self.cancelled,
            self.lost,
            round(self.seconds, 4),
            self.first,
            self.last,
        )


class Tallies:
    """The tallies of every client that is connected."""

    def __init__(self) -> None:
        self._by_client: dict[ClientId, dict[str, Tally]] = {}

    def of(self, client: ClientId) -> Mapping[str, Tally]:
        """The tallies of a client by label."""
        return self._by_client.setdefault(client, {})

    def tally(self, client: ClientId, label: str) -> Tally:
        """The tally of a label's group; the one that has rested longest makes room for a new one."""
        label = group_of(label)
        tallies = self._by_client.setdefault(client, {})
        tally = tallies.get(label)
        if tally is None:
            if len(tallies) >= MOST_LABELS:
                idle = [each for each in tallies.values() if not each.open]
                if not idle:
                    return tallies.setdefault(OTHERS, Tally(OTHERS))
                del tallies[min(idle, key=lambda each: each.last).label]
            tally = tallies[label] = Tally(label)
        return tally

    def forget(self, client: ClientId) -> None:
        """A client has gone."""
        self._by_client.pop(client, None)
