"""What one call does: its function and arguments are loaded, its value is pickled or its error told. Knows no threads.

The steps run code of users, and so can raise anything.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from nbcluster.engine.capture import encodable
from nbcluster.engine.keeper import Keeper, NoRoom
from nbcluster.engine.namespaces import Namespaces
from nbcluster.engine.sharing import Sharing
from nbcluster.engine.store import Kept, Store
from nbcluster.engine.waiting import CallQueue, Waiting
from nbcluster.errors import ValueReleased
from nbcluster.payload.envelopes import Pickled, is_envelope
from nbcluster.payload.errors import dump_exception
from nbcluster.payload.functions import FunctionLoader, captured_visible
from nbcluster.payload.modules import MODULES
from nbcluster.payload.values import dump_value, load_args, load_value
from nbcluster.protocol.calls import HOME_LIMIT, KEPT_BY_CONTROLLER
from nbcluster.protocol.outcomes import CallOutcome, Rejected, Returned, Threw

OURS = ("nbcluster.engine.", "nbcluster.payload.")
"""Modules whose frames are not shown at the begin of a traceback."""


class Functions:
    """The bytes of functions that this engine was sent, by digest."""

    def __init__(self, loader: FunctionLoader) -> None:
        self.loader = loader
        self._payloads: dict[str, bytes] = {}

    def learn(self, functions: dict[str, bytes], forget: Sequence[str]) -> None:
        """Take functions that came, and forget those that are not needed any more."""
        for digest in forget:
            self._payloads.pop(digest, None)
        if forget:
            self.loader.forget(tuple(forget))
        self._payloads.update(functions)

    def __getitem__(self, digest: str) -> bytes:
        """Return the bytes of a function.

        Raises
        ------
        ValueReleased
            When they never came, or were forgotten.
        """
        try:
            return self._payloads[digest]
        except KeyError:
            raise ValueReleased(f"this engine was not sent the function with the digest {digest}") from None


class CallWork:
    """Does the work of calls; see runner.Work.

    Parameters
    ----------
    functions : Functions
        What the digests in orders stand for.
    namespaces : Namespaces
        Where calls run.
    store : Store
        Where values stay that do not ride home.
    sharing : Sharing
        Where large ones lie.
    keeper : Keeper
        Keeps them within bounds.
    queue : CallQueue
        Has the inputs that came for a call.
    note : callable
        Takes the last exception of a user's call, for the debugger.
    """

    def __init__(
        self,
        functions: Functions,
        namespaces: Namespaces,
        store: Store,
        sharing: Sharing,
        keeper: Keeper,
        queue: CallQueue,
        note: Callable[[BaseException], None],
    ) -> None:
        self._functions = functions
        self._namespaces = namespaces
        self._store = store
        self._sharing = sharing
        self._keeper = keeper
        self._queue = queue
        self._note = note
        self._visible: captured_visible | None = None

    def start(self, waiting: Waiting) -> Any:
        """Make the arguments and call the function; return its value, or a coroutine that will."""
        order = waiting.order
        functions = self._functions
        names = self._namespaces[waiting.options.namespace].names
        loaded = functions.loader.load(order.function, functions[order.function], names)
        if not order.payload and loaded.scope is None:
            return loaded.function()
        # Noted first: an interrupt may come at any point from here on, and what was entered must be left.
        visible = self._visible = captured_visible(loaded.scope)
        visible.__enter__()
        inputs = self._load_inputs(waiting, names) if order.inputs else None
        payload, buffers = self._sharing.opened(order.payload, waiting.buffers)
        args, kwargs = load_args(payload, buffers, inputs, names, functions.loader)
        return loaded.function(*args, **kwargs)

    def _load_inputs(self, waiting: Waiting, names: dict[str, Any]) -> dict[str, Any]:
        came = self._queue.inputs_of(waiting)
        loader = self._functions.loader
        values: dict[str, Any] = {}
        for input in waiting.order.inputs:
            kept: Kept | str | None
            if input.payload is not None and not is_envelope(input.payload):
                kept = Kept(input.payload)
            elif input.here:
                kept = (
                    self._store.get(input.task) or f"the value of {input.task} is not on this engine any more"
                )
            else:
                kept = came.get(input.task, f"the value of {input.task} never came")
            if isinstance(kept, str):
                raise InputMissing(kept)
            what = f"the value of {input.task}"
            payload, buffers = self._sharing.opened(kept.payload, kept.buffers)
            values[input.task] = load_value(payload, buffers, names, loader, what)
        return values

    def pack(self, waiting: Waiting, held: list[Any]) -> tuple[CallOutcome, bytes | None]:
        """Pickle the value; return the outcome, and what rides home with it: the bytes, or where they are shared."""
        value = held.pop()
        if type(value) is Pickled:
            kept = self._keeper.adopt(waiting.order.task, value.payload)
            return Returned(kept.nbytes, home=False), self._sharing.told(kept)
        dumped = dump_value(value)
        value = None  # its buffers are all that is left of it, unless somebody else has it too
        payload = dumped.payload
        goes_home = not dumped.buffers and len(payload) <= HOME_LIMIT and not waiting.options.keep
        if goes_home and len(payload) <= KEPT_BY_CONTROLLER:
            return Returned(len(payload)), payload
        # Also what rides home is kept, for calls that take it: the controller only passes it on.
        kept = self._keeper.keep(waiting.order.task, dumped)
        if word := self._keeper.word(time.monotonic()):
            sys.stderr.write(word)  # it belongs to the call's output
        return Returned(kept.nbytes, home=goes_home), payload if goes_home else self._sharing.told(kept)

    def explain(self, waiting: Waiting, error: BaseException) -> CallOutcome:
        """Return the outcome of a call that raised. Raises nothing."""
        if isinstance(error, InputMissing):
            return Rejected("ValueReleased", str(error))
        if isinstance(error, NoRoom):
            return Rejected("OutOfMemory", str(error))
        try:
            error.__traceback__ = _of_the_user(error.__traceback__)
            if isinstance(error, NameError) and error.name:
                vars(error)["name"] = error.name  # pickling takes along what is in the dict alone
            if not waiting.options.quiet:
                self._note(error)
            return _sendable(dump_exception(error))
        except BaseException as trouble:  # code of users runs here too: __str__, __reduce__
            said = f"(its text cannot be had: {type(trouble).__name__})"
            return _sendable(Threw(type(error).__name__, said, unsent=type(trouble).__name__))

    def put_aside(self) -> Any:
        """Let another call be started on top of the one that was; return what `take_up` needs."""
        visible, self._visible = self._visible, None
        return visible

    def take_up(self, aside: Any) -> None:
        """Go on with the call that was put aside."""
        self._visible = aside

    def end(self) -> None:
        """Let go of what belongs to the call that was started."""
        visible, self._visible = self._visible, None
        if visible is not None:
            with suppress(AttributeError):  # it was interrupted before it was entered
                visible.__exit__(None, None, None)
        MODULES.look()


class InputMissing(Exception):
    """The value of a Future that is an argument cannot be had."""


def _sendable(threw: Threw) -> Threw:
    texts = (threw.ename, threw.evalue, threw.unsent, *threw.traceback)
    if all(text.isascii() for text in texts):
        return threw
    ename, evalue, unsent, *lines = map(encodable, texts)
    return Threw(ename, evalue, tuple(lines), threw.exception, unsent)


def _of_the_user(trace: TracebackType | None) -> TracebackType | None:
    """Cut the outermost frames, which are ours, and the innermost: a signal's handler. None when all are ours."""
    while trace is not None and _is_ours(trace):
        trace = trace.tb_next
    last = entry = trace
    while entry is not None:
        if not _is_ours(entry):
            last = entry
        entry = entry.tb_next
    if last is not None:
        last.tb_next = None
    return trace


def _is_ours(entry: TracebackType) -> bool:
    return str(entry.tb_frame.f_globals.get("__name__", "")).startswith(OURS)
