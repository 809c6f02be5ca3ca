"""Lists tasks and says why they are where they are, from what was decided and what is kept. Changes nothing."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nbcluster.controller.calls import CallDesk
from nbcluster.controller.cells import CellDesk
from nbcluster.controller.clients import Clients
from nbcluster.controller.pool import EnginePool
from nbcluster.controller.records import record_of
from nbcluster.core import explain
from nbcluster.core.model import FINAL, Task, TaskState, title
from nbcluster.core.scheduler import Scheduler
from nbcluster.ids import ClientId, TaskId
from nbcluster.payload.sizes import readable
from nbcluster.protocol.calls import ListTasks, Records, TaskRecord

if TYPE_CHECKING:
    from nbcluster.core.model import Call

LONGEST = 20_000
"""Records of one answer at most; those left out are counted."""


class Listing:
    """Every task that has not ended, and every call whose value a key holds."""

    def __init__(
        self,
        scheduler: Scheduler,
        clients: Clients,
        cells: CellDesk,
        calls: CallDesk,
        pool: EnginePool,
    ) -> None:
        self._pool = pool
        self._scheduler = scheduler
        self._clients = clients
        self._cells = cells
        self._calls = calls

    def list(self, question: ListTasks, asker: ClientId) -> Records:
        """Answer a question about tasks."""
        limit = min(question.limit or LONGEST, LONGEST)
        if question.held:
            return self._held(asker, limit)
        found: list[TaskRecord] = []
        left_out = 0
        for task in self._meant(question):
            if len(found) < limit:
                found.append(self._cell(task) if isinstance(task, Task) else self._call(task))
            else:
                left_out += 1
        return Records(tuple(found), left_out)

    def _held(self, owner: ClientId, limit: int) -> Records:
        held = [
            call
            for call in self._scheduler.calls.values()
            if call.owner == owner and call.state is TaskState.DONE and not call.lost
        ]
        largest = heapq.nlargest(limit, held, key=lambda call: call.nbytes)
        records = tuple(
            TaskRecord(
                call.id,
                call.order.key,
                call.title,
                state=call.state.value,
                owner=self._clients.label(owner),
                engine=None if call.kept else call.engine,
                attempt=call.attempt,
                nbytes=call.nbytes,
            )
            for call in largest
        )
        total = sum(call.nbytes for call in held)
        return Records(records, len(held) - len(records), self._on_disk(), total)

    def _on_disk(self) -> str:
        """Say which engines have written results to disk; each keeps to itself which these are."""
        told = sorted(
            (process.number, process.memory.spilled)
            for process in self._pool.by_incarnation.values()
            if process.memory is not None and process.memory.spilled
        )
        return "; ".join(
            f"engine {number} has {readable(nbytes)} of its results on disk" for number, nbytes in told
        )

    def explain(self, name: str) -> str:
        """Say why a task, by its id or key, is where it is."""
        task = self._scheduler.keys.get(name, TaskId(name))
        call = self._scheduler.calls.get(task)
        said = explain.explain(self._scheduler, task)
        return said if call is None else said + self._why_no_memory(call)

    def _why_no_memory(self, call: Call) -> str:
        """Say which engines begin no calls for want of memory, of those that a call waits for."""
        match call.state:
            case TaskState.RUNNING if not call.begun and call.engine is not None:
                numbers = [call.engine]
            case TaskState.READY:
                numbers = list(call.kind.engines)
            case _:
                return ""
        engines = self._scheduler.engines
        told = [self._pool.by_incarnation.get(engines[number].incarnation) for number in numbers]
        notes = [each.memory.note for each in told if each and each.memory and each.memory.paused]
        return "".join(f"; {note}" for note in notes)

    def _meant(self, question: ListTasks) -> Iterator[Task | Call]:
        if question.keyed:
            for task in self._scheduler.keys.values():
                call = self._scheduler.calls[task]
                if question.state in ("", call.state.value):
                    yield call
            return
        for cell in self._scheduler.tasks.values():
            if question.state in ("", cell.state.value):
                yield cell
        for call in self._scheduler.calls.values():
            if call.state.value == question.state or (not question.state and call.state not in FINAL):
                yield call

    def _cell(self, task: Task) -> TaskRecord:
        return TaskRecord(
            task.id,
            "",
            title(task.order),
            "cell",
            task.state.value,
            self._clients.label(task.owner),
            task.engine,
            task.attempt,
            self._cells.submitted(task.id),
            self._cells.started(task.id),
        )

    def _call(self, call: Call) -> TaskRecord:
        row = self._calls.row_of(call.id)
        if row is not None:
            return record_of(row)
        kept = self._calls.kept(call.id)
        return TaskRecord(
            call.id,
            call.order.key,
            call.title,
            "call",
            call.state.value,
            kept.owner if kept is not None else self._clients.label(call.owner),
            call.engine,
            call.attempt,
            kept.submitted if kept is not None else None,
            (kept.started or None) if kept is not None else None,
            progress=(kept.progress or {}) if kept is not None else {},
        )
