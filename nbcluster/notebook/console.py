"""What engines have printed, as rows on screens of bounded size, and what changed of it. Draws nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from nbcluster.notebook.operations import StreamName
from nbcluster.notebook.streams import overwrite

MOST_ROWS = 1_000
"""Rows of one engine; of more, the oldest are let go."""

MOST_BYTES = 4_000_000
"""Characters of all engines together."""

LONGEST_ROW = 2_000
"""Characters."""

MOST_IMAGES = 12
"""Images of one engine; the latest."""

IMAGE_BYTES = 8_000_000
"""Characters of the images of all engines together, as they are in a page."""


@dataclass
class Row:
    """A line, also one in the making: `under` is what its text after a carriage return overwrites."""

    stream: StreamName
    under: str = ""
    part: str = ""
    lost: int = 0
    """Characters of `part` that are not kept."""

    @property
    def size(self) -> int:
        """The characters that are kept."""
        return len(self.under) + len(self.part)

    @property
    def text(self) -> str:
        """What is seen of it."""
        text = overwrite(self.under, self.part)
        return f"{text}… ({self.lost:,} more characters)" if self.lost else text

    def add(self, text: str) -> None:
        """Add text, also with carriage returns."""
        first, *others = text.split("\r")
        self._append(first)
        for other in others:
            self.under, self.part, self.lost = overwrite(self.under, self.part), "", 0
            self._append(other)

    def _append(self, text: str) -> None:
        room = max(0, LONGEST_ROW - len(self.part))
        self.part += text[:room]
        self.lost += len(text[room:])


@dataclass
class Screen:
    """What one engine has shown. Rows are known by their number, which never changes."""

    rows: deque[Row] = field(default_factory=deque)
    first: int = 0
    """The number of the oldest row that is kept."""
    left_out: int = 0
    """Rows that were let go for want of room."""
    size: int = 0
    """The characters of its rows."""
    images: deque[str] = field(default_factory=deque)
    images_left_out: int = 0
    is_over: bool = False
    changed: set[int] = field(default_factory=set)
    is_new: bool = True
    """It was cleared, has ended, or was not told of."""
    has_new_images: bool = False
    _open: dict[StreamName, int] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The number that the next row will have."""
        return self.first + len(self.rows)

    @property
    def texts(self) -> tuple[str, ...]:
        """Its rows."""
        return tuple(row.text for row in self.rows)

    def write(self, stream: StreamName, text: str) -> list[int]:
        """Take text; return the numbers of the rows that it began."""
        begun: list[int] = []
        *whole, rest = text.split("\n")
        for line in whole:
            self._add(stream, line, begun)
            del self._open[stream]
        if rest:
            self._add(stream, rest, begun)
        return begun

    def _add(self, stream: StreamName, text: str, begun: list[int]) -> None:
        number = self._open.get(stream)
        if number is None or number < self.first:
            number = self._open[stream] = self.end
            self.rows.append(Row(stream))
            begun.append(number)
        row = self.rows[number - self.first]
        before = row.size
        row.add(text)
        self.size += row.size - before
        self.changed.add(number)

    def drop_first(self) -> None:
        """Let the oldest row go."""
        self.changed.discard(self.first)
        self.size -= self.rows.popleft().size
        self.first += 1
        self.left_out += 1

    def wipe(self) -> None:
        """Let all go that is shown: the engine has cleared it."""
        self.first, self.is_new, self.has_new_images = self.end, True, True
        self.left_out = self.size = 0
        self.rows.clear()
        self.images.clear()
        self.changed.clear()
        self._open.clear()


class Console:
    """The screens of some engines, and the order in which their rows began.

    Examples
    --------
    >>> console = Console([0, 1])
    >>> console.write(1, "stdout", "half\\rwhole\\n")
    >>> console.screens[1].texts
    ('whole',)
    """

    def __init__(self, engines: Iterable[int]) -> None:
        self.screens = {engine: Screen() for engine in sorted(engines)}
        self.order: deque[tuple[int, int]] = deque()
        """Engine and number of each row, as they began."""
        self.begun: list[tuple[int, int]] = []
        """Those that began since it was taken last."""
        self._image_bytes = 0

    def write(self, engine: int, stream: StreamName, text: str) -> None:
        """An engine has printed."""
        screen = self._screen(engine)
        for number in screen.write(stream, text):
            self.order.append((engine, number))
            self.begun.append((engine, number))
        while len(screen.rows) > MOST_ROWS:
            screen.drop_first()
        while sum(each.size for each in self.screens.values()) > MOST_BYTES:
            several = [each for each in self.screens.values() if len(each.rows) > 1]
            if not several:
                break  # the latest row of each stays
            max(several, key=lambda each: each.size).drop_first()
        if len(self.order) > 2 * MOST_ROWS * max(1, len(self.screens)):
            self._forget_order()

    def show_image(self, engine: int, source: str) -> None:
        """An engine has shown an image: a data URL, or plain HTML."""
        screen = self._screen(engine)
        screen.images.append(source)
        screen.has_new_images = True
        self._image_bytes += len(source)
        while len(screen.images) > MOST_IMAGES or (
            self._image_bytes > IMAGE_BYTES and len(screen.images) > 1
        ):
            self._image_bytes -= len(screen.images.popleft())
            screen.images_left_out += 1  # of this engine: those of others stay

    def wipe(self, engine: int) -> None:
        """An engine has cleared what it showed."""
        screen = self._screen(engine)
        self._image_bytes -= sum(map(len, screen.images))
        screen.wipe()
        self._forget_order()

    def end(self, engine: int) -> None:
        """An engine has ended."""
        screen = self._screen(engine)
        screen.is_over = screen.is_new = True

    @property
    def same(self) -> list[list[int]]:
        """The engines in groups of equal output."""
        groups: dict[object, list[int]] = {}
        for engine, screen in self.screens.items():
            groups.setdefault((screen.texts, tuple(screen.images)), []).append(engine)
        return list(groups.values())

    @property
    def is_empty(self) -> bool:
        """Whether nothing was shown."""
        return not any(screen.rows or screen.images for screen in self.screens.values())

    def _screen(self, engine: int) -> Screen:
        return self.screens.setdefault(engine, Screen())

    def _forget_order(self) -> None:
        firsts = {engine: screen.first for engine, screen in self.screens.items()}
        self.order = deque((engine, number) for engine, number in self.order if number >= firsts[engine])
