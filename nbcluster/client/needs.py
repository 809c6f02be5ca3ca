"""What a cell or call comes after, in the words of Futures and of an order. Knows no dataflow and no messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbcluster.client.callfutures import CallFuture, ManyFuture
from nbcluster.client.cellfutures import CellFuture
from nbcluster.client.futures import Future
from nbcluster.client.options import tasks_of
from nbcluster.errors import DependencyFailed, UsageError
from nbcluster.ids import TaskId

if TYPE_CHECKING:
    from nbcluster.client.calls import Calls


@dataclass(frozen=True)
class Needs:
    """Futures that a cell comes after.

    Attributes
    ----------
    after : tuple of Future
        Of calls and cells that must have succeeded first.
    behind : tuple of Future
        Of cells that must have ended first, whatever came of them.
    brought : tuple of Future
        Of calls that bind variables for it, each on one engine: there it comes after them.
    near : Future or None
        Of a cell among `after` that runs on one engine: with the targets `any` the new cell runs there too.
    """

    after: tuple[Future, ...] = ()
    behind: tuple[Future, ...] = ()
    brought: tuple[Future, ...] = ()
    near: Future | None = None


@dataclass(frozen=True)
class Waits:
    """The same for the controller: tasks that have not ended, as far as is known here.

    Attributes
    ----------
    failed : Future or None
        One of those that must succeed, and has not.
    engine : int or None
        Where the cell has to run, when that is known.
    """

    after: tuple[TaskId, ...] = ()
    behind: tuple[TaskId, ...] = ()
    brought: tuple[TaskId, ...] = ()
    near: TaskId | None = None
    engine: int | None = None
    failed: Future | None = None


def waits_of(needs: Needs) -> Waits:
    """Return what has to be waited for."""
    failed = next((each for each in needs.after if has_failed(each)), None)
    if failed is not None:
        return Waits(failed=failed)
    after = tuple(task for each in needs.after for task in open_tasks(each))
    behind = tuple(task for each in needs.behind for task in open_tasks(each))
    near, engine = None, None
    if needs.near is not None:
        (near,) = open_tasks(needs.near) or (None,)
        if near is None and isinstance(needs.near, CellFuture) and isinstance(needs.near.engine, int):
            engine = needs.near.engine
    return Waits(after, behind, tasks_of(needs.brought), near, engine)


def has_failed(future: Future) -> bool:
    """Whether something of it is known not to have succeeded."""
    if isinstance(future, ManyFuture):
        return any(has_failed(part) for part in future.parts.values())
    if isinstance(future, CellFuture) and any(result.error for result in future.results.values()):
        return True
    return future.done() and future.failed


def open_tasks(future: Future) -> tuple[TaskId, ...]:
    """The tasks of a Future that have not ended."""
    if isinstance(future, ManyFuture):
        return tuple(task for part in future.parts.values() for task in open_tasks(part))
    if isinstance(future, CellFuture):
        return future.open_tasks
    if isinstance(future, CallFuture):
        return () if future.done() else (future.task,)
    raise UsageError(f"a cell comes after Futures of calls and cells, and {future!r} is of neither")


def tasks_before(futures: Sequence[Future]) -> tuple[TaskId, ...]:
    """The tasks that a call which is sent now comes after: of calls, and of cells what has failed or not ended.

    The controller remembers for long how the tasks of cells failed; that others succeeded need not be remembered.
    """
    tasks: list[TaskId] = []
    for future in futures:
        if isinstance(future, CellFuture):
            tasks += future.open_tasks + future.failed_tasks
        else:
            tasks += tasks_of((future,))
    return tuple(tasks)


def check_after(futures: Sequence[Future], calls: Calls, task_of: Callable[[CallFuture], TaskId]) -> None:
    """Refuse Futures of other clusters, and what is no Future of a call or cell.

    Raises
    ------
    UsageError
    """
    for future in futures:
        if isinstance(future, ManyFuture):
            check_after(tuple(future.parts.values()), calls, task_of)
        elif isinstance(future, CallFuture):
            task_of(future)
        elif not isinstance(future, CellFuture):
            raise UsageError(f"a cell comes after Futures of calls and cells, and {future!r} is of neither")
        elif future.calls is not calls:
            raise UsageError(
                f"{future!r} is of another cluster, and work can only come after what runs on its own; wait for it: "
                "its result()"
            )


def refused_for(what: str, failed: Future) -> DependencyFailed:
    """How a cell ends that was to come after one that has failed."""
    error = failed.exception(0) if failed.done() else None
    if isinstance(failed, CellFuture) and error is None:
        error = next((result.error for result in failed.results.values() if result.error), None)
    told = DependencyFailed(f"{what} comes after {failed.what}, which did not succeed: {error}")
    told.__cause__ = error
    return told
