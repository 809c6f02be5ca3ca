"""Executes a notebook's cells in a kernel and puts every output, late ones too, into its cell. Knows no clusters.

nbclient drops what a cell shows after it has ended. Here one reader takes all that the kernel publishes, for as long
as the kernel lives, and finds the cell by the parent header.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat import NotebookNode

from nbcluster.cli.screen import Screen
from nbcluster.errors import NBClusterError

LOOK_EVERY = 0.2
"""Seconds without output after which the screen may write what stands."""

INTERRUPT_TIME = 10.0
"""Seconds that a cell may take to end after its interrupt."""

OUTPUT_TIME = 10.0
"""Seconds in which the last output of a cell must come when its reply is here."""

LATE_IS_LONG = 2.0
"""Seconds of waiting for late output after which it is said."""

FINISH = """
__import__("sys").modules.get("nbcluster.notebook.extension") and __import__(
    "nbcluster.cli.inside", fromlist=["inside"]).wait_for_late_output()
"""


class KernelDied(NBClusterError):
    """The notebook's kernel ended under a cell."""


@dataclass(frozen=True)
class Failure:
    """A cell that failed. Code cells count from 1."""

    cell: int
    source: str
    ename: str
    evalue: str

    def words(self, total: int) -> str:
        """What failed, where, in a few lines."""
        lines = [line for line in self.source.splitlines() if line.strip()]
        shown = [f"    {line}" for line in lines[:3]] + (["    …"] if len(lines) > 3 else [])
        error = f"{self.ename}: {self.evalue}".strip().splitlines() or [self.ename]
        return "\n".join([f"cell {self.cell} of {total} failed: {error[0].removesuffix(': ')}", *shown])


class Headless(NotebookClient):  # type: ignore[misc]  # nbclient's base classes are not typed
    """One notebook in one kernel.

    Parameters
    ----------
    nb : NotebookNode
        The notebook; its outputs are replaced.
    kernel, client : jupyter_client objects
        A kernel that answers.
    screen : Screen
        Where output is written.
    limit : float, optional
        Seconds that each cell may take.
    allow_errors : bool
        Go on after a cell that failed.
    """

    def __init__(
        self,
        nb: NotebookNode,
        kernel: Any,
        client: Any,
        screen: Screen,
        *,
        limit: float | None,
        allow_errors: bool,
    ) -> None:
        super().__init__(nb, km=kernel, allow_errors=allow_errors, record_timing=False)
        self.kc = client
        self.reset_execution_trackers()
        self._screen = screen
        self._limit = limit
        self._number = {index: number for number, index in enumerate(code_cells(nb), 1)}
        self._cell_of: dict[str, int] = {}
        self._idle: dict[str, asyncio.Event] = {}
        self._clear_next: dict[int, bool] = {}
        self.interrupted = False

    async def run(self) -> list[Failure]:
        """Execute the cells in order and wait for late output; return what failed."""
        for cell in self.nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        failures: list[Failure] = []
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read())
            try:
                for index, number in self._number.items():
                    failure = await self._execute(index, number)
                    if failure is not None:
                        failures.append(failure)
                    if self.interrupted or (failure is not None and not self.allow_errors):
                        break
                await self._finish()
            finally:
                reader.cancel()
        self._screen.settle()
        self.set_widgets_metadata()
        return failures

    async def _execute(self, index: int, number: int) -> Failure | None:
        cell = self.nb.cells[index]
        self._screen.begin(number, cell.source)
        msg_id = self._send(cell.source)
        self._cell_of[msg_id] = index
        content = await self._answer(msg_id, self._limit)
        self._screen.end(number)
        if content["status"] == "ok" or "raises-exception" in cell.metadata.get("tags", []):
            return None
        return Failure(
            number, cell.source, str(content.get("ename", content["status"])), str(content.get("evalue", ""))
        )

    async def _finish(self) -> None:
        msg_id = self._send(FINISH, silent=True, store_history=False)
        waiting = asyncio.create_task(self._answer(msg_id, self._limit))
        done, _ = await asyncio.wait((waiting,), timeout=LATE_IS_LONG)
        if not done:
            self._screen.settle()
            self._screen.note("nbcluster: waiting for cells that still run on engines (Ctrl-C ends the wait)")
        content = await waiting
        if content["status"] == "error" and not self.interrupted:
            self._screen.note(
                f"nbcluster: the wait for late output ended with {content.get('ename')}: {content.get('evalue')}"
            )

    def _send(self, code: str, **options: bool) -> str:
        msg_id: str = self.kc.execute(code, allow_stdin=False, stop_on_error=False, **options)
        self._idle[msg_id] = asyncio.Event()
        return msg_id

    async def _answer(self, msg_id: str, limit: float | None) -> dict[str, Any]:
        """Wait for the reply of a request and for its last output; return the reply's content."""
        idle = self._idle[msg_id]
        deadline = None if limit is None else time.monotonic() + limit
        late = False
        while True:
            try:
                left = 1.0 if deadline is None else max(0.0, min(1.0, deadline - time.monotonic()))
                reply = await self.kc.get_shell_msg(timeout=left)
            except Empty:
                if not await self.km.is_alive():
                    raise KernelDied("the notebook's kernel died; what it wrote last is above") from None
                if deadline is None or time.monotonic() < deadline:
                    continue
                if late:
                    raise TimeoutError(f"the kernel did not answer an interrupt after {limit:g} s") from None
                late, deadline = True, time.monotonic() + INTERRUPT_TIME
                await self.km.interrupt_kernel()
                continue
            if reply["parent_header"].get("msg_id") == msg_id:
                break
        try:
            async with asyncio.timeout(OUTPUT_TIME):
                await idle.wait()
        except TimeoutError:
            self._screen.note("nbcluster: the kernel did not say that it is idle; output may be missing")
        content: dict[str, Any] = reply["content"]
        if late and content["status"] != "ok":
            return {"status": "error", "ename": "Timeout", "evalue": f"it ran longer than {limit:g} s"}
        return content

    # -- what the kernel publishes ------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            with suppress(Empty):
                self._take(await self.kc.get_iopub_msg(timeout=LOOK_EVERY))
            self._screen.tick()

    def _take(self, message: dict[str, Any]) -> None:
        parent = message["parent_header"].get("msg_id", "")
        index = self._cell_of.get(parent)
        if message["msg_type"] == "update_display_data":
            # Its place is that of its display: a late one names the cell that runs now, or none.
            self._write(message, 0)
            self.process_message(message, NotebookNode(), -1)
            return
        if index is None:
            if parent in self._idle and message["content"].get("execution_state") == "idle":
                self._idle[parent].set()
            return
        self._write(message, self._number[index])
        self.clear_before_next_output = self._clear_next.get(index, False)
        try:
            self.process_message(message, self.nb.cells[index], index)
        except CellExecutionComplete:
            self._idle[parent].set()
        self._clear_next[index] = self.clear_before_next_output

    def _write(self, message: dict[str, Any], number: int) -> None:
        content = message["content"]
        display_id = (content.get("transient") or {}).get("display_id")
        match message["msg_type"]:
            case "stream":
                self._screen.stream(number, content["name"], content["text"])
            case "display_data" | "execute_result":
                self._screen.show(number, content["data"], display_id)
            case "update_display_data":
                self._screen.update(str(display_id), content["data"])
            case "error":
                self._screen.error(number, content["ename"], content["evalue"], content["traceback"])

    def output(self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str, cell_index: int) -> Any:
        """Add an output; text that goes on is joined to the text before it, as front ends do."""
        last = outs[-1] if outs and not self.clear_before_next_output else None
        content = msg["content"]
        if (
            msg["msg_type"] == "stream"
            and last is not None
            and last.output_type == "stream"
            and last.name == content["name"]
            and not self.output_hook_stack[msg["parent_header"].get("msg_id")]
        ):
            last.text += content["text"]
            return None
        return super().output(outs, msg, display_id, cell_index)


def code_cells(nb: NotebookNode) -> list[int]:
    """Where the cells are that have code to run."""
    return [index for index, cell in enumerate(nb.cells) if cell.cell_type == "code" and cell.source.strip()]
