"""The shell of an engine: an interrupt stops the user's code and nothing else. Knows no cluster."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.interactiveshell import ExecutionResult
from traitlets import Instance, Type

from nbcluster.engine import namespaces, seams
from nbcluster.engine.displayhook import NamespaceDisplayHook
from nbcluster.engine.interrupts import Interrupts

INTERNAL = ("nbcluster.engine.", "ipykernel.")
"""Modules whose frames are not shown at the end of a traceback."""

PLUMBING = ("jupyter_client.", "zmq.", "threading")
"""Modules whose frames are hidden where an internal one called them."""

Handler = Callable[[int, FrameType | None], Any]


class EngineShell(ZMQInteractiveShell):  # type: ignore[misc]  # ipykernel's classes are not typed
    """ipykernel's shell, with a SIGINT handler of ours on the main thread while a cell runs."""

    interrupts = Instance(Interrupts, ())
    displayhook_class = Type(NamespaceDisplayHook)

    def __init__(self, **kwargs: Any) -> None:
        self._outcomes = _Outcomes()
        self._user_code = 0
        self._cancel: Handler | None = None
        self._cancelled = False
        self._transformed: tuple[str, str] | None = None
        self.hit_call: Callable[[FrameType | None], bool] = lambda frame: False
        """Takes an interrupt for the call that runs; False when there is none."""
        super().__init__(**kwargs)
        # IPython draws no groups: without this a front end gets no error at all.
        self.set_custom_exc((BaseExceptionGroup,), _draw_group)

    # -- interrupts --------------------------------------------------------------------------

    @contextmanager
    def cell(self, msg_id: str) -> Iterator[None]:
        """Be interruptible as this cell; does nothing off the main thread, where no signal arrives."""
        if not _is_main_thread():
            yield
            return
        self._cancel, self._cancelled = None, False
        self.interrupts.begin(msg_id)
        try:
            yield
        finally:
            self.interrupts.end()
            self._cancel, self._user_code = None, 0

    @contextmanager
    def user_code(self) -> Iterator[None]:
        """Let an interrupt of the running cell raise KeyboardInterrupt in this block.

        Raises
        ------
        KeyboardInterrupt
            At once when one is pending.
        """
        if not _is_main_thread():
            yield
            return
        self._user_code += 1
        try:
            if self.interrupts.take_pending():
                raise KeyboardInterrupt
            yield
        finally:
            self._user_code -= 1

    def on_sigint(self, signum: int, frame: FrameType | None) -> None:
        """Stop the user's code, if the signal is meant for what runs now. A signal handler."""
        if not self.interrupts.is_hit() or self.hit_call(frame):
            return
        if self._user_code == 0:
            self.interrupts.postpone()
        elif self._cancel is None or _runs_below(frame, EngineShell.run_code.__code__):
            raise KeyboardInterrupt
        else:
            # The cell is suspended in an await: ipykernel's handler cancels it in the next round of
            # the loop, which sleeps in its poll and must be woken.
            self._cancelled = True
            self._cancel(signum, frame)
            asyncio.get_running_loop().call_soon_threadsafe(_nothing)

    def _take_over_sigint(self) -> None:
        """Stand before the handler that ipykernel sets for a cell that awaits. A user's own is left alone."""
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler) and getattr(handler, "__module__", "") == seams.CANCELLER:
            self._cancel = handler
            signal.signal(signal.SIGINT, self.on_sigint)

    # -- variables ---------------------------------------------------------------------------
    # IPython asks the shell for them at each step. In a named namespace, what asks gets that one's.

    @property
    def user_module(self) -> ModuleType:
        """The module whose dict are the variables."""
        inside = namespaces.inside()
        return self._own_module if inside is None else inside.module

    @user_module.setter
    def user_module(self, module: ModuleType) -> None:
        self._own_module = module

    @property
    def user_ns(self) -> dict[str, Any]:
        """The variables."""
        inside = namespaces.inside()
        return self._own_ns if inside is None else inside.names

    @user_ns.setter
    def user_ns(self, names: dict[str, Any]) -> None:
        self._own_ns = names

    @property
    def user_ns_hidden(self) -> dict[str, Any]:
        """Variables that IPython has put there, and does not show."""
        inside = namespaces.inside()
        return self._own_hidden if inside is None else inside.hidden

    @user_ns_hidden.setter
    def user_ns_hidden(self, names: dict[str, Any]) -> None:
        self._own_hidden = names

    @property
    def Completer(self) -> Any:
        """What completes names."""
        inside = namespaces.inside()
        return self._own_completer if inside is None else inside.completer

    @Completer.setter
    def Completer(self, completer: Any) -> None:
        self._own_completer = completer

    def own_namespace(self) -> tuple[ModuleType, dict[str, Any]]:
        """Return the kernel's own module and what IPython hides in it, whatever the caller is inside of."""
        return self._own_module, self._own_hidden

    # -- reading a cell ----------------------------------------------------------------------

    def transform_cell(self, raw_cell: str) -> str:
        """Turn a cell into Python. ipykernel and IPython each ask this of every cell; it is done once."""
        if self._transformed is None or self._transformed[0] != raw_cell:
            self._transformed = (raw_cell, str(super().transform_cell(raw_cell)))
        return self._transformed[1]

    # -- running -----------------------------------------------------------------------------

    async def run_cell_async(self, *args: Any, **kwargs: Any) -> ExecutionResult:
        """Run a cell and keep its outcome."""
        self._transformed = None
        try:
            outcome = await super().run_cell_async(*args, **kwargs)
        except KeyboardInterrupt as error:
            # It came between the user's code and IPython's own handling of errors. In a task it must
            # not go on from here: the event loop would end.
            outcome = ExecutionResult(None)
            outcome.error_in_exec = error
            self.showtraceback()
        self._outcomes.last = outcome
        return outcome

    def take_outcome(self) -> ExecutionResult | None:
        """Return how the cell that this thread ran last has ended, and forget it."""
        outcome, self._outcomes.last = self._outcomes.last, None
        return outcome

    async def run_code(
        self, code_obj: CodeType, result: ExecutionResult | None = None, *, async_: bool = False
    ) -> bool:
        """Execute a code object of the cell, as the part of it that can be interrupted."""
        if not _is_main_thread():
            failed: bool = await super().run_code(code_obj, result, async_=async_)
            return failed
        self._take_over_sigint()
        try:
            with self.user_code():
                failed = await super().run_code(code_obj, result, async_=async_)
        except KeyboardInterrupt as error:
            if result is not None:
                result.error_in_exec = error
            self.showtraceback(running_compiled_code=True)
            return True
        if self._cancelled and result is not None:
            if isinstance(result.error_in_exec, asyncio.CancelledError):
                result.error_in_exec = KeyboardInterrupt()
            self._cancelled = False
        return failed

    def user_expressions(self, expressions: dict[str, str]) -> dict[str, Any]:
        """Evaluate expressions after a cell, interruptible like it."""
        if not expressions:
            return {}
        with self.user_code():
            evaluated: dict[str, Any] = super().user_expressions(expressions)
        return evaluated

    # -- what the user sees ------------------------------------------------------------------

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Draw an error without the frames of the machinery, an interrupted await as an interrupt."""
        _, value, trace = exc_tuple or sys.exc_info()
        if trace is not None:
            _hide_internal_tail(trace)
        if self._cancelled and isinstance(value, asyncio.CancelledError):
            exc_tuple = (KeyboardInterrupt, KeyboardInterrupt(), trace)
        super().showtraceback(exc_tuple, *args, **kwargs)

    def ask_exit(self) -> None:
        """Say how an engine is ended, and go on."""
        self.keepkernel_on_exit = None
        sys.stderr.write(
            "exit() and quit() do not end an engine: use %cluster remove NUMBER to end it, "
            "or %cluster restart NUMBER for a fresh one.\n"
        )


class _Outcomes(threading.local):
    """Of the main thread and of each subshell."""

    last: ExecutionResult | None = None


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _nothing() -> None:
    """Wakes the loop."""


def _runs_below(frame: FrameType | None, code: CodeType) -> bool:
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def _hide_internal_tail(trace: TracebackType) -> None:
    """Cut the innermost frames from ours or ipykernel's on: what they were called for is the user's line.

    What those called in turn (`PLUMBING`) goes with them; called by the user, it stays.
    """
    last = trace
    cut = False
    entry = trace.tb_next
    while entry is not None:
        name = entry.tb_frame.f_globals.get("__name__", "")
        cut = name.startswith(INTERNAL) or (cut and name.startswith(PLUMBING))
        if not cut:
            last = entry
        entry = entry.tb_next
    last.tb_next = None


def _draw_group(
    shell: Any, kind: type[BaseException], value: BaseException, trace: Any, tb_offset: int | None = None
) -> list[str]:
    """Draw an exception group as Python does, from the frame of the cell on."""
    shown = trace.tb_next if trace is not None and trace.tb_next is not None else trace
    lines = "".join(traceback.format_exception(kind, value, shown)).splitlines()
    getattr(shell, seams.SHOW_TRACEBACK)(kind, value, lines)
    return lines
