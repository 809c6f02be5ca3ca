"""The kernel that is an engine: IPython's, with aimed interrupts, a gate, parents of threads, and values.

Knows no controller: everything comes and goes in messages of the Jupyter protocol, which is extended by
the control message `interrupt_task_request` and the metadata key "nbcluster" of execute messages.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any

import zmq
from ipykernel.ipkernel import IPythonKernel
from IPython.core.error import StdinNotImplementedError
from msgspec import ValidationError
from traitlets import Type

from nbcluster.engine import calls, context, lifeline, namespaces, seams, strays, values
from nbcluster.engine.gate import Gate
from nbcluster.engine.outstream import PromptStream, RawOutput
from nbcluster.engine.parents import ThreadParents
from nbcluster.engine.session import EngineSession, is_for_main_shell
from nbcluster.engine.shell import EngineShell
from nbcluster.engine.sources import CellCompiler
from nbcluster.errors import NotSerializable, UsageError
from nbcluster.protocol import topics

FEATURE = "nbcluster"
"""The name under which kernel_info says that this kernel is ours, and of our key in metadata."""

FIRST_NUDGE = 0.01
"""Seconds after which a signal that was not heard is followed by a nudge; pauses double."""

NUDGES = 8

STDIN_GRACE = 5.0
"""Seconds that a front end may take to connect its stdin channel once a cell asks for input."""

Message = dict[str, Any]

_parent: ContextVar[Message | None] = ContextVar("nbcluster_parent", default=None)


class EngineKernel(IPythonKernel):  # type: ignore[misc]  # ipykernel's classes are not typed
    """An engine."""

    shell_class = Type(EngineShell)
    compiler_class = Type(CellCompiler)
    control_msg_types = [*IPythonKernel.control_msg_types, "interrupt_task_request"]  # noqa: RUF012  # as the base has it

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gate = Gate()
        self._handling = ""
        self._sent_home: dict[str, Message] = {}
        # Without this only the first subscriber of a kernel's life is welcomed, and a controller that
        # comes back would not know that it is subscribed.
        socket = self.iopub_thread.socket
        self.iopub_thread.schedule(lambda: socket.setsockopt(zmq.XPUB_VERBOSE, 1))
        if isinstance(self.session, EngineSession):
            self.session.look = seams.hear_subscriptions(self.iopub_thread, self.session.listeners.heard)
        # Without this a question to a front end whose stdin channel is not connected is dropped
        # silently, and the cell waits for ever.
        self.stdin_socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        ThreadParents[_Cause](_cause, self._under_cause).install()
        self.raw_output = RawOutput([s for s in (sys.stdout, sys.stderr) if isinstance(s, PromptStream)])
        self.namespaces = namespaces.Namespaces(self.shell)
        namespaces.install(self.namespaces)

    def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """Shut down, and let asyncio tell no cell of the tasks that end with the loops: this request's own is one."""
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        answer: dict[str, Any] = super().do_shutdown(restart)
        return answer

    def start(self) -> None:
        """Start serving, and watch the lifeline."""
        super().start()
        if self.parent is not None:
            # traitlets leaves the logger at DEBUG and drops at the handler what was made for nothing: a
            # twelfth of a short cell's time.
            self.log.setLevel(self.parent.log_level)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGURG, lambda signum, frame: None)
        # debugpy, which ipykernel imports, has taken breakpoint() for itself, and ignores it unless a debugger of
        # its own is attached.
        sys.breakpointhook = sys.__breakpointhook__
        if why := seams.why_untested():
            self.log.warning(why)
        calls.start(self)
        fd = os.environ.pop(lifeline.VARIABLE, None)
        if fd is not None:
            loop = self.control_thread.io_loop
            loop.add_callback(loop.add_handler, int(fd), lambda *_: lifeline.end_group(), loop.READ)

    @property
    def kernel_info(self) -> Message:
        """What the kernel says of itself; the feature "nbcluster" marks it as an engine."""
        info: Message = super().kernel_info
        ours = [FEATURE, topics.FEATURE] if isinstance(self.session, EngineSession) else [FEATURE]
        return {**info, "supported_features": [*info["supported_features"], *ours]}

    def shell_channel_thread_main(self, msg: list[zmq.Frame]) -> Awaitable[None] | None:
        """Hand a message on to the main thread, as it came; what is meant for a subshell goes ipykernel's way.

        ipykernel opens each message to read its header, in a task of its own; the main thread opens it again.
        """
        thread = self.shell_channel_thread
        if thread.asyncio_lock.locked() or not is_for_main_shell(msg):
            handling: Awaitable[None] = super().shell_channel_thread_main(msg)
            return handling
        thread.manager.get_shell_channel_to_subshell_socket(None).send_multipart(msg, copy=False)
        return None

    # -- parents -----------------------------------------------------------------------------

    def set_parent(self, ident: Any, parent: Message, channel: str = "shell") -> None:
        """Note the message that causes what follows; threads started by it will inherit it."""
        super().set_parent(ident, parent, channel)
        if channel == "shell":
            _parent.set(parent)

    def get_parent(self, channel: str | None = None) -> Message:
        """Return the message that caused what runs here, in a thread that of the cell that started it."""
        call = context.current.get()
        own = _parent.get() if call is None else call.parent
        on_control = channel == "control" or (
            channel is None and threading.current_thread() is self.control_thread
        )
        if own is not None and not on_control:
            return own
        parent: Message = super().get_parent(channel)
        return parent

    def _under_cause(self, cause: _Cause) -> AbstractContextManager[None]:
        return cause.entered() if isinstance(cause, context.RunningCall) else self._under_parent(cause)

    @contextmanager
    def _under_parent(self, parent: Message) -> Iterator[None]:
        token = _parent.set(parent)
        tokens = self.shell.set_thread_parent(parent)
        try:
            yield
        finally:
            self.shell.reset_thread_parent(tokens)
            _parent.reset(token)

    # -- input -------------------------------------------------------------------------------

    def raw_input(self, prompt: str = "") -> str:
        """Ask the front end that sent the cell for a line."""
        return self._ask(partial(super().raw_input, prompt))

    def getpass(self, prompt: str = "", *args: Any, **kwargs: Any) -> str:
        """Ask the front end that sent the cell for a password."""
        return self._ask(partial(super().getpass, prompt, *args, **kwargs))

    def _ask(self, question: Callable[[], str]) -> str:
        context.refuse_input()
        until = time.monotonic() + STDIN_GRACE
        while True:
            try:
                return question()
            except zmq.ZMQError as error:
                if error.errno != errno.EHOSTUNREACH:
                    raise
                if time.monotonic() >= until:
                    raise StdinNotImplementedError(
                        "the front end that sent this cell is not connected for input"
                    ) from None
            time.sleep(0.01)

    # -- interrupts --------------------------------------------------------------------------

    def pre_handler_hook(self) -> None:
        """Before each message: SIGINT stops a cell in the user's code, anything else as ipykernel has it."""
        if threading.current_thread() is not threading.main_thread():
            return
        super().pre_handler_hook()
        self._handling = self.get_parent("shell")["header"]["msg_type"]
        if self._handling == "execute_request":
            signal.signal(signal.SIGINT, self.shell.on_sigint)

    def post_handler_hook(self) -> None:
        """After each message: SIGINT is as it was."""
        if threading.current_thread() is threading.main_thread():
            super().post_handler_hook()

    async def interrupt_request(self, stream: Any, ident: Any, parent: Message) -> None:
        """Interrupt whatever runs."""
        self.shell.interrupts.aim_at_any()
        await super().interrupt_request(stream, ident, parent)
        self.control_thread.io_loop.add_callback(self._nudge, _main_thread())

    async def interrupt_task_request(self, stream: Any, ident: Any, parent: Message) -> None:
        """Interrupt the execute_request with the msg_id that the content names, and nothing else.

        The reply says in "hit" whether it runs. One that has not come yet is stopped when it comes.
        """
        target = str(parent["content"].get("msg_id", ""))
        main = _main_thread()
        hit = self.shell.interrupts.aim(target, lambda: signal.pthread_kill(main, signal.SIGINT))
        if hit:
            self.control_thread.io_loop.add_callback(self._nudge, main)
            strays.interrupt_children(since=self._cell_began)
        self.session.send(stream, "interrupt_task_reply", {"status": "ok", "hit": hit}, parent, ident)

    async def _nudge(self, main: int) -> None:
        """Wake the main thread until it has heard a signal.

        One that comes between Python's last look for signals and a blocking system call is not heard
        before the call returns. Any signal with a handler ends the call; SIGURG does nothing else.
        """
        for number in range(NUDGES):
            await asyncio.sleep(FIRST_NUDGE * 2**number)
            if not self.shell.interrupts.is_unheard():
                return
            signal.pthread_kill(main, signal.SIGURG)

    # -- cells -------------------------------------------------------------------------------

    _cell_began = 0.0

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: Message | None = None,
        cell_id: str | None = None,
    ) -> Message:
        """Run a cell behind the closed gate, with the values that it brings and asks for."""
        msg_id = self.get_parent("shell")["header"]["msg_id"]
        # A live cell is on a thread of its own: neither gate nor interrupts are for it.
        on_main = threading.current_thread() is threading.main_thread()
        if on_main:
            await self.gate.wait_for_call()
            self._cell_began = strays.now()
        if isinstance(self.session, EngineSession):
            self.session.watch(msg_id)
        with (
            self.gate.cell() if on_main else nullcontext(),
            self.shell.cell(msg_id),
            ExitStack() as namespace,
        ):
            try:
                wishes = values.read_wishes(cell_meta)
                namespace.enter_context(self.namespaces.entered(wishes.namespace))
                with self.shell.user_code():
                    for name, text in wishes.push.items():
                        self.shell.user_ns[name] = values.load(name, text)
            except (NotSerializable, UsageError, ValidationError, KeyboardInterrupt) as error:
                return self._fail(error)
            with self.shell.compile.cell(wishes.origin):
                reply: Message = await super().do_execute(
                    code,
                    silent,
                    store_history,
                    user_expressions,
                    allow_stdin,
                    cell_meta=cell_meta,
                    cell_id=cell_id,
                )
            if on_main:
                self.raw_output.take(None)
            outcome = self.shell.take_outcome()
            if reply["status"] == "ok" and (wishes.pull or wishes.want_value):
                result = None if outcome is None else outcome.result
                try:
                    with self.shell.user_code():
                        sent, unsent = values.collect(wishes, self.shell.user_ns, lambda: result)
                except KeyboardInterrupt as error:
                    return self._fail(error)
                self._sent_home[msg_id] = {"values": sent, "unsent": unsent}
        return reply

    def do_complete(self, code: str, cursor_pos: int) -> Message:
        """Complete a name, in the namespace that the request says."""
        with self._namespace_of_request():
            found: Message = super().do_complete(code, cursor_pos)
        return found

    def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Collection[str] = ()
    ) -> Message:
        """Describe a name, in the namespace that the request says."""
        with self._namespace_of_request():
            found: Message = super().do_inspect(code, cursor_pos, detail_level, omit_sections)
        return found

    def _namespace_of_request(self) -> AbstractContextManager[None]:
        try:
            return self.namespaces.entered(values.read_wishes(self.get_parent().get("metadata")).namespace)
        except (
            UsageError,
            ValidationError,
        ):  # what has no meaning here must not keep a front end from its answer
            return nullcontext()

    def _fail(self, error: BaseException) -> Message:
        """Show an error that happened before or after the user's code, and return the reply for it."""
        self.shell.showtraceback((type(error), error, None), exception_only=True)
        return {
            "status": "error",
            "ename": type(error).__name__,
            "evalue": str(error),
            "traceback": self.shell.InteractiveTB.get_exception_only(type(error), error),
            "execution_count": self.shell.execution_count,
            "user_expressions": {},
            "payload": [],
        }

    def finish_metadata(self, parent: Message, metadata: Message, reply_content: Message) -> Message:
        """Put the values that were asked for beside the reply, and whether anything was published."""
        finished: Message = super().finish_metadata(parent, metadata, reply_content)
        msg_id = parent["header"]["msg_id"]
        ours = self._sent_home.pop(msg_id, {})
        if isinstance(self.session, EngineSession) and self.session.is_quiet(msg_id):
            ours[topics.QUIET] = True
        if ours:
            finished[FEATURE] = ours
        return finished


_Cause = Message | context.RunningCall
"""What output belongs to: the request of a cell, or a call."""


def _cause() -> _Cause | None:
    return context.current.get() or _parent.get()


def _main_thread() -> int:
    ident = threading.main_thread().ident
    assert ident is not None
    return ident
