"""Turns exceptions into outcomes that can be sent, and back. Knows no sockets and no kernels.

Each exception of a chain is pickled by itself, so that one that cannot be does not take the others with it.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

from nbcluster.errors import RemoteError, RemoteTraceback
from nbcluster.payload.functions import FunctionDumper, FunctionLoader
from nbcluster.payload.values import dump_value, load_value
from nbcluster.protocol.outcomes import Threw

_HERE = str(Path(__file__).parent.parent)
_LONGEST_CHAIN = 20


def is_carried(kind: type[BaseException]) -> bool:
    """Whether an exception of this class must not be raised raw in a notebook: it would mean something else there."""
    return not issubclass(kind, Exception) or issubclass(
        kind, CancelledError | StopIteration | StopAsyncIteration
    )


def dump_exception(
    error: BaseException, drawn: Sequence[str] | None = None, functions: FunctionDumper | None = None
) -> Threw:
    """Return an exception as an outcome.

    Parameters
    ----------
    error : BaseException
        Kept with its causes, contexts and notes.
    drawn : sequence of str, optional
        The lines of its traceback as the kernel draws it; by default Python's own, without nbcluster's frames.
    functions : FunctionDumper, optional
        Dumps classes of the notebook.
    """
    lines = tuple(drawn) if drawn is not None else tuple(_draw(error))
    ename, evalue = type(error).__name__, _text(error)
    if is_carried(type(error)):
        return Threw(ename, evalue, lines, unsent=f"a {ename} is not raised in the notebook")
    links = []
    unsent = ""
    for at, link in enumerate(_chain(error)):
        try:
            links.append(_dump(link, functions))
        except Exception as reason:
            if at == 0:
                return Threw(ename, evalue, lines, unsent=f"{type(reason).__name__}: {reason}")
            unsent = f"a cause of it, {type(link).__name__}, could not be sent: {reason}"
            stand_in = RemoteError(type(link).__name__, _text(link))
            links.append(_dump(stand_in, functions))
    return Threw(ename, evalue, lines, pickle.dumps(links, 5), unsent)


def load_exception(
    threw: Threw,
    engine: int | None = None,
    namespace: dict[str, Any] | None = None,
    loader: FunctionLoader | None = None,
) -> BaseException:
    """Return the exception of an outcome, to be raised here.

    It has its own class where that can be, and a RemoteTraceback as its cause; what it was raised from, or while
    it was handled, is its `__context__`. Otherwise it is a RemoteError that says so in a note.
    """
    text = "\n".join(line.rstrip("\n") for line in threw.traceback)
    error: BaseException | None = None
    note = threw.unsent
    if threw.exception:
        try:
            error = _load(threw.exception, namespace, loader)
        except Exception as reason:
            note = f"it could not be made here: {reason}"
        if error is not None and is_carried(type(error)):
            error, note = None, f"a {threw.ename} is not raised in the notebook"
    if error is None:
        error = RemoteError(threw.ename, threw.evalue, threw.traceback, engine)
        if note:
            error.add_note(f"(not raised as {threw.ename}: {note})")
        return error
    context = error.__context__
    error.__cause__ = RemoteTraceback(
        text, engine
    )  # this also keeps the context from being drawn: the text has it
    error.__context__ = context
    return error


def _dump(error: BaseException, functions: FunctionDumper | None) -> bytes:
    """Pickle one exception so that it can be read: some have constructors that do not take their own args."""
    reason: Exception | None = None
    for shape in (error, _Rebuilt(error)):
        dumped = dump_value(shape, functions, f"the exception {type(error).__name__}")
        payload = pickle.dumps(
            (dumped.payload, [bytes(buffer.raw()) for buffer in dumped.buffers], error.__suppress_context__),
            5,
        )
        try:
            again = _load_link(payload, None, None)[0]
        except Exception as failure:
            reason = failure
            continue
        if type(again).__name__ == type(error).__name__ and again.args is not None:
            return payload
    raise reason or TypeError(f"a {type(error).__name__} becomes something else when it is unpickled")


class _Rebuilt:
    """Stands for an exception; unpickles as that exception, made without its constructor."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self._error), self._error.args, dict(vars(self._error)))


def rebuild(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """Make an exception without calling its constructor; pickles name this function."""
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(attributes)
    return error


def _load_link(
    payload: bytes, namespace: dict[str, Any] | None, loader: FunctionLoader | None
) -> tuple[BaseException, bool]:
    body, buffers, suppressed = pickle.loads(payload)  # noqa: S301  # the sender holds this cluster's key
    return load_value(body, buffers, namespace, loader, "the exception"), suppressed


def _load(payload: bytes, namespace: dict[str, Any] | None, loader: FunctionLoader | None) -> BaseException:
    first: BaseException | None = None
    last: BaseException | None = None
    for link in pickle.loads(payload):  # noqa: S301  # the sender holds this cluster's key
        try:
            error, _ = _load_link(link, namespace, loader)
        except Exception:
            if first is None:
                raise
            break  # its own text is in the traceback
        if last is None:
            first = error
        else:
            last.__context__ = error
        last = error
    assert first is not None, "a chain begins with the exception itself"
    return first


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and len(seen) < _LONGEST_CHAIN:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _draw(error: BaseException) -> list[str]:
    """Python's own traceback, without the frames of nbcluster that led to the user's code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE):
        trace = trace.tb_next
    lines = traceback.format_exception(type(error), error, trace)
    return [line for chunk in lines for line in chunk.splitlines()]


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:
        return f"<its text could not be made: {type(failure).__name__}>"
