"""Cells that come after other tasks, and calls that come after cells. Knows no engines' work and no dataflow."""

from __future__ import annotations

from collections.abc import Sequence

from nbcluster.core import values
from nbcluster.core.ledger import Ledger
from nbcluster.core.model import Call, Ended, Task, TaskState, takes_tasks, title
from nbcluster.core.placement import could_run
from nbcluster.core.targets import Targets
from nbcluster.errors import UsageError, ValueReleased
from nbcluster.ids import TaskId
from nbcluster.protocol.messages import SubmitCell, Unmet


def refuse_malformed(ledger: Ledger, cell: SubmitCell, wanted: Targets) -> None:
    """Refuse what cannot come after others.

    Raises
    ------
    UsageError, ValueReleased
    """
    if cell.startup or cell.live:
        what = (
            "a startup cell runs as soon as an engine joins" if cell.startup else "a live cell runs at once"
        )
        raise UsageError(f"{what}, and waits for no other task; leave one of the two out")
    if cell.near is not None and not (wanted.any and cell.near in cell.after):
        raise UsageError(
            f"a cell is put near {cell.near}: that needs the targets 'any', and that it comes after it"
        )
    for name in cell.after:
        if name not in ledger.tasks and name not in ledger.calls and name not in ledger.ended:
            raise ValueReleased(
                f"nothing is known of the task {name}: it ended long ago, its Future was dropped, or it was never "
                "submitted to this cluster; hold its Future"
            )


def enter(ledger: Ledger, tasks: Sequence[Task]) -> None:
    """Accept the tasks of a cell that comes after others; those whose turn it is wait for their engine."""
    cell = tasks[0].order
    open_, ended = _needs(ledger, cell)
    failed = next((each for each in ended if each.became and each.task in cell.after), None)
    for task in tasks:
        for each in ended:
            _note_place(task, each)
        task.state = TaskState.WAITING
        ledger.enter(task)
    for task in tasks:
        before, over = _brought_there(ledger, task)
        unmet = failed or next((end for end in over if end.became), None)
        if unmet is not None:
            _end_unmet(ledger, task, unmet)
            continue
        for name in (*open_, *before):
            ledger.awaited.setdefault(name, []).append(task)
        # What waits in the engine's lane, or was sent there, goes first anyway, and the cell keeps its place behind.
        own = (name for name in before if ledger.calls[name].state is TaskState.WAITING)
        task.counted = (*open_, *own)
        task.missing = len(task.counted)
        if not task.missing:
            _let_go(ledger, task)


def _brought_there(ledger: Ledger, task: Task) -> tuple[list[TaskId], list[Ended]]:
    """The calls that bind variables for a task on its engine: those that have not ended, and the ends of the others."""
    there = [ledger.calls[name] for name in task.order.brought if name in ledger.calls]
    there = [call for call in there if call.engine == task.bound]
    over = [values.end_of(call, call.outcome) for call in there if call.outcome is not None]
    return [call.id for call in there if call.outcome is None], over


def _needs(ledger: Ledger, cell: SubmitCell) -> tuple[list[TaskId], list[Ended]]:
    """What a cell comes after: the tasks that have not ended, and the ends of the others as far as they are known."""
    open_: list[TaskId] = []
    ended: list[Ended] = []
    for name in dict.fromkeys(cell.after + cell.behind):
        source = ledger.tasks.get(name) or ledger.calls.get(name)
        if name in ledger.ended:
            ended.append(ledger.ended[name])
        elif source is not None and source.outcome is None:
            open_.append(name)
        elif isinstance(source, Call):
            assert source.outcome is not None, f"call {name} has not ended"
            ended.append(values.end_of(source, source.outcome))
    return open_, ended


def draw_consequences(ledger: Ledger) -> None:
    """Tell those that waited for what has ended."""
    over, ledger.over = ledger.over, []
    for ended, waiting in over:
        for item in waiting:
            # Others were cancelled, or have heard of another that failed.
            if isinstance(item, Task) and item.state in (TaskState.WAITING, TaskState.READY):
                _tell_task(ledger, item, ended)
            elif isinstance(item, Call) and item.state is TaskState.WAITING:
                _tell_call(ledger, item, ended)


def _tell_task(ledger: Ledger, task: Task, ended: Ended) -> None:
    if ended.became and ended.task in (*task.order.after, *task.order.brought):
        _end_unmet(ledger, task, ended)
        return
    if ended.task not in task.counted:
        return
    _note_place(task, ended)
    task.missing -= 1
    if not task.missing:
        _let_go(ledger, task)


def _tell_call(ledger: Ledger, call: Call, ended: Ended) -> None:
    if ended.became:
        values.end(ledger, call, TaskState.FAILED, values.because_of_cell(call, ended))
        return
    if call.order.options.near == ended.task:
        call.engine = ended.engine
    call.missing -= 1
    call.unsent -= 1
    if not call.missing:
        ledger.freed.append(call)


def _note_place(task: Task, ended: Ended) -> None:
    if task.order.near == ended.task:
        task.bound = task.engine = ended.engine


def _end_unmet(ledger: Ledger, task: Task, ended: Ended) -> None:
    reason = f"{title(task.order)!r} comes after {ended.title!r}, which {ended.became}"
    ledger.end(task, TaskState.FAILED, Unmet(reason, ended.cause))


def _let_go(ledger: Ledger, task: Task) -> None:
    """All that a task came after has ended: let it wait for its engine, or end it when there can be none."""
    if task.bound is None:
        if any(could_run(engine, task) for engine in ledger.engines.values()):
            ledger.make_ready(task)
        else:
            ledger.lose(
                task, f"no engine is left that could run {title(task.order)!r}; `%cluster add 1` starts one"
            )
        return
    engine = ledger.engines.get(task.bound)
    if engine is not None and takes_tasks(engine):
        ledger.make_ready(task)
    else:
        ledger.lose(task, f"engine {task.bound} was removed or failed before it could run this")
