"""How calls end, as frozen values in a closed union. Knows no sockets and no scheduler."""

from __future__ import annotations

from msgspec import Struct

from nbcluster.ids import TaskId


class Returned(Struct, frozen=True, tag=True, gc=False):
    """The function returned. `nbytes` counts the pickled value with its buffers."""

    nbytes: int = 0
    home: bool = True
    """Whether the value rides home with this; otherwise it stays on the engine until it is fetched."""


class Threw(Struct, frozen=True, tag=True):
    """The function raised, or its arguments or result could not be handled there.

    `exception` is the pickled exception, b"" when it could not be pickled (`unsent` says why).
    """

    ename: str
    evalue: str
    traceback: tuple[str, ...] = ()
    exception: bytes = b""
    unsent: str = ""


class EngineGone(Struct, frozen=True, tag=True):
    """The engine ended under the call and it may not, or no more, run again."""

    reason: str


class Withdrawn(Struct, frozen=True, tag=True):
    """It was cancelled: before it ran, or by an interrupt that reached it."""

    reason: str


class OutOfTime(Struct, frozen=True, tag=True):
    """It ran longer than its limit (seconds)."""

    seconds: float
    note: str = ""


class Rejected(Struct, frozen=True, tag=True):
    """It could not be run: the name of a class in errors.BY_NAME, and its message.

    `cause` is the task whose failure is the reason, for DependencyFailed.
    """

    error: str
    message: str
    cause: TaskId | None = None


CallOutcome = Returned | Threw | EngineGone | Withdrawn | OutOfTime | Rejected
