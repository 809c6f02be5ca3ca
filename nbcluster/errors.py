"""The one tree of errors. Every message says what happened, to what, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Self


class NBClusterError(Exception):
    """Root of all errors that nbcluster raises itself."""


class UsageError(NBClusterError, ValueError):
    """An option, a name or a value that cannot be what was meant."""


class UnknownTarget(NBClusterError, LookupError):
    """A target names an engine, a tag, a host, a kernel or a language that does not exist."""


class NoEngines(NBClusterError):
    """The targets are well formed and match no engine."""


class UnknownCluster(NBClusterError, LookupError):
    """No running cluster has that name or file."""


class ClusterExists(NBClusterError):
    """A cluster of that name runs already."""


class ClusterInUse(NBClusterError):
    """Another client uses what was to be stopped."""


class ControllerLost(NBClusterError, ConnectionError):
    """The controller ended or stopped answering."""


class LauncherError(NBClusterError):
    """A controller or an engine could not be started; the message holds its last words."""


class AuthenticationError(NBClusterError):
    """A peer does not hold the key of this cluster."""


class VersionMismatch(NBClusterError):
    """Two processes speak versions that do not understand each other."""


class NotSerializable(NBClusterError, TypeError):
    """A value cannot be sent to another process."""


class NotSupported(NBClusterError):
    """A kernel cannot do what was asked of it."""


class ExecutorShutDown(NBClusterError, RuntimeError):
    """An executor was shut down and takes no calls any more."""


class EngineLost(NBClusterError):
    """An engine ended while it ran a task, or before it could, or with a value that cannot be computed again."""


class TaskTimeout(NBClusterError):
    """A task ran longer than its own ``timeout``. Not a TimeoutError: that is a wait that was given up."""


class TaskCancelled(NBClusterError, CancelledError):
    """A task was cancelled before it completed."""


class DependencyFailed(NBClusterError):
    """A task that this one needed did not succeed; that task's own error is the cause."""


class CycleError(NBClusterError, ValueError):
    """Tasks need each other in a circle, so that none of them can begin."""


class UnknownKey(NBClusterError, KeyError):
    """A key is not in the graph that it was looked for in.

    Parameters
    ----------
    key : key of a Dask graph
    message : str
        What happened.
    """

    def __init__(self, key: object, message: str) -> None:
        super().__init__(key, message)
        self.key = key

    def __str__(self) -> str:
        return str(self.args[1])


class ValueReleased(NBClusterError, LookupError):
    """The value of a task is not kept any more: its Future was dropped."""


class OutOfMemory(NBClusterError, MemoryError):
    """An engine can keep a result neither in memory nor on disk, or has no memory left to begin a call with."""


class ResultTooLarge(NBClusterError):
    """A value is larger than this client takes (`Cluster.result_limit`). It stays on its engine, to be used there."""


class RemoteTraceback(NBClusterError):
    """The traceback of an exception as its engine drew it; the cause of the exception that is raised here.

    Parameters
    ----------
    text : str
        The traceback's lines.
    engine : int or None
        Number of the engine that raised it.
    """

    def __init__(self, text: str, engine: int | None = None) -> None:
        super().__init__(text, engine)
        self.text = text
        self.engine = engine

    def __str__(self) -> str:
        where = "" if self.engine is None else f"on engine {self.engine}\n"
        return f"{where}{self.text}"


class RemoteError(NBClusterError):
    """An exception of the user's code on an engine.

    Parameters
    ----------
    ename, evalue : str
        Class name and text of the exception, as the kernel reported them.
    traceback : sequence of str
        The lines that the engine's kernel drew, with ANSI colours.
    engine : int or None
        Number of the engine that raised it.
    """

    def __init__(
        self, ename: str, evalue: str, traceback: Sequence[str] = (), engine: int | None = None
    ) -> None:
        super().__init__(ename, evalue, tuple(traceback), engine)
        self.ename = ename
        self.evalue = evalue
        self.traceback = tuple(traceback)
        self.engine = engine

    def __str__(self) -> str:
        where = "" if self.engine is None else f" (on engine {self.engine})"
        return f"{self.ename}: {self.evalue}{where}"


class EngineErrors(NBClusterError, ExceptionGroup[Exception]):
    """Errors of several engines that ran the same thing.

    Parameters
    ----------
    message : str
        What failed.
    errors : dict of int to Exception
        The error of each engine, by its number.
    """

    errors: dict[int, Exception]

    def __new__(cls, message: str, errors: dict[int, Exception]) -> Self:
        self = super().__new__(cls, message, list(errors.values()))
        self.errors = dict(errors)
        return self

    def __init__(self, message: str, errors: dict[int, Exception]) -> None:
        super().__init__(message, list(errors.values()))

    def __reduce__(self) -> tuple[type[Self], tuple[str, dict[int, Exception]]]:
        return type(self), (self.message, self.errors)

    def derive(self, excs: Sequence[Exception]) -> EngineErrors:  # type: ignore[override]  # a group of ours stays a group of ours
        kept = {number: error for number, error in self.errors.items() if error in excs}
        return EngineErrors(self.message, kept)


BY_NAME: dict[str, type[NBClusterError]] = {
    kind.__name__: kind
    for kind in (
        AuthenticationError,
        ClusterExists,
        ClusterInUse,
        ControllerLost,
        DependencyFailed,
        EngineLost,
        LauncherError,
        NoEngines,
        NotSerializable,
        NotSupported,
        OutOfMemory,
        UnknownCluster,
        UnknownTarget,
        UsageError,
        ValueReleased,
        VersionMismatch,
    )
}
"""The errors that a controller can answer with, by the name that goes over the wire."""
