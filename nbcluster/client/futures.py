"""The Future of a cell, and what one engine made of a cell. Knows the outcome of tasks, not how they travel."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

from nbcluster.client import callbacks
from nbcluster.errors import (
    EngineErrors,
    EngineLost,
    NBClusterError,
    NotSerializable,
    RemoteError,
    TaskCancelled,
    TaskTimeout,
)
from nbcluster.ids import EngineNumber
from nbcluster.protocol import messages as m

if TYPE_CHECKING:
    from nbcluster.client.cells import CellRun


@dataclass(frozen=True, slots=True)
class Unsent:
    """Stands in a future's result for a value that stayed on its engine.

    Attributes
    ----------
    engine : int
    reason : str
        Why it was not sent, and what to do.
    """

    engine: int
    reason: str

    def __repr__(self) -> str:
        return f"<a value on engine {self.engine} that was not sent: {self.reason}>"


@dataclass(slots=True)
class CellResult:
    """What one engine made of a cell.

    Attributes
    ----------
    engine : int
        Number of the engine.
    ok : bool
        Whether the cell ran to its end.
    stdout, stderr : str
        All text that it printed there.
    outputs : list of dict
        Its rich outputs in nbformat's form: output_type, data, metadata.
    error : Exception or None
        Why it is not ok.
    notice : str
        What the user should know first: that the engine was restarted and lost its names.
    """

    engine: int
    ok: bool = False
    error: Exception | None = None
    stdout: str = ""
    stderr: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    values: dict[str, bytes] = field(default_factory=dict)
    unsent: dict[str, str] = field(default_factory=dict)
    notice: str = ""

    @property
    def value(self) -> Any:
        """The value of the cell's last expression, None when there is none.

        Raises
        ------
        NotSerializable
            When the value exists and could not be sent; the message says why.
        Exception
            `error`, when the cell failed.
        """
        if self.error is not None:
            raise self.error
        return self.load("")

    def load(self, name: str) -> Any:
        """Load a value that was asked for by name; "" is the last expression's.

        Raises
        ------
        KeyError
            When the engine has no such name.
        NotSerializable
            When the value could not be sent or does not load here.
        """
        reason = self.unsent.get(name)
        what = repr(name) if name else "the value of the cell's last expression"
        if reason is not None:
            if reason.startswith("missing"):
                raise KeyError(name)
            raise NotSerializable(f"{what} stays on engine {self.engine}: {reason}")
        if name not in self.values:
            return None
        try:
            return pickle.loads(self.values[name])  # noqa: S301  # over channels signed with the cluster's key
        except Exception as error:
            raise NotSerializable(
                f"{what} came from engine {self.engine} and cannot be loaded here: {type(error).__name__}: {error}"
            ) from error

    def __repr__(self) -> str:
        state = "ok" if self.ok else f"failed: {self.error}"
        lines = self.stdout.count("\n")
        return f"<CellResult engine {self.engine}, {state}, {lines} lines, {len(self.outputs)} rich outputs>"


def error_of(outcome: m.Outcome, engine: EngineNumber | None) -> Exception | None:
    """The exception that an outcome stands for."""
    match outcome:
        case m.Succeeded():
            return None
        case m.Raised(ename, evalue, traceback):
            return RemoteError(ename, evalue, traceback, engine)
        case m.Lost(reason):
            return EngineLost(reason)
        case m.Cancelled(reason, raised):
            error: NBClusterError = TaskCancelled(reason)
        case m.TimedOut(seconds, raised):
            error = TaskTimeout(
                f"the cell ran longer than its limit of {seconds:g} s on engine {engine} and was interrupted"
            )
        case _:
            assert_never(outcome)
    if raised is not None:
        error.__cause__ = RemoteError(raised.ename, raised.evalue, raised.traceback, engine)
    return error


class Future(concurrent.futures.Future[Any]):
    """The future of a cell on engines; a `concurrent.futures.Future` that can also be awaited.

    `result()` is the value of the cell's last expression: bare for one engine named by number or `any`, otherwise
    a dict by engine number. It raises what the engines raised.
    """

    def __init__(self, run: CellRun) -> None:
        super().__init__()
        self._run = run

    @property
    def status(self) -> str:
        """queued, running, stopping, done, failed or cancelled."""
        return self._run.status

    @property
    def engine(self) -> int | tuple[int, ...] | None:
        """The engine, or the engines, that run it; None while `any` is not chosen."""
        return self._run.engine

    @property
    def output(self) -> str:
        """Everything that was printed so far, also what the cell did not show."""
        return self._run.output

    @property
    def results(self) -> Mapping[int, CellResult]:
        """What each engine made of the cell so far."""
        return self._run.results

    def cancel(self, timeout: float = 5, force: bool = False) -> bool:
        """Cancel what waits and interrupt what runs, and wait for the engines' word.

        Parameters
        ----------
        timeout : float
            Seconds to wait for it.
        force : bool
            Restart an engine that does not let go.

        Returns
        -------
        bool
            True only when the cell will not complete.
        """
        if self.done():
            return self.cancelled()
        self._run.cancel("cancelled by its owner", force=force)
        try:
            self.exception(timeout)
        except concurrent.futures.CancelledError:
            return True
        except concurrent.futures.TimeoutError:
            return False
        return self.cancelled()

    def cancelled(self) -> bool:
        """Whether it was cancelled before it completed."""
        return self.done() and isinstance(self._error(), TaskCancelled)

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Have a function called with this future when it is done, on a thread for callbacks, where it may wait."""
        self.tell_when_done(lambda _: callbacks.call_soon(fn, self))

    def tell_when_done(self, tell: Callable[[Any], object]) -> None:
        """Have a function called at once when it is done, on whatever thread that is; it must not wait."""
        super().add_done_callback(tell)

    def running(self) -> bool:
        """Whether an engine is at it."""
        return not self.done() and self.status in ("running", "stopping")

    def _error(self) -> BaseException | None:
        return self.exception(0)

    def __await__(self) -> Generator[Any, None, Any]:
        # Cancelling the await does not cancel the cell.
        yield from wait_done(self).__await__()
        return self.result(0)

    def __repr__(self) -> str:
        return f"<Future of {self._run.what}: {self.status}>"


async def wait_done(future: Future) -> None:
    """Wait until a future is done, whatever it holds."""
    loop = asyncio.get_running_loop()
    here = threading.get_ident()
    done: asyncio.Future[None] = loop.create_future()

    def set_done() -> None:
        if not done.done():
            done.set_result(None)

    def tell(_: object) -> None:
        if threading.get_ident() == here:
            set_done()
        else:
            loop.call_soon_threadsafe(set_done)

    future.tell_when_done(tell)
    await done


def combine(results: Mapping[int, CellResult], *, single: bool) -> Exception | None:
    """The one error of a cell on several engines: that of the only one, or the group of all."""
    errors = {number: result.error for number, result in sorted(results.items()) if result.error is not None}
    if not errors:
        return None
    if single or len(results) == 1:
        return next(iter(errors.values()))
    if all(isinstance(error, TaskCancelled) for error in errors.values()):
        return next(iter(errors.values()))
    where = f"{len(errors)} of {len(results)} engines" if len(errors) < len(results) else "every engine"
    return EngineErrors(f"the cell failed on {where}", errors)
