"""Runs a graph cell: submits its nodes as what they need becomes known. Knows no grammar and no drawing."""

from __future__ import annotations

import copy
import queue
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Protocol

from nbcluster.client.chunks import ChunkSizer
from nbcluster.client.fleet import is_ready
from nbcluster.client.listening import listen_here, listen_on_this_thread, listener_here
from nbcluster.client.promised import PromisedFuture, promise
from nbcluster.engine.fanning import COUNT, fan_elements, fan_items, fan_join
from nbcluster.engine.statements import Script, pick, run_script, run_script_async
from nbcluster.errors import DependencyFailed
from nbcluster.notebook.clusters import ClusterLike
from nbcluster.notebook.dataflow.effects import Surroundings
from nbcluster.notebook.dataflow.families import Family, family_of
from nbcluster.notebook.dataflow.fanout import fans_out
from nbcluster.notebook.dataflow.graph import NOTEBOOK, Graph, Node, graph_of, with_sent
from nbcluster.notebook.dataflow.scripts import script_of
from nbcluster.notebook.grammar import CellOptions
from nbcluster.notebook.graphoutput import OrderedOutput
from nbcluster.notebook.running import TICK
from nbcluster.payload.values import dump_value

NAMESPACE = "_graph"
"""The named namespace in which nodes are called; they leave nothing in it."""

LARGE = 65_536
"""Bytes from which on a value of the notebook is put on the cluster once, rather than sent with each node."""


_UNCHANGING = (
    *(int, float, complex, bool, str, bytes, type(None), type),
    *(ModuleType, FunctionType, BuiltinFunctionType),
)
"""Values of the notebook that are as they are, or go by their source."""


class Counted(Protocol):
    """Counts how often a run was asked to stop."""

    @property
    def count(self) -> int:
        """So often."""


@dataclass(frozen=True)
class Cell:
    """A graph cell as it was sent: its text after IPython's transform, its file, and what the notebook has for it."""

    source: str
    file: str
    label: str
    surroundings: Surroundings
    functions: Mapping[str, tuple[str, str]]
    shows_last: bool


@dataclass
class Fan:
    """A comprehension whose elements are made apart."""

    script: Script
    given: dict[int, Any]
    items: Any
    """A list, or the Future of one."""
    total: int
    sizer: ChunkSizer
    sent: int = 0
    chunks: list[Any] = field(default_factory=list)
    open: dict[int, tuple[Any, int]] = field(default_factory=dict)


class GraphRun:
    """One run of a graph cell.

    Parameters
    ----------
    cluster : ClusterLike
    options : CellOptions
    cell : Cell
    user_ns : mutable mapping
        The notebook's values.
    output : callable
        Makes what shows the output of the statements that run.
    """

    def __init__(
        self,
        cluster: ClusterLike,
        options: CellOptions,
        cell: Cell,
        user_ns: MutableMapping[str, Any],
        output: Callable[[Graph], OrderedOutput],
    ) -> None:
        self._cluster, self._options, self.cell, self._user_ns = cluster, options, cell, user_ns
        self.file = cell.file
        self.graph = graph_of(cell.source, cell.surroundings)
        self.output = output(self.graph)
        self.results: dict[int, Any] = {}
        """The Future of what each node makes."""
        self.failed: dict[int, BaseException] = {}
        """What each node has failed with."""
        self.interrupted = False
        self.gave_up = False
        self.stop_reason = "interrupted in the notebook"
        self._known: dict[tuple[int, str], Family] = {}
        self._sent: dict[int, Node] = {}
        self.ended: set[int] = set()
        self.fans: dict[int, Fan] = {}
        """Comprehensions whose elements are made apart, by node."""
        self._open: dict[Any, Callable[[Any], None]] = {}
        self._parts: dict[str, int] = {}
        self._came: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._put: dict[str, Any] = {}
        self._types: dict[int, dict[str, str]] = {}

    # -- the run ------------------------------------------------------------------------------

    def run(
        self,
        interrupts: Counted,
        listen: Callable[[Any], None] = listen_here,
        step: Callable[[], object] = lambda: None,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        """Run to the end. The first interrupt cancels what runs, a second one does not wait for that.

        Parameters
        ----------
        interrupts : Counted
        listen : callable
            Has what calls print given to this, or to what it was before.
        step : callable
            Called when something was sent or has ended.
        tick : callable
            Called at least every `TICK` seconds.
        """
        before = listener_here()
        listen(self)
        try:
            self._submit_ready()
            step()
            while self._open:
                if self._take_next():
                    step()
                tick()
                if interrupts.count and not self.interrupted:
                    self.interrupted = True
                    for future in list(self._open):
                        future.ask_to_stop(self.stop_reason)
                elif interrupts.count > 1:
                    self.gave_up = True
                    break
        finally:
            listen(before)
            self.output.draw(last=True)

    def take(self, task: str, engine: int, output: bytes) -> None:
        """Take what a call has printed. On the I/O thread."""
        self._came.put(("output", task, output))

    def types_of(self, node: int) -> Mapping[str, str]:
        """Return what is known of the values of a node that has ended."""
        return self._types.get(node, {})

    def _take_next(self) -> bool:
        try:
            entries = [self._came.get(timeout=TICK)]
        except queue.Empty:
            return False
        while not self._came.empty():
            entries.append(self._came.get())
        for kind, subject, output in entries:
            if kind == "output":
                self.output.take(subject, self._parts.get(subject, 0), output)
            elif (then := self._open.pop(subject, None)) is not None:
                then(subject)
        self.output.draw()
        if not self.interrupted:
            self._submit_ready()
        return True

    # -- nodes --------------------------------------------------------------------------------

    def _submit_ready(self) -> None:
        while True:
            ready = [
                number for number in self.graph.nodes if number not in self._sent and self._may_run(number)
            ]
            if not ready:
                return
            for number in ready:
                self._send(number)

    def _may_run(self, number: int) -> bool:
        """Whether a node can be sent: it waits for the types of values that may show that it does less."""
        graph = self.graph
        needs = graph.needs(number)
        if not needs <= self.results.keys():
            return False
        if needs <= self.ended or needs & self.failed.keys():
            return True
        return not any(
            made != NOTEBOOK and graph.node_of[made] not in self.ended and graph.node_of[made] != number
            for statement in graph.nodes[number].statements
            for name, made in graph.statements[statement].inputs.items()
            if name in graph.statements[statement].effects.unsettled
        )

    def _send(self, number: int) -> None:
        cell, graph = self.cell, self.graph
        script = script_of(
            graph, number, cell.source, cell.file, shows_last=cell.shows_last, functions=cell.functions
        )
        given = self._given(number, script)
        self._sent[number] = graph.nodes[number]
        if fans_out(graph, number) and not self._has_failed(number):
            self._begin_fan(number, script, given)
            return
        function = run_script_async if script.waits else run_script
        future = self._submit(number, function, script, given)
        self.results[number] = future
        self._await(future, lambda done: self._node_ended(number, done))

    def _has_failed(self, number: int) -> bool:
        return bool(self.graph.needs(number) & self.failed.keys())

    def _given(self, number: int, script: Script) -> dict[int, Any]:
        given: dict[int, Any] = {}
        if script.everything:
            names = self.cell.surroundings.names - self.cell.functions.keys()
            return {NOTEBOOK: {name: self._from_notebook(name) for name in sorted(names)}}
        for step in script.steps:
            for name, maker in step.inputs.items():
                if maker == NOTEBOOK:
                    given.setdefault(NOTEBOOK, {})[name] = self._from_notebook(name)
                else:
                    given[maker] = self.results[maker]
        return given

    def _from_notebook(self, name: str) -> Any:
        """Return a value of the notebook, or a Future of it; names of one object go as one object."""
        if name not in self._put:
            value = self._user_ns[name]
            shared = any(name in names for names in self.cell.surroundings.aliases)
            dumped = dump_value(value, what=repr(name)) if not _is_future(value) and not shared else None
            if dumped is not None and dumped.nbytes >= LARGE:
                value = self._cluster.put(value)  # type: ignore[attr-defined]  # of Cluster
            self._put[name] = value
        return self._put[name]

    def _submit(
        self, number: int, function: Callable[..., Any], *args: Any, part: int = 0, rest: str = ""
    ) -> Any:
        lines = self.lines_of(number)
        future = self._submitter(f"{self.cell.label} {lines}{rest}").submit(function, *args)
        self._parts[future.task] = part
        return future

    def _submitter(self, label: str) -> Any:
        options = self._options
        return self._cluster.options(  # type: ignore[attr-defined]  # of Cluster
            on=options.targets or None,
            retries=options.retries,
            timeout=options.timeout,
            priority=options.priority,
            resources=options.resources,
            label=label,
            namespace=NAMESPACE,
            repeatable=True,
        )

    def lines_of(self, number: int) -> str:
        node = self._sent.get(number) or self.graph.nodes[number]
        first = self.graph.statements[node.statements[0]]
        last = self.graph.statements[node.statements[-1]]
        return (
            f"line {first.line}" if first.line == last.last_line else f"lines {first.line}-{last.last_line}"
        )

    def _await(self, future: Any, then: Callable[[Any], None]) -> None:
        self._open[future] = then
        future.tell_when_done(lambda done: self._came.put(("done", done, None)))

    def _node_ended(self, number: int, future: Any) -> None:
        self.ended.add(number)
        error = future.exception(0)
        if error is not None:
            self._fail(number, error)
        else:
            self._learn(number, future.task)
        for statement in self._sent[number].statements:
            self.output.end(statement)

    def _fail(self, number: int, error: BaseException) -> None:
        self.failed[number] = error

    def _learn(self, number: int, task: str) -> None:
        types = self._types[number] = self.output.types.get(task, {})
        graph = self.graph
        if graph.stuck is not None:
            return
        for name, text in types.items():
            makers = [
                each for each in self._sent[number].statements if name in graph.statements[each].outputs
            ]
            family = family_of(text)
            if family is not None and makers:
                self._known[makers[-1], name] = family
        if len(self._sent) < len(graph.nodes):
            self._read_again()

    def _read_again(self) -> None:
        cell = self.cell
        self.graph = with_sent(graph_of(cell.source, cell.surroundings, self._known), self._sent)

    # -- comprehensions -----------------------------------------------------------------------

    def _begin_fan(self, number: int, script: Script, given: dict[int, Any]) -> None:
        future = self._submit(number, fan_items, script, given, rest=": what it goes over")
        self._await(future, lambda done: self._items_came(number, script, given, done))

    def _items_came(self, number: int, script: Script, given: dict[int, Any], future: Any) -> None:
        error = future.exception(0)
        if error is not None:
            self.results[number] = future
            self._node_ended(number, future)
            return
        total = int(self.output.types[future.task][COUNT])
        # Large ones do not come here: each call takes its own from where they are.
        items = future if future.is_away else future.result(10)
        self.fans[number] = Fan(script, given, items, total, ChunkSizer(None, total))
        self._go_on_with_fan(number)

    def _go_on_with_fan(self, number: int) -> None:
        fan = self.fans[number]
        engines = max(1, sum(is_ready(engine) and engine.can_call for engine in self._cluster.engines))
        while fan.sent < fan.total and len(fan.open) < 4 * engines and not self.interrupted:
            size = min(fan.sizer.next(engines), fan.total - fan.sent)
            start, fan.sent = fan.sent, fan.sent + size
            part = len(fan.chunks)
            rest = f": elements {start}-{start + size - 1} of {fan.total}"
            fan.sizer.drawn(size, 1)
            items = fan.items[start : start + size] if isinstance(fan.items, list) else fan.items
            cut = () if isinstance(fan.items, list) else (start, start + size)
            future = self._submit(
                number, fan_elements, fan.script, fan.given, items, *cut, part=part, rest=rest
            )
            fan.chunks.append(future)
            fan.open[part] = (future, size)
            self._await(future, partial(self._chunk_ended, number, part))
        if not fan.open and number not in self.results:
            future = self._submit(
                number, fan_join, fan.script, fan.given, fan.chunks, part=len(fan.chunks), rest=": the rest"
            )
            self.results[number] = future
            self._await(future, lambda done: self._node_ended(number, done))

    def _chunk_ended(self, number: int, part: int, future: Any) -> None:
        fan = self.fans[number]
        _, size = fan.open.pop(part)
        error = future.exception(0)
        if error is not None:
            if number not in self.failed:
                self.results[number] = future
                self._fail(number, error)
                for other, _ in fan.open.values():
                    other.ask_to_stop("an element before it failed")
            fan.sent = fan.total
            if not fan.open:
                self._node_ended_failed(number)
            return
        if number in self.failed:
            if not fan.open:
                self._node_ended_failed(number)
            return
        end = future.end
        if end is not None and end.seconds:
            fan.sizer.measured(size, end.seconds)
        self._go_on_with_fan(number)

    def _node_ended_failed(self, number: int) -> None:
        self.ended.add(number)
        for statement in self._sent[number].statements:
            self.output.end(statement)

    # -- the end ------------------------------------------------------------------------------

    def futures(self) -> dict[str, Any]:
        """Return the Futures of the names that the cell assigns."""
        if self.graph.stuck is not None:
            names: Mapping[str, int] = dict.fromkeys(self._types.get(0, {}), 0)
        else:
            names = {name: self.graph.node_of[made] for name, made in self.graph.final.items()}
        before = listener_here()
        listen_here(None)  # they print nothing
        try:
            return {
                name: self._submitter(f"{self.cell.label} {name}").submit(pick, self.results[node], name)
                for name, node in names.items()
                if node in self.results and self._bound(name, node)
            }
        finally:
            listen_here(before)

    def keep_values(self) -> None:
        """Take the notebook's values now, for a cell that goes on while the notebook changes them.

        Raises
        ------
        NotSerializable
            For one that cannot be sent.
        """
        taken = {name for node in self.graph.nodes.values() for name in node.inputs.get(NOTEBOOK, ())}
        if self.graph.stuck is not None:
            taken = set(self.cell.surroundings.names - self.cell.functions.keys())
        for names in self.cell.surroundings.aliases:  # one object under several names stays one
            together = {name: self._user_ns[name] for name in sorted(names & taken)}
            self._put.update(copy.deepcopy(together))
        for name in sorted(taken - self._put.keys()):
            value = self._user_ns[name]
            if not isinstance(value, _UNCHANGING) and not _is_future(value):
                value = self.without_output(self._cluster.put, value)  # type: ignore[attr-defined]  # of Cluster
            self._put[name] = value

    def result_of(self, name: str) -> Any:
        """Return the Future of the node that makes a name of the cell, None while it is not sent."""
        if self.graph.stuck is not None:
            return self.results.get(0)
        return self.results.get(self.graph.node_of[self.graph.final[name]])

    def promises(self, names: Iterable[str]) -> dict[str, PromisedFuture]:
        """Return Futures of names of the cell, to be sent when it is known what makes them."""
        return {
            name: promise(self._submitter(f"{self.cell.label} {name}").submission, pick, "") for name in names
        }

    def without_output(self, work: Callable[..., Any], *args: Any) -> Any:
        """Submit something that prints nothing."""
        before = listener_here()
        listen_on_this_thread(None)
        try:
            return work(*args)
        finally:
            listen_on_this_thread(before)

    def _bound(self, name: str, node: int) -> bool:
        return node in self.failed or node not in self._types or name in self._types[node]

    def first_error(self) -> tuple[int, BaseException] | None:
        """Return the first node, in the cell's order, that failed for itself, and its error."""
        own = {
            number: error for number, error in self.failed.items() if not isinstance(error, DependencyFailed)
        }
        return min(own.items()) if own else min(self.failed.items(), default=None)

    def line_of(self, number: int) -> int:
        """Return the line of the statement that a failed node was at."""
        future = self.results.get(number)
        statement = self.output.statement_of(future.task) if future is not None else None
        if statement is None:
            statement = self._sent[number].statements[0]
        return self.graph.statements[statement].line

    def waiting_text(self) -> str:
        """Say in a line how far it is."""
        running = [future for future in self._open if future.status == "running"]
        now = time.time()
        what = [
            f"{future.what} on engine {future.engine} since {now - (future.record.started or now):.0f} s"
            for future in running[:3]
        ]
        done = len(self.ended)
        return f"{done} of {len(self.graph.nodes)} nodes done" + (f"; {'; '.join(what)}" if what else "")


def _is_future(value: Any) -> bool:
    from nbcluster.client.futures import Future

    return isinstance(value, Future)
