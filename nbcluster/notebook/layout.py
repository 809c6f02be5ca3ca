"""Orders output of several engines: as it comes, by engine, or equal output once. Knows no drawing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from nbcluster.notebook.items import Item, Rich, Text, Wipe

Source = tuple[int, ...]
"""The engines that something comes from."""

Placed = tuple[Source, Item]


class Layout(Protocol):
    """Decides when an item is drawn, and for which engines."""

    def add(self, engine: int, item: Item) -> list[Placed]:
        """Take an item; return what is to be drawn now."""

    def done(self, engine: int) -> list[Placed]:
        """An engine has ended; return what is to be drawn now."""

    def finish(self) -> list[Placed]:
        """All have ended; return the rest."""


class AsItComes:
    """Draws each item at once."""

    def add(self, engine: int, item: Item) -> list[Placed]:
        """Return the item."""
        return [((engine,), item)]

    def done(self, engine: int) -> list[Placed]:
        """Return nothing: nothing is held."""
        return []

    def finish(self) -> list[Placed]:
        """Return nothing: nothing is held."""
        return []


class ByEngine:
    """Draws one engine after the other; the first that has not ended is live.

    Parameters
    ----------
    engines : iterable of int
    most : int
        How many lines of text are held for one engine; of more, the oldest are let go.
    """

    def __init__(self, engines: Iterable[int], most: int) -> None:
        self._turn = sorted(engines)
        self._held: dict[int, _Held] = {}
        self._ended: set[int] = set()
        self._most = most

    def add(self, engine: int, item: Item) -> list[Placed]:
        """Return the item if it is this engine's turn, or its turn is over."""
        if engine not in self._turn[1:]:
            return [((engine,), item)]
        self._held.setdefault(engine, _Held(self._most)).add(item)
        return []

    def done(self, engine: int) -> list[Placed]:
        """Return what the engines held whose turn comes now."""
        self._ended.add(engine)
        placed: list[Placed] = []
        while self._turn and self._turn[0] in self._ended:
            self._turn.pop(0)
            if self._turn:
                placed += self._take(self._turn[0])
        return placed

    def finish(self) -> list[Placed]:
        """Return all that is held still."""
        left, self._turn = self._turn, []
        return [placed for engine in left for placed in self._take(engine)]

    def _take(self, engine: int) -> list[Placed]:
        held = self._held.pop(engine, None)
        return [((engine,), item) for item in held.items] if held else []


class EqualOnce:
    """Holds everything until all have ended, and then draws equal output once, for all that gave it.

    Parameters
    ----------
    engines : iterable of int
    most : int
        How many lines of text are held for one engine; of more, the oldest are let go.
    """

    def __init__(self, engines: Iterable[int], most: int) -> None:
        self._held = {engine: _Held(most) for engine in sorted(engines)}
        self._finished = False

    def add(self, engine: int, item: Item) -> list[Placed]:
        """Hold the item; late ones are drawn at once."""
        if self._finished:
            return [((engine,), item)]
        self._held.setdefault(engine, _Held(0)).add(item)
        return []

    def done(self, engine: int) -> list[Placed]:
        """Return nothing yet: another engine may print the same."""
        return []

    def finish(self) -> list[Placed]:
        """Return the output of each group of engines that gave the same."""
        self._finished = True
        groups: list[tuple[list[int], list[Item]]] = []
        for engine, held in self._held.items():
            for engines, items in groups:
                if [_essence(item) for item in items] == [_essence(item) for item in held.items]:
                    engines.append(engine)
                    break
            else:
                groups.append(([engine], held.items))
        self._held = {}
        return [(tuple(engines), item) for engines, items in groups for item in items]


def _essence(item: Item) -> object:
    match item:
        case Rich():
            # The ids of displays differ between engines, what is shown does not.
            return (
                item.data,
                item.metadata,
                item.update,
                item.is_result,
                [bytes(part) for part in item.buffers],
            )
        case _:
            return item


class _Held:
    """Items of one engine that wait, with text joined and bounded."""

    def __init__(self, most: int) -> None:
        self.items: list[Item] = []
        self._most = most
        self._lines = 0

    def add(self, item: Item) -> None:
        match item, self.items[-1] if self.items else None:
            case Wipe(), _:
                self.items.clear()
                self._lines = 0
                return
            case Text(stream, text), Text(before, earlier) if stream == before and len(earlier) < 4096:
                self.items[-1] = Text(stream, earlier + text)
            case Rich(update=True, display_id=known), _ if known is not None and self._replace(item, known):
                return
            case _:
                self.items.append(item)
        if isinstance(item, Text):
            self._lines += item.text.count("\n")
        while self._most and self._lines > self._most:
            oldest = next(at for at, kept in enumerate(self.items) if isinstance(kept, Text))
            dropped = self.items.pop(oldest)
            assert isinstance(dropped, Text)
            self._lines -= dropped.text.count("\n")

    def _replace(self, item: Item, display_id: str) -> bool:
        assert isinstance(item, Rich)
        found = False
        for at, kept in enumerate(self.items):
            if isinstance(kept, Rich) and kept.display_id == display_id:
                self.items[at] = Rich(item.data, item.metadata, display_id, buffers=item.buffers)
                found = True
        return found


def layout_for(group: str, engines: Iterable[int], most: int) -> Layout:
    """Return the layout of that name (one of grammar.GROUPS)."""
    match group:
        case "engine":
            return ByEngine(engines, most)
        case "same":
            return EqualOnce(engines, most)
        case _:
            return AsItComes()
