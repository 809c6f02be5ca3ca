"""Counts the work of each client, and has it summarised for those that watch. Sends nothing; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbcluster.controller.records import error_of, state_of
from nbcluster.core.summary import Summary
from nbcluster.core.tallies import Tallies, Tally
from nbcluster.ids import ClientId, EngineNumber
from nbcluster.protocol.calls import CallOptions, CallSpec
from nbcluster.protocol.messages import Outcome


class Work:
    """The tallies of all clients, and the summaries of those that watch."""

    def __init__(self) -> None:
        self._tallies = Tallies()
        self.watched: dict[ClientId, Summary] = {}

    def watch(self, client: ClientId, now: float) -> Summary:
        """Summarise the work of a client from now on, if that is not done already."""
        summary = self.watched.get(client)
        if summary is None:
            summary = self.watched[client] = Summary(self._tallies.of(client), now)
        return summary

    def unwatch(self, client: ClientId) -> None:
        """Nobody watches it any more."""
        self.watched.pop(client, None)

    def client_left(self, client: ClientId) -> None:
        """A client has gone."""
        self.unwatch(client)
        self._tallies.forget(client)

    def tally(self, client: ClientId, label: str) -> Tally:
        """Where tasks of a label are counted."""
        return self._tallies.tally(client, label)

    def tallies_of(self, client: ClientId, options: Sequence[CallOptions]) -> list[Tally | None]:
        """Where calls are counted, by the index of their options; those of nbcluster itself are not."""
        return [None if each.quiet else self.tally(client, each.label or "a call") for each in options]

    def count(self, tallies: Sequence[Tally | None], specs: Sequence[CallSpec], now: float) -> None:
        """Count calls that were taken."""
        for tally, count in _counts(tallies, specs):
            tally.submitted(count, now)

    def uncount(self, tallies: Sequence[Tally | None], specs: Sequence[CallSpec]) -> None:
        """These were not accepted after all."""
        for tally, count in _counts(tallies, specs):
            tally.refused(count)

    def cell_ended(
        self,
        client: ClientId,
        tally: Tally | None,
        engine: EngineNumber | None,
        outcome: Outcome,
        started: float | None,
        now: float,
    ) -> None:
        """A cell ended on an engine."""
        if tally is None:
            return
        state, seconds = state_of(outcome), now - started if started is not None else 0.0
        tally.ended(state, seconds, now)
        summary = self.watched.get(client)
        if summary is not None:
            summary.ended([(tally.label, engine, state, started or 0.0, seconds, error_of(outcome))], now)

    def reported(
        self, client: ClientId, label: str, engine: EngineNumber, values: Mapping[str, Any], now: float
    ) -> None:
        """A call gave values to `report`."""
        summary = self.watched.get(client)
        if summary is not None:
            summary.reported(label or "a call", engine, values, now)


def _counts(tallies: Sequence[Tally | None], specs: Sequence[CallSpec]) -> list[tuple[Tally, int]]:
    if len(tallies) == 1:
        return [] if tallies[0] is None else [(tallies[0], len(specs))]
    counts = [0] * len(tallies)
    for spec in specs:
        counts[spec.options] += 1
    return [
        (tally, count) for tally, count in zip(tallies, counts, strict=True) if tally is not None and count
    ]
