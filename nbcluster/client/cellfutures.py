"""The Future of a cell, and what one engine made of a cell. Knows the outcome of tasks, not how they travel."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never

from nbcluster.client.cellnames import with_cells
from nbcluster.client.futures import EXPLAIN_PATIENCE, Future
from nbcluster.client.remote import same
from nbcluster.errors import (
    DependencyFailed,
    EngineErrors,
    EngineLost,
    NBClusterError,
    NotSerializable,
    RemoteError,
    TaskCancelled,
    TaskTimeout,
    UsageError,
)
from nbcluster.ids import EngineNumber, TaskId
from nbcluster.protocol import messages as m

if TYPE_CHECKING:
    from nbcluster.client.calls import Calls
    from nbcluster.client.cells import CellRun


SHOWN = 60
"""Characters of a value or of text that the repr of a result shows."""


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
        shown = next((output["data"].get("text/plain", "") for output in reversed(self.outputs)), "")
        parts = [f"engine {self.engine}", state]
        if "" in self.values and self.ok:
            parts.append(f"value {_short(str(shown))}")
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            if text:
                parts.append(f"{name} {_short(repr(text))}")
        others = len(self.outputs) - ("" in self.values and self.ok)
        if others > 0:
            parts.append(f"{others} rich output{'s' if others > 1 else ''}")
        return f"<CellResult {', '.join(parts)}>"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


def error_of(outcome: m.Outcome, engine: EngineNumber | None) -> Exception | None:
    """The exception that an outcome stands for."""
    match outcome:
        case m.Succeeded():
            return None
        case m.Raised(ename, evalue, traceback):
            return RemoteError(ename, evalue, with_cells(traceback), engine)
        case m.Lost(reason):
            return EngineLost(reason)
        case m.Cancelled(reason, raised):
            error: NBClusterError = TaskCancelled(reason)
        case m.TimedOut(seconds, raised):
            error = TaskTimeout(
                f"the cell ran longer than its limit of {seconds:g} s on engine {engine} and was interrupted"
            )
        case m.Unmet(reason):
            return DependencyFailed(reason)
        case _:
            assert_never(outcome)
    if raised is not None:
        error.__cause__ = RemoteError(raised.ename, raised.evalue, with_cells(raised.traceback), engine)
    return error


class CellFuture(Future):
    """The Future of a cell on engines.

    `result()` is the value of the cell's last expression: bare for one engine named by number or `any`, otherwise
    a dict by engine number. It raises what the engines raised.
    """

    def __init__(self, run: CellRun) -> None:
        super().__init__()
        self._run = run
        self.remark: Callable[[], str] = str
        """What whoever sent it has to add to how it is shown: that its value is stale, and why."""

    @property
    def what(self) -> str:
        """The cell in a few words."""
        return self._run.what

    @property
    def status(self) -> str:
        """queued, running, stopping, done, failed or cancelled."""
        return self._run.status

    @property
    def engine(self) -> int | tuple[int, ...] | None:
        """The engine, or the engines, that run it; None while `any` is not chosen."""
        return self._run.engine

    @property
    def key(self) -> str:
        """The id of the cell."""
        return self._run.cell

    @property
    def output(self) -> str:
        """Everything that was printed so far, also what the cell did not show."""
        return self._run.output

    @property
    def results(self) -> Mapping[int, CellResult]:
        """What each engine made of the cell so far."""
        return self._run.results

    @property
    def calls(self) -> Calls:
        """The calls of the client that sent it."""
        return self._run.calls

    @property
    def open_tasks(self) -> tuple[TaskId, ...]:
        """Its tasks that have not ended, as far as is known here."""
        return self._run.open_tasks

    @property
    def failed_tasks(self) -> tuple[TaskId, ...]:
        """Its tasks that did not succeed; where it was not sent for want of others, those of these."""
        return tuple(self._run.failed)

    def ask_to_stop(self, reason: str, *, force: bool = False) -> None:
        """Ask the engines to let go of it; does not wait."""
        self._run.cancel(reason, force=force)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that completes it, and on which it cannot be waited for."""
        return self._run.loop

    def explain(self, timeout: float = 10) -> str:
        """Say in a sentence for each of its tasks why it is where it is, and whether its value is stale."""
        lines = (
            self._run.explain(timeout) if self._run.open_tasks else f"{self.what} has ended: {self.status}"
        )
        return "; ".join(part for part in (lines, self.remark()) if part)

    def why_waiting(self) -> str:
        """Where it is and why, engine by engine, as the controller says."""
        try:
            return f"{self.what}: {'; '.join(self.explain(EXPLAIN_PATIENCE).splitlines())}"
        except (NBClusterError, TimeoutError, concurrent.futures.CancelledError):
            return super().why_waiting()

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}{', ' if (remark := self.remark()) else ''}{remark}>"

    def __reduce__(self) -> Any:
        # Its value is here and not on the cluster: as an argument of a call it goes along.
        if not self.done():
            raise UsageError(
                f"{self.what} has not ended, and the Future of a cell cannot be waited for elsewhere: send its "
                "result(), or let the cell bind a name and give Ref('name')"
            )
        return same, (self.result(0),)


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
