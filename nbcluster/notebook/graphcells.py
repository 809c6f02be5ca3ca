"""Does what %%distributed --graph asks: reads the cell, runs or plans it, binds its names. Schedules nothing."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary, ref

from nbcluster.client.progress import Line, Shown
from nbcluster.errors import UsageError
from nbcluster.notebook.clusters import ClusterLike
from nbcluster.notebook.dataflow.graph import Graph, graph_of
from nbcluster.notebook.errors import CellInterrupted
from nbcluster.notebook.grammar import CellOptions, did_you_mean
from nbcluster.notebook.graphbackground import BackgroundGraph, GraphFuture
from nbcluster.notebook.graphnames import check_names, surroundings_of
from nbcluster.notebook.graphoutput import OrderedOutput
from nbcluster.notebook.graphplans import plan_text
from nbcluster.notebook.graphruns import Cell, GraphRun
from nbcluster.notebook.graphshown import graph_shown, statements_ended
from nbcluster.notebook.operations import Publisher, Write
from nbcluster.notebook.publishers import publisher_for
from nbcluster.notebook.reads import names_bound
from nbcluster.notebook.remotetracebacks import is_remote, mark_whole
from nbcluster.notebook.running import Interrupts
from nbcluster.payload.sizes import approximate_size


class GraphCells:
    """The graph cells of one notebook.

    Parameters
    ----------
    shell : InteractiveShell
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._types: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        """What is known of the values of Futures that graph cells have made."""

    def run(
        self,
        cluster: ClusterLike,
        options: CellOptions,
        code: str,
        label: str,
        first_line: int,
        later: Callable[[Callable[[str], object]], Publisher],
        view: Callable[[Shown], AbstractContextManager[Line]] = lambda shown: nullcontext(Line()),
    ) -> GraphFuture | None:
        """Run a cell as a graph, or say what it would do.

        Parameters
        ----------
        later : callable
            Given what hears each text, returns what draws into this cell when the notebook does not wait for it.
        view : callable
            Shows how far a cell is that the notebook waits for.

        Returns
        -------
        GraphFuture or None
            That of a cell that the notebook does not wait for.

        Raises
        ------
        Exception
            The first error in the cell's order, when all that does not depend on it has run.
        """
        cell = self._cell(options, code, label, first_line)
        graph = graph_of(cell.source, cell.surroundings)
        check_names(graph)
        pulled = self._pulled(options, graph, cell)
        if options.plan:
            _say(plan_text(graph, self._sizes(graph, cell), _engines(cluster, options)))
            return None
        if graph.stuck is not None:
            line, reason = graph.stuck
            _say(f"line {line} {reason}: the cell runs as one node, in its order")
        if not options.blocks:
            return self._start(cluster, options, cell, later)
        run = GraphRun(cluster, options, cell, self._shell.user_ns, self._output)
        interrupts = Interrupts()
        with interrupts.counted():
            self._wait(run, interrupts, view)
            bound = {} if run.interrupted else run.futures()
            self._bind(run, bound)
            if pulled and not run.failed and not run.interrupted:
                _pull(bound, pulled, self._shell.user_ns, interrupts)
        self._share(run)
        self._finish(run, bound, pulled)
        return None

    def _wait(
        self, run: GraphRun, interrupts: Interrupts, view: Callable[[Shown], AbstractContextManager[Line]]
    ) -> None:
        """Run it to its end, and show how far it is."""
        done = 0
        with view(Shown(run.cell.label, len(_running(run.graph)), "statement")) as line:
            line.draws(lambda: graph_shown(run))

            def step() -> None:
                nonlocal done
                before, done = done, statements_ended(run)
                line.advance(done - before, len(run.failed))

            run.run(interrupts, step=step, tick=line.tick)
            if run.interrupted:
                line.interrupted()
            elif run.failed:
                line.failed()

    def _start(
        self,
        cluster: ClusterLike,
        options: CellOptions,
        cell: Cell,
        later: Callable[[Callable[[str], object]], Publisher],
    ) -> GraphFuture:
        """Begin a cell that goes on by itself. An interrupt comes before all of this, or is a wish to stop it."""
        started: list[BackgroundGraph] = []
        whole = GraphFuture(cell.label, lambda reason: started[0].stop(reason))
        publisher = later(whole.add_text)
        run = GraphRun(
            cluster,
            options,
            cell,
            self._shell.user_ns,
            lambda graph: OrderedOutput(_running(graph), publisher),
        )
        whole.tell = run.waiting_text
        run.keep_values()
        promises = run.promises(_names_made(run.graph, cell.source))
        interrupts = Interrupts()
        with interrupts.counted():
            self._shell.user_ns.update(promises)
            names = {name: ref(promised) for name, promised in promises.items()}
            started.append(
                BackgroundGraph(run, promises, whole, lambda run: self._learn_types(run, names, publisher))
            )
            started[0].start()
            if interrupts.count:
                whole.ask_to_stop("interrupted in the notebook")
        if promises:
            _say(_are_futures(sorted(promises)))
        self._share(run)
        return whole

    def _learn_types(
        self, run: GraphRun, promises: Mapping[str, Callable[[], Any]], publisher: Publisher
    ) -> None:
        """A cell has ended that was not waited for: note the types of its values, show its error."""
        for name, promised in promises.items():
            future = promised()
            node = 0 if run.graph.stuck is not None else run.graph.node_of[run.graph.final[name]]
            if future is not None and name in run.types_of(node):
                self._types[future] = run.types_of(node)[name]
        failed = run.first_error()
        if failed is not None:
            number, error = failed
            note = self._note(run, number)
            if hasattr(error, "add_note"):
                error.add_note(note)
            publisher.publish(Write("stderr", f"{note}\n{type(error).__name__}: {error}\n"))
            publisher.flush()

    def _cell(self, options: CellOptions, code: str, label: str, first_line: int) -> Cell:
        shell = self._shell
        transformed = shell.transform_cell(code)
        # On its own lines, so that errors name those of the notebook's cell.
        source = "\n" * (first_line - 1) + transformed
        # The shell's execution_count is already that of the next cell in newer versions of IPython.
        count = len(shell.history_manager.input_hist_parsed) - 1
        file = shell.compile.cache(source, count, source)
        surroundings, functions = surroundings_of(
            transformed, shell.user_ns, shell.user_ns_hidden, self._types, options.pure
        )
        shows_last = not code.rstrip().endswith(";")
        return Cell(source, file, label, surroundings, functions, shows_last)

    def _output(self, graph: Graph) -> OrderedOutput:
        return OrderedOutput(_running(graph), publisher_for(self._shell))

    def _pulled(self, options: CellOptions, graph: Graph, cell: Cell) -> tuple[str, ...]:
        made = set(graph.final) if graph.stuck is None else set(names_bound(cell.source))
        if options.pull == ("all",):
            return ("all",)
        for name in options.pull:
            if name not in made:
                raise UsageError(
                    f"--pull {name}: the cell does not assign that name{did_you_mean(name, made)}"
                )
        return options.pull

    def _sizes(self, graph: Graph, cell: Cell) -> dict[str, int]:
        from nbcluster.client.futures import Future

        taken = {name for node in graph.nodes.values() for name in node.inputs.get(-1, ())}
        if graph.stuck is not None:
            taken = set(cell.surroundings.names - cell.functions.keys())
        values = {name: self._shell.user_ns[name] for name in sorted(taken)}
        return {
            name: -1 if isinstance(value, Future) else approximate_size(value)
            for name, value in values.items()
        }

    def _bind(self, run: GraphRun, bound: dict[str, Any]) -> None:
        for name, future in bound.items():
            self._shell.user_ns[name] = future
            node = 0 if run.graph.stuck is not None else run.graph.node_of[run.graph.final[name]]
            if name in run.types_of(node):
                self._types[future] = run.types_of(node)[name]

    def _share(self, run: GraphRun) -> None:
        """Imports and functions that nodes share are there in the notebook too."""
        scene = run.graph.scene
        if scene is None:
            return
        for number in sorted({at for at in scene.shared.values() if at >= 0}):
            statement = run.graph.statements[number]
            source = "\n" * (statement.line - 1) + statement.text
            try:
                exec(compile(source, run.file, "exec", dont_inherit=True), self._shell.user_ns)  # noqa: S102  # the user's
            except ImportError as error:
                _say(f"line {statement.line} cannot be had in the notebook: {error}")

    def _finish(self, run: GraphRun, bound: dict[str, Any], pulled: tuple[str, ...]) -> None:
        if run.gave_up:
            raise CellInterrupted(
                "the cell was given up while some of it still runs; %cluster restart ends that"
            )
        if run.interrupted:
            raise CellInterrupted("the cell was interrupted; what its statements have made is let go of")
        here = set(bound) if pulled == ("all",) else set(pulled)
        futures = sorted(set(bound) - here)
        failed = run.first_error()
        if failed is not None:
            here = set()
            futures = sorted(bound)
        if futures:
            _say(_are_futures(futures))
        if failed is not None:
            number, error = failed
            if hasattr(error, "add_note"):
                error.add_note(self._note(run, number))
            if is_remote(error):
                mark_whole(error)
            raise error

    def _note(self, run: GraphRun, number: int) -> str:
        line = run.line_of(number)
        text = f"--graph: line {line} of the cell failed"
        others = sorted(run.line_of(each) for each in run.failed if each != number)
        return f"{text}; so did {_listed([f'line {each}' for each in others])}" if others else text


def _running(graph: Graph) -> list[int]:
    return [statement.number for statement in graph.statements if statement.runs]


def _names_made(graph: Graph, source: str) -> list[str]:
    """The names that a cell assigns, without those that are its own business."""
    if graph.stuck is None:
        return [name for name in graph.final if not name.startswith("_")]
    defined = {
        name
        for node in ast.parse(source).body
        for name in names_bound(ast.unparse(node))
        if isinstance(
            node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        )
    }
    return [name for name in sorted(names_bound(source) - defined) if not name.startswith("_")]


def _are_futures(names: list[str]) -> str:
    few = "is a Future" if len(names) == 1 else "are Futures"
    return f"{_listed(names)} {few} now: {names[0]}.result() brings the value here"


def _pull(
    bound: dict[str, Any], pulled: tuple[str, ...], user_ns: dict[str, Any], interrupts: Interrupts
) -> None:
    names = sorted(bound) if pulled == ("all",) else pulled
    for name in names:
        bound[name].bring_soon()
    for name in names:
        future = bound[name]
        while not future.done() and not interrupts.count:
            try:
                future.wait_quietly(0.05)
            except TimeoutError:
                continue
        if interrupts.count:
            raise CellInterrupted("interrupted while values were on their way; their names are Futures")
        user_ns[name] = future.result()


def _engines(cluster: ClusterLike, options: CellOptions) -> str:
    if options.targets:
        return f"the engines {options.targets}"
    able = [engine.number for engine in cluster.engines if engine.can_call]
    return f"{len(able)} engines" if len(able) != 1 else "1 engine"


def _listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _say(text: str) -> None:
    sys.stdout.flush()
    print(text)  # noqa: T201  # the answer of a magic is printed
    sys.stdout.flush()
