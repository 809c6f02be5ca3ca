"""What views are told of the work of one client: items of a picture, each under a key. Knows no sockets and no drawing.

A message brings the items that changed since the one before, or all of them. Times are epoch seconds of the controller.
"""

from __future__ import annotations

from msgspec import Struct

from nbcluster.ids import EngineNumber


class WatchWork(Struct, frozen=True, tag=True):
    """Be told of this client's own work by WorkTold: all of it at once, then what changes, at most five times a second.

    With `on` false it ends, after one more whole message. Sent again it has the next message be a whole one: for a
    client that has missed one.
    """

    on: bool = True


class StopWork(Struct, frozen=True, tag=True):
    """Have a wait stopped, as Ctrl-C in its notebook would; "" cancels all tasks of all clients.

    Whoever may connect to the cluster may ask it. The clients that watch their work are told by a StopWanted; the one
    that waits knows what it is, and cancels.
    """

    work: str = ""


class Bar(Struct, frozen=True, tag=True, array_like=True):
    """The tasks of one label: of a function's name, or of a cell. `seconds` is how long those that ended ran, together.

    They count from when the label had last rested for a second: `first` is when the first of them was submitted. What
    neither runs nor ended waits.
    """

    label: str
    total: int
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0
    seconds: float = 0.0
    first: float = 0.0
    last: float = 0.0
    """When the last one ended; 0 when none has."""

    @property
    def ended(self) -> int:
        """How many have ended, however."""
        return self.done + self.failed + self.cancelled + self.lost

    @property
    def waiting(self) -> int:
        """How many wait."""
        return max(0, self.total - self.ended - self.running)


class EngineLoad(Struct, frozen=True, tag=True, array_like=True):
    """What one engine is at, and how it was used: a sample each `every` seconds, the last one now.

    `busy` is the percentage of time that it spent on this client's tasks, `cpu` that of one core.
    """

    engine: EngineNumber
    state: str
    running: str = ""
    """The label of what runs, whoever sent it."""
    since: float = 0.0
    every: float = 1.0
    busy: tuple[int, ...] = ()
    memory: tuple[int, ...] = ()
    """MiB."""
    cpu: tuple[int, ...] = ()


class EngineFacts(Struct, frozen=True, tag=True, array_like=True):
    """What one engine is: what changes seldom, and so is told apart from its load."""

    engine: EngineNumber
    host: str = ""
    pid: int = 0
    kernel: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    """Why it is in its state, where that needs a sentence: the stderr of a failed start."""


class Strip(Struct, frozen=True, array_like=True, gc=False):
    """A rectangle of the task stream: `count` tasks of an engine that ran between two times, for `busy` seconds of it.

    `label` is that which ran longest; `failed` of them did not succeed.
    """

    start: float
    end: float
    label: str
    count: int = 1
    failed: int = 0
    busy: float = 0.0


class Lane(Struct, frozen=True, tag=True, array_like=True):
    """A page of the strips of one engine, in the order of their beginning."""

    engine: EngineNumber
    page: int
    strips: tuple[Strip, ...]


class Curve(Struct, frozen=True, tag=True, array_like=True):
    """A number that tasks of one label on one engine have given to `report` under a name, as it changed."""

    label: str
    engine: EngineNumber
    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]


class Failure(Struct, frozen=True, tag=True, array_like=True):
    """One of the last tasks that failed or were lost. `number` counts them."""

    number: int
    label: str
    engine: EngineNumber | None
    at: float
    error: str


class Scope(Struct, frozen=True, tag=True, array_like=True):
    """What the picture shows of all there is: whatever is summarised or left out is counted here."""

    since: float
    """Since when what ends is drawn."""
    width: float = 0.0
    """Tasks of an engine that fit into so many seconds share a rectangle; 0: each has its own."""
    drawn: int = 0
    """Tasks in the rectangles."""
    failures: int = 0
    """All tasks that failed or were lost since then; the last ones are shown."""
    labels_left_out: int = 0
    """Bars that are not told of: those that rest longest."""
    engines_left_out: int = 0
    curves_left_out: int = 0
    """Reports of further tasks or names that are not told of."""


class StopWanted(Struct, frozen=True, tag=True, array_like=True):
    """Somebody, not the client itself, wants a wait of this name to be stopped."""

    work: str


Item = Bar | EngineLoad | EngineFacts | Lane | Curve | Failure | Scope | StopWanted


def key_of(item: Item) -> str:
    """The key under which an item stands, and which a later one replaces."""
    match item:
        case Bar(label):
            return f"bar/{label}"
        case EngineLoad(engine):
            return f"engine/{engine}"
        case EngineFacts(engine):
            return f"facts/{engine}"
        case Lane(engine, page):
            return f"lane/{engine}/{page}"
        case Curve(label, engine, name):
            return f"curve/{engine}/{label}/{name}"
        case Failure(number):
            return f"failure/{number}"
        case Scope():
            return "scope"
        case StopWanted(work):
            return f"stop/{work}"


class WorkTold(Struct, frozen=True, tag=True):
    """The picture at a time: whole, or what changed since the message whose number is one less."""

    number: int
    now: float
    whole: bool
    items: tuple[Item, ...]
    gone: tuple[str, ...] = ()
    """Keys of items that are no more."""
