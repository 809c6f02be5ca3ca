"""Queues of what waits: in order of priority and age, and fair between clients. Knows no engines and no calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

from nbcluster.ids import ClientId


class Waits(Protocol):
    """What can wait in one line at a time."""

    queued: bool
    """Set by the line. What is taken out of the middle only loses this mark, and is passed over later."""


T = TypeVar("T", bound=Waits)


class Line(Generic[T]):
    """One queue, by rank (low first) and then sequence.

    What comes in order is appended; what comes back out of order waits in a heap beside. So both ends cost the same
    however many wait, and taking one out of the middle costs nothing until it would be its turn.
    """

    __slots__ = ("_back", "_fresh", "_pushed", "size")

    def __init__(self) -> None:
        self._fresh: deque[tuple[int, int, int, T]] = deque()
        self._back: list[tuple[int, int, int, T]] = []
        self._pushed = 0  # in each entry, so that no two are alike and none is compared by its item
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[T]:
        """Go through what waits, in order. Costs as much as sorting it."""
        return (item for *_, item in sorted((*self._fresh, *self._back)) if item.queued)

    def push(self, rank: int, sequence: int, item: T) -> None:
        """Let something wait."""
        pushed = self._pushed = self._pushed + 1
        entry = (rank, sequence, pushed, item)
        fresh = self._fresh
        if fresh and fresh[-1] > entry:
            heappush(self._back, entry)
        else:
            fresh.append(entry)
        item.queued = True
        self.size += 1

    def head(self) -> tuple[int, int, int, T] | None:
        """The first, as rank, sequence, a number and itself."""
        fresh, back = self._fresh, self._back
        while fresh and not fresh[0][3].queued:
            fresh.popleft()
        while back and not back[0][3].queued:
            heappop(back)
        if fresh and (not back or fresh[0] < back[0]):
            return fresh[0]
        return back[0] if back else None

    def pop(self) -> T:
        """Take the first, which there must be."""
        fresh, back = self._fresh, self._back
        while True:
            item = (heappop(back) if back and (not fresh or back[0] < fresh[0]) else fresh.popleft())[3]
            if item.queued:
                item.queued = False
                self.size -= 1
                return item

    def discard(self, item: T) -> None:
        """Take out one that waits here."""
        item.queued = False
        self.size -= 1
        if len(self._fresh) + len(self._back) > 2 * self.size + 64:
            self._fresh = deque(entry for entry in self._fresh if entry[3].queued)
            self._back = [entry for entry in self._back if entry[3].queued]
            heapify(self._back)


class Turns:
    """Whose turn it is among clients that have something waiting: theirs who was served least.

    A client that begins to wait counts as served as much as the one that was served least, so what it did not use
    before is no claim. Only clients that have something waiting are remembered.
    """

    __slots__ = ("_lines", "served")

    def __init__(self) -> None:
        self.served: dict[ClientId, int] = {}
        self._lines: dict[ClientId, int] = {}

    def enter(self, client: ClientId) -> None:
        """The client has something waiting in one line more."""
        if client not in self._lines:
            self.served[client] = min(self.served.values(), default=0)
        self._lines[client] = self._lines.get(client, 0) + 1

    def leave(self, client: ClientId) -> None:
        """The client has something waiting in one line less."""
        self._lines[client] -= 1
        if not self._lines[client]:
            del self._lines[client], self.served[client]


class FairLine(Generic[T]):
    """One line for each client; the first of all is the one with the lowest rank, of the client served least.

    Most that comes is taken at once: what comes while nothing waits anywhere needs no line and no turn.
    """

    __slots__ = ("_lines", "_single", "_turns", "size")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._lines: dict[ClientId, Line[T]] = {}
        self._single: tuple[ClientId, int, int, T] | None = None
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[T]:
        """Go through what waits, client by client."""
        return (item for items in self.by_client().values() for item in items)

    def by_client(self) -> dict[ClientId, list[T]]:
        """What waits of each client, in order."""
        if self._single is not None:
            return {self._single[0]: [self._single[3]]}
        return {client: list(line) for client, line in self._lines.items()}

    def push(self, client: ClientId, rank: int, sequence: int, item: T) -> None:
        """Let something of a client wait."""
        if not self.size and not self._turns.served:
            self._single = (client, rank, sequence, item)
            item.queued = True
            self.size = 1
            return
        if self._single is not None:
            single, self._single = self._single, None
            self._line_of(single[0]).push(*single[1:])
        line = self._lines.get(client)
        if line is None:
            line = self._line_of(client)
        line.push(rank, sequence, item)
        self.size += 1

    def _line_of(self, client: ClientId) -> Line[T]:
        line = self._lines.get(client)
        if line is None:
            line = self._lines[client] = Line()
            self._turns.enter(client)
        return line

    def key(self) -> tuple[int, int, int]:
        """Sorts this among other fair lines by its first, which there must be: rank, served, sequence."""
        client, rank, sequence = self._first()
        return rank, self._turns.served.get(client, 0), sequence

    def goes_before(self, client: ClientId, rank: int, sequence: int) -> bool:
        """Whether the first is to go before something of a client that does not wait here."""
        if not self.size:
            return False
        other, its_rank, its_sequence = self._first()
        return its_rank < rank or (its_rank == rank and (other != client or its_sequence < sequence))

    def pop(self) -> T:
        """Take the first, which there must be, and count it as a service to its client."""
        served = self._turns.served
        if self._single is not None:
            client, _, _, item = self._single
            self._single, self.size = None, 0
            item.queued = False
            if client in served:  # it has something waiting elsewhere by now
                served[client] += 1
            return item
        lines = self._lines
        if len(lines) == 1:
            [(client, line)] = lines.items()
        else:
            client = self._first()[0]
            line = lines[client]
        item = line.pop()
        self.size -= 1
        served[client] += 1
        if not line.size:
            del lines[client]
            self._turns.leave(client)
        return item

    def discard(self, client: ClientId, item: T) -> None:
        """Take out one that waits here."""
        self.size -= 1
        if self._single is not None:
            self._single = None
            item.queued = False
            return
        line = self._lines[client]
        line.discard(item)
        if not line.size:
            del self._lines[client]
            self._turns.leave(client)

    def _first(self) -> tuple[ClientId, int, int]:
        """The client, the rank and the sequence of the first, which there must be."""
        if self._single is not None:
            return self._single[:3]
        best: tuple[int, int, int] | None = None
        found = ClientId("")
        served = self._turns.served
        for client, line in self._lines.items():
            entry = line.head()
            assert entry is not None, f"an empty line of {client} is kept"
            key = (entry[0], served[client], entry[1])
            if best is None or key < best:
                best, found = key, client
        assert best is not None, "nothing waits"
        return found, best[0], best[2]
