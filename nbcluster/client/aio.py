"""The asynchronous client: one connected cluster on the running loop. Knows no threads; the Cluster facade does."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, assert_never

from msgspec import Raw, json

from nbcluster.client.attached import Key
from nbcluster.client.calling import CallingCluster
from nbcluster.client.cells import CellRun, OutputTaker, Runs
from nbcluster.client.connection import not_wanted
from nbcluster.client.futures import Future
from nbcluster.client.needs import Needs, check_after, refused_for, tasks_before, waits_of
from nbcluster.client.options import check_namespaces, namespace_name
from nbcluster.client.views import AsyncView
from nbcluster.client.watching import Listener, Watching
from nbcluster.client.worknow import WorkNow
from nbcluster.core.board import Board
from nbcluster.core.targets import from_python, parse
from nbcluster.errors import NBClusterError, UsageError
from nbcluster.ids import CellId, EngineNumber
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m
from nbcluster.protocol.feed import WorkTold
from nbcluster.transport.frames import Buffer

CommListener = Callable[[m.CommSent, Sequence[Buffer]], None]


class AsyncCluster(CallingCluster):
    """A cluster, for asynchronous programs; every method has a synchronous twin on `Cluster`.

    Parameters
    ----------
    n : int, optional
        Engines to have; defaults to the CPUs that this process may use. More are started when fewer run.
    name : str, optional
        Name of the cluster. In a notebook the notebook's file name; in a script a new one that ends with it.
    launcher : str
        How engines are started: a name registered under the entry points ``nbcluster.launchers``.
    kernel : str
        Name of a kernelspec; "" is this interpreter.
    tags : sequence of str
        Tags of the engines that are started.
    resources : mapping of str to float
        What each of them has, such as ``{"gpu": 1}``; calls and cells may ask for it.
    env : mapping of str to str
        Environment variables that engines get on top.
    cwd : str, optional
        Their directory; defaults to this process's.
    gpus_per_engine : int
        GPUs that each engine has for itself: it sees no others (`CUDA_VISIBLE_DEVICES`), and has so much of the
        resource "gpu" unless `resources` says otherwise. 0 leaves all to all.
    threads_per_engine : int, optional
        OMP, MKL and OPENBLAS threads of each engine, unless set in the environment; defaults to CPUs // n.
    memory_limit : number or str, optional
        Memory that each engine may use: bytes, or text such as "2GB" and "512MiB"; "none" for any. Near it, results
        that were not used lately go to disk; by default that is so near an equal share of the host's memory.
    restart : {"always", "never"}
        What becomes of an engine that died: it starts again under its number, unless it dies again and again.
    idle_timeout : float, optional
        Seconds without client and work after which the cluster ends; negative: never. Defaults to 12 hours
        in a notebook.
    timeout : float
        Seconds that the engines may take until they answer.

    Examples
    --------
    >>> async with AsyncCluster(2) as cluster:  # doctest: +SKIP
    ...     result = await cluster[0].execute("6 * 7")
    ...     result.value
    42
    """

    def _prepare(self) -> None:
        super()._prepare()
        self._runs = Runs()
        self.calls.has_cells = lambda: self._runs.has_unfinished
        self._comm_listeners: list[CommListener] = []
        self.last: Future | None = None
        self.watching = Watching(lambda order: self.connection.ask(order, m.Done, timeout=10), self.post_soon)

    @property
    def unfinished(self) -> list[Future]:
        """The Futures of this client's cells and calls that have not ended."""
        return [*self._runs.unfinished, *self.calls.unfinished]

    # -- cells --------------------------------------------------------------------------------

    def __getitem__(self, targets: Key) -> AsyncView:
        return AsyncView(self, from_python(targets))

    async def send_cell(
        self,
        code: str,
        targets: str = "",
        *,
        label: str = "",
        allow_stdin: bool = False,
        silent: bool = False,
        timeout: float | None = None,
        fail_fast: bool = False,
        startup: bool = False,
        want_value: bool = False,
        push: Mapping[str, bytes] | None = None,
        pull: Sequence[str] = (),
        origin: m.Origin | None = None,
        namespace: str = "",
        live: bool = False,
        priority: int = 0,
        retries: int = 0,
        resources: Mapping[str, float] | None = None,
        needs: Needs | None = None,
    ) -> CellRun:
        """Send a cell; return when the controller has accepted it.

        Parameters
        ----------
        code : str
        targets : str
            In the grammar of TARGETS; "" is every engine of this client's language.
        label : str
            How it is called in displays.
        allow_stdin : bool
            Whether input() in it is asked for here; otherwise it is an error there.
        silent : bool
            Run without history, outputs of expressions and execution count.
        timeout : float, optional
            Seconds that it may run on each engine.
        fail_fast : bool
            Interrupt the others when one engine fails.
        startup : bool
            Also run it on each matching engine that joins or restarts later.
        want_value : bool
            Send the value of the last expression home.
        push : mapping of str to bytes
            Pickled values to bind before it runs.
        pull : sequence of str
            Names whose values to send home after it.
        origin : Origin, optional
            What errors in it name; by default the engine's own count of cells.
        namespace : str
            The named namespace that it runs in; "" is the kernel's own.
        live : bool
            Run it at once beside what the engine runs now.
        priority : int
            Higher goes first.
        retries : int
            How often it runs again after its own exception.
        resources : mapping of str to float, optional
            What each engine that runs it must have.
        needs : Needs, optional
            What it comes after. When something of that has failed, it is not sent, and fails at once.

        Raises
        ------
        UsageError, UnknownTarget, NoEngines, EngineLost, NotSupported
        """
        meant = parse(targets)
        needed = needs or Needs()
        check_after((*needed.after, *needed.behind), self.calls, self.calls.task_of)
        waits = waits_of(needed)
        if timeout is not None and not 0 < timeout < inf:  # here, since JSON knows no NaN
            raise UsageError(f"the timeout of {timeout} s cannot be: it is a number of seconds above 0")
        order = m.SubmitCell(
            CellId(uuid.uuid4().hex),
            code,
            targets if waits.engine is None else str(waits.engine),
            label=label,
            allow_stdin=allow_stdin,
            silent=silent,
            timeout=timeout,
            fail_fast=fail_fast,
            startup=startup,
            want_value=want_value,
            push=dict(push or {}),
            pull=tuple(pull),
            origin=origin,
            namespace=namespace_name(namespace),
            live=live,
            priority=priority,
            retries=retries,
            resources=dict(resources or {}),
            after=waits.after,
            behind=waits.behind,
            brought=waits.brought,
            near=waits.near,
        )
        if namespace:
            check_namespaces(meant, self._fleet.engines)
        await self.calls.sent()  # the calls before it come first in the lanes
        run = CellRun(self, order, single=meant.single)
        if waits.failed is not None:
            run.refuse(refused_for(run.what, waits.failed), tasks_before((waits.failed,)))
            return run
        self._runs.add(run)
        try:
            answer = await self.connection.ask(order, m.Accepted, timeout=60)
        except BaseException:
            self._runs.drop(run)
            raise
        run.accepted(answer.tasks)
        if not silent:
            self.last = run.future
        return run

    async def complete(
        self, code: str, cursor_pos: int, targets: Key = "", timeout: float = 0.3, namespace: str = ""
    ) -> dict[str, Any]:
        """Ask an engine's kernel for completions; the content of its complete_reply, empty when it is late."""
        request = m.Complete(code, cursor_pos, from_python(targets), timeout, namespace_name(namespace))
        return (await self.connection.ask(request, m.KernelReply, timeout=timeout + 10)).content

    async def inspect(
        self,
        code: str,
        cursor_pos: int,
        detail_level: int = 0,
        targets: Key = "",
        timeout: float = 0.3,
        namespace: str = "",
    ) -> dict[str, Any]:
        """Ask an engine's kernel what a name is; the content of its inspect_reply, empty when it is late."""
        request = m.Inspect(
            code, cursor_pos, detail_level, from_python(targets), timeout, namespace_name(namespace)
        )
        return (await self.connection.ask(request, m.KernelReply, timeout=timeout + 10)).content

    # -- views --------------------------------------------------------------------------------

    async def ui(self) -> WorkNow:
        """A picture of this client's work and of the engines, as they are now.

        Returns
        -------
        WorkNow
            Shown as bars and a task stream in a notebook, which move in a page; as text in a terminal.

        Examples
        --------
        >>> print(await cluster.ui())  # doctest: +SKIP
        fit  1,200 of 10,000 done, 4 running, 8,796 waiting
        """
        await self.watching.begin(_ignore)
        return WorkNow(await self.watching.end(_ignore), self)

    async def watch(self, listener: Listener) -> None:
        """Give each new Board of this client's work to a callback on this loop, at most five a second."""
        await self.watching.begin(listener)

    async def unwatch(self, listener: Listener) -> Board:
        """Give it no more; return the Board as it is now."""
        return await self.watching.end(listener)

    # -- comms --------------------------------------------------------------------------------

    def on_comm(self, listener: CommListener, take_output: OutputTaker | None = None) -> None:
        """Have the comm messages of engines given to a callback, on this loop; and output that comms are to show.

        Parameters
        ----------
        listener : callable
            Called with (CommSent, buffers).
        take_output : callable, optional
            Called with each TaskOutput before its cell gets it; the cell does not when it returns true.
        """
        self._comm_listeners.append(listener)
        if take_output is not None:
            self._runs.takers.append(take_output)

    async def send_comm(
        self,
        engine: int,
        msg_type: str,
        content: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[Buffer] = (),
    ) -> None:
        """Send a comm message to an engine."""
        request = m.SendComm(EngineNumber(engine), msg_type, Raw(json.encode(content)), metadata or {})
        await self.connection.ask(request, m.Done, timeout=30, buffers=buffers)

    def post_soon(self, request: m.Request) -> None:
        """Send a request from any thread; its answer is not waited for."""
        loop, connection = self._loop, self._connection
        if loop is None or connection is None or self._lost is not None:
            return
        loop.call_soon_threadsafe(connection.post_then, request, not_wanted)

    # -- what is told -------------------------------------------------------------------------

    def _noticed(self, notice: m.Notice, buffers: Sequence[Buffer]) -> None:
        match notice:
            case m.TaskStarted() | m.TaskOutput() | m.InputWanted() | m.TaskDone():
                self._runs.handle(notice, buffers)
            case m.CommSent():
                for listener in self._comm_listeners:
                    listener(notice, buffers)
            case m.EngineChanged() | m.ClusterStopping():
                super()._noticed(notice, buffers)
            case c.CallsBegun() | c.CallsDone() | c.CallOutput() | c.CallReport():
                self.calls.handle(notice)
            case WorkTold():
                self.watching.handle(notice)
            case _:
                assert_never(notice)

    async def _leaving(self) -> None:
        await super()._leaving()
        self.watching.close(f"this notebook has left the cluster {self.name!r}, or stopped it")

    def _has_lost(self, error: NBClusterError) -> None:
        super()._has_lost(error)
        self._runs.lose(error)
        self.calls.end(error)
        self.watching.close(str(error))


def _ignore(board: Board) -> None:
    """Of a board that is asked for once."""
