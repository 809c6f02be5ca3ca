"""The magics %%distributed, %distributed and %cluster: puts grammar, client and drawing together."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any
from uuid import uuid4

from IPython.core.magic import no_var_expand

from nbcluster.client.needs import Needs
from nbcluster.client.progress import Line, Shown, is_shown
from nbcluster.errors import NBClusterError
from nbcluster.notebook.calloutput import CallOutputs
from nbcluster.notebook.cellgraph import CellGraph
from nbcluster.notebook.cellplans import cell_plan
from nbcluster.notebook.clustergrammar import parse_cluster
from nbcluster.notebook.clusters import ClientClusters, ClusterLike, Clusters
from nbcluster.notebook.comms import Proxies
from nbcluster.notebook.consoledisplay import Consoles
from nbcluster.notebook.display import CellDisplay, CellEvent
from nbcluster.notebook.errors import CellInterrupted
from nbcluster.notebook.grammar import CellOptions, parse_cell, parse_line
from nbcluster.notebook.graphbackground import LaterPublisher
from nbcluster.notebook.graphcells import GraphCells
from nbcluster.notebook.hints import Memory, add_hints, has_missing_name
from nbcluster.notebook.late import Follower, LateOutput, UntilNextCell
from nbcluster.notebook.livepanels import LivePanels
from nbcluster.notebook.moving import Moves
from nbcluster.notebook.namepanels import TABLE_TYPES, names_desk
from nbcluster.notebook.operations import Buffers, Publisher
from nbcluster.notebook.panels import Panels
from nbcluster.notebook.publishers import CellSlot, TerminalPublisher, has_front_end, publisher_for
from nbcluster.notebook.remotetracebacks import mark
from nbcluster.notebook.running import BlockingRun, CellRun, Interrupts, run_local, wait_moved
from nbcluster.notebook.shipping import Shipment, failures
from nbcluster.notebook.shownfutures import ShownFutures
from nbcluster.notebook.verbs import Verbs
from nbcluster.notebook.words import expand
from nbcluster.notebook.workdesk import WORK_TYPES, WorkDesk
from nbcluster.notebook.workviews import Watched, WorkViews, cluster_of, unseen
from nbcluster.protocol.messages import TaskStarted
from nbcluster.protocol.origin import Origin


class NbclusterMagics:
    """The magics of one notebook.

    Parameters
    ----------
    shell : InteractiveShell
    clusters : Clusters, optional
        Where clusters are found and started; the client's by default.
    """

    def __init__(self, shell: Any, clusters: Clusters | None = None) -> None:
        self.shell = shell
        self._notebook = has_front_end(shell)
        self.panels = Panels(shell) if self._notebook else None
        self.live_panels = _live_panels(shell) if self._notebook else []
        self.use_clusters(clusters or ClientClusters())
        self.memory = Memory()
        self.graphs = GraphCells(shell)
        self._counted, self._sent_by_cell = -1, 0
        self.comms = Proxies(shell) if self._notebook else None
        self.futures = ShownFutures(shell) if self._notebook else None
        self.cells = CellGraph(shell.user_ns, shell.transform_cell, self._show_stale)
        self.views = WorkViews(shell, self._find_cluster) if self._notebook else None
        self.consoles = Consoles(shell) if self._notebook else None
        self.late: LateOutput | UntilNextCell = (
            LateOutput() if self._notebook else UntilNextCell(TerminalPublisher(watched=False))
        )
        self.call_outputs = CallOutputs(
            shell,
            notebook=self._notebook,
            drawer=self.late,
            has_open=lambda output: self.clusters.has_open_calls(output),
        )

    def explain(self, error: BaseException) -> None:
        """Prepare what a Future is about to raise here: its drawing, and what to do about a missing name."""
        mark(error)
        if threading.current_thread() is not threading.main_thread():
            return
        self.call_outputs.catch_up()  # what was printed before comes before
        if not has_missing_name(error):
            return
        with suppress(NBClusterError):  # only a hint; without a cluster there is nothing to say
            cluster = self.clusters.current()
            add_hints(error, cluster.name, cluster.engines, self.shell.user_ns, self.memory)

    def _find_cluster(self, address: tuple[str, str] | None) -> Watched | None:
        from nbcluster.client.current import known_clusters

        return cluster_of(address, known_clusters())

    def use_clusters(self, clusters: Clusters) -> None:
        """Find and start clusters there from now on."""
        self.clusters = clusters
        panel = self.panels.show_current if self.panels is not None else None
        self._verbs = Verbs(clusters, self.shell.user_ns, _say, _show, show_panel=panel)

    @no_var_expand  # type: ignore[untyped-decorator]  # IPython is not typed
    def distributed(self, line: str, cell: str) -> Any:
        """Run this cell on engines; their output is shown here.

        %%distributed [TARGETS] [--on TARGETS] [--cluster NAME] [--async] [--as NAME] [--after A,B] [--wait]
        [--local]
        [--group order|engine|same] [--timeout SECONDS] [--startup] [--fail-fast] [--push x,y] [--pull z]
        [--scatter v] [--gather w] [--ship] [--namespace NAME] [--live] [--retries N] [--priority P]
        [--resources gpu=1] [--progress auto|on|off] [--graph [--pure NAMES]] [--plan]

        TARGETS: nothing for every engine of the notebook's language, all, 0, 0,2:4, -1, a tag, any.
        """
        return self.run(parse_cell(line, self.expand), cell)

    @no_var_expand  # type: ignore[untyped-decorator]  # IPython is not typed
    def distributed_line(self, line: str) -> Any:
        """Run one line on engines: %distributed [--on TARGETS] [options] CODE."""
        options, code = parse_line(line, self.expand)
        return self.run(options, code, first_line=self._calling_line())

    @no_var_expand  # type: ignore[untyped-decorator]  # IPython is not typed
    def cluster(self, line: str) -> None:
        """Start, join, look at and stop clusters; alone, it shows the launcher.

        %cluster start -n 4 | connect | use NAME | list | status | add N | scale N | restart [ENGINES]
        | interrupt [ENGINES] | cancel [NAME] | set idle_timeout=1h | ui | stop [--force]
        """
        self._verbs.do(parse_cluster(line, self.expand))

    def expand(self, word: str) -> str:
        """Fill in `{expr}` with the notebook's names."""
        return expand(word, self.shell.ev)

    def run(self, options: CellOptions, code: str, first_line: int = 2) -> Any:
        """Run code on engines as the options say.

        Parameters
        ----------
        options : CellOptions
        code : str
        first_line : int
            On which line of the notebook's cell the code begins.

        Returns
        -------
        Future or None
            The Future of a cell that the notebook does not wait for.
        """
        cluster = self.clusters.current(options.cluster)
        label = f"cell [{self._count()}]"
        if options.graph:
            return self.graphs.run(
                cluster,
                options,
                code,
                label,
                first_line,
                self._draw_later,
                lambda shown: self._view(cluster, options, shown),
            )
        moves = Moves(cluster, options, self.shell.user_ns)
        if not moves.is_empty:
            moves.fix_targets()
        prepared = self.cells.prepare(
            cluster, options, code, moves.targets, label, self._place_in_notebook(), moves.names_before
        )
        if options.plan:
            _say(cell_plan(cluster, options, prepared, moves.sizes()))
            return None
        pushed: Sequence[Any] = ()
        if not moves.is_empty:
            pushed = self._bring(cluster, moves, options, code)
        self.cells.bring(cluster, prepared, options.namespace)
        needs = self.cells.needs(prepared, pushed)
        if self.comms is not None:
            self.comms.expect(cluster, self.shell.get_parent())
        run = cluster.send_cell(
            code,
            prepared.targets,
            allow_stdin=options.blocks,
            timeout=options.timeout,
            fail_fast=options.fail_fast,
            startup=options.startup,
            want_value=not options.blocks or options.name is not None,
            label=label,
            origin=Origin("Cell", f"In[{self._count()}]", first_line),
            namespace=options.namespace,
            live=options.live,
            priority=options.priority,
            retries=options.retries,
            resources=options.resources,
            needs=needs,
        )
        self.cells.sent(prepared, run)
        moves.send_after(run)
        if not options.namespace:
            there = [place.engine for place in run.places if place.engine is not None]
            self.memory.note(cluster.name, there, prepared.cell.names.writes)
        if self.comms is not None:
            self.comms.sent(run.cell, self.shell.get_parent())
        if options.name is not None:
            self.shell.user_ns[options.name] = run.future
        if options.blocks:
            try:
                self._wait(cluster, run, options, code, needs)
            except BaseException:
                moves.drop()
                raise
            moves.bind(lambda futures: self._wait_moved(cluster, futures))
            return None
        self._follow(cluster, run, options)
        if options.local:
            run_local(self.shell, code)()
        return run.future

    def _bring(self, cluster: ClusterLike, moves: Moves, options: CellOptions, code: str) -> Sequence[Any]:
        """Send what a cell brings; return the Futures of what it has to come after.

        One that the notebook waits for runs only when all of it has arrived.
        """
        pushed = moves.send_before()
        shipment, shipped = (
            moves.ship(self.shell.transform_cell(code), self.shell.user_ns_hidden)
            if options.ship
            else (Shipment(), [])
        )
        for line in shipment.told():
            _say(line)
        if options.blocks:
            self._wait_moved(cluster, [*pushed, *(future for _, future in shipped)])
            for future in pushed:
                future.result()
            for line in failures(shipped):
                _say(line)
            return ()
        return () if options.startup else pushed

    def _wait_moved(self, cluster: ClusterLike, futures: Sequence[Any]) -> None:
        wait_moved(futures, publisher_for(self.shell), lambda: cluster.engines)

    def _count(self) -> int:
        # The shell's execution_count is already that of the next cell in newer versions of IPython.
        return len(self.shell.history_manager.input_hist_parsed) - 1

    def _place_in_notebook(self) -> str:
        """What the cell that runs is known by when it is run again; "" where the front end does not say."""
        parent = self.shell.get_parent() if hasattr(self.shell, "get_parent") else {}
        cell = (parent.get("metadata") or {}).get("cellId", "")
        if not cell:
            return ""
        count = self._count()
        self._sent_by_cell = self._sent_by_cell + 1 if self._counted == count else 0
        self._counted = count
        return f"{cell}/{self._sent_by_cell}"

    def _calling_line(self) -> int:
        """Return the line of the notebook's cell that runs."""
        frame = sys._getframe()
        while frame.f_back is not None:
            frame = frame.f_back
            if frame.f_globals is self.shell.user_ns and frame.f_code.co_name == "<module>":
                return frame.f_lineno
        return 1

    def _wait(
        self, cluster: ClusterLike, run: CellRun, options: CellOptions, code: str, needs: Needs | None
    ) -> None:
        interrupts = Interrupts()
        display = self._display(cluster, run, options)
        check_local = None
        shown = Shown(f"cell [{self._count()}]", len(run.places), "engine")
        try:
            if options.local:
                check_local = run_local(self.shell, code)
            with interrupts.counted(), self._view(cluster, options, shown) as view:
                publisher = publisher_for(self.shell)
                BlockingRun(run, display, publisher, lambda: cluster.engines, needs=needs, view=view).drain(
                    interrupts
                )
        except CellInterrupted:
            raise
        except KeyboardInterrupt:
            # It came before interrupts were counted: while the cell ran here, with --local.
            run.cancel("interrupted in the notebook")
            raise
        finally:
            # What was not drawn so far: late output, and what a cell does that was given up.
            self._listen_late(run, display)
        error = run.future.exception(timeout=10)
        if error is not None:
            add_hints(error, cluster.name, cluster.engines, self.shell.user_ns, self.memory)
        # All is done: this raises what failed, and waits for nothing.
        run.future.result(timeout=10)
        if check_local is not None:
            check_local()

    def _display(self, cluster: ClusterLike, run: CellRun, options: CellOptions) -> CellDisplay:
        if self.consoles is not None and options.group == "engine" and not run.single:
            return self.consoles.display(run.cell, cluster.name, run.places)
        return CellDisplay(run.cell, cluster.name, run.places, single=run.single, group=options.group)

    def _show_stale(self, future: Any) -> None:
        if self.futures is not None:
            self.futures.refresh(future)

    def _view(self, cluster: ClusterLike, options: CellOptions, shown: Shown) -> AbstractContextManager[Line]:
        """Show how far a cell is that the notebook waits for, when it takes long."""
        if self.views is None or not isinstance(cluster, Watched) or not is_shown(options.progress):
            return unseen()
        return self.views.wait(cluster, shown)

    def _follow(self, cluster: ClusterLike, run: CellRun, options: CellOptions) -> None:
        display = CellDisplay(
            run.cell,
            cluster.name,
            run.places,
            single=run.single,
            group=options.group,
            raw=False,
            limit=None,
            rest="the Future's .output",
        )
        follower = Follower(display, self._slot(run, made_now=True))
        draw_late = self.late.listener(follower)

        def hear(event: CellEvent, buffers: Buffers) -> None:
            draw_late(event, buffers)
            if isinstance(event, TaskStarted) and self.futures is not None:
                self.futures.refresh(run.future)

        run.listen(hear)

    def _draw_later(self, hear: Callable[[str], object]) -> LaterPublisher:
        """Return what draws into this cell when the notebook does not wait for it."""
        publisher: Publisher = TerminalPublisher(watched=False)
        if self._notebook:
            publisher = slot = CellSlot(self.shell, self.shell.get_parent(), f"graph-{uuid4().hex}")
            slot.open()
        return LaterPublisher(publisher, self.late.due, hear)

    def _listen_late(self, run: CellRun, display: CellDisplay) -> None:
        follower = Follower(display, self._slot(run, made_now=False))
        run.listen(self.late.listener(follower))

    def _slot(self, run: CellRun, *, made_now: bool) -> Any:
        if not self._notebook:
            return TerminalPublisher(watched=False)
        slot = CellSlot(self.shell, self.shell.get_parent(), f"{run.cell}-late")
        if made_now:
            slot.open()
        return slot


def _say(text: str) -> None:
    print(text)  # noqa: T201  # the answer of a magic is printed


def _live_panels(shell: Any) -> list[LivePanels]:
    return [
        LivePanels(shell, TABLE_TYPES, names_desk, "A table of names"),
        LivePanels(shell, WORK_TYPES, WorkDesk, "A view of the work"),
    ]


def _show(thing: Any) -> None:
    from IPython.display import display

    display(thing)
