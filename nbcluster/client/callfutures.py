"""The Future of a call, and the one of calls on several engines. Knows how calls end, not how they travel."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import msgpack, structs

from nbcluster.client.futures import EXPLAIN_PATIENCE, Future
from nbcluster.client.outbox import Kind
from nbcluster.client.outcomes import exception_of
from nbcluster.client.packing import unpack_value
from nbcluster.client.remote import find_future, many
from nbcluster.client.texts import Texts
from nbcluster.core.durations import duration
from nbcluster.errors import EngineErrors, NBClusterError, ResultTooLarge, TaskCancelled, ValueReleased
from nbcluster.ids import TaskId
from nbcluster.payload.envelopes import is_envelope
from nbcluster.payload.sizes import readable
from nbcluster.protocol import calls as c
from nbcluster.protocol.outcomes import OutOfTime, Rejected, Returned, Threw, Withdrawn
from nbcluster.transport.frames import Buffer

if TYPE_CHECKING:
    from nbcluster.client.calls import Calls

FREED_FROM = 1_024
"""Bytes of a pickled value from which it is let go once it is unpickled."""

_UNLOADED: Any = object()
_pieces = msgpack.Decoder(tuple[c.OutputPiece, ...])
_texts_lock = threading.Lock()  # one for all: few calls print, and who asks for it is another thread


class CallFuture(Future):
    """The Future of a call.

    `result()` unpickles in the thread that asks, brings a large value here first, and keeps it. Dropping the Future
    lets the value go on the cluster, never the call. A pickled Future owns nothing: where it is unpickled it
    finds its value by cluster and key, or raises ValueReleased.
    """

    _end: c.CallDone | None = None
    _begun: c.CallBegun | None = None
    _stopping = False
    _submitted: float | None = None
    _loaded: Any = _UNLOADED
    _brought: tuple[bytes, Sequence[Buffer]] | None = None
    _bringing: concurrent.futures.Future[tuple[bytes, Sequence[Buffer]]] | None = None
    _text: Texts | None = None
    _progress: Mapping[str, Any] = {}
    _owns = True
    is_planned = False
    """Whether it waits in a graph to be sent."""

    def be_sent(self) -> None:
        """See that the cluster knows it, so that it can be an argument; UsageError when it does not."""

    def __init__(self, calls: Calls, task: TaskId, kind: Kind, key: str = "") -> None:
        super().__init__()
        self._calls = calls
        self._kind = kind
        self._key = key
        self._submitted = time.time()
        self.task = task

    def __del__(self) -> None:
        # May run at any point of any thread: it only notes the task.
        if self._owns:
            self._calls.drop(self.task)

    # -- what is known ------------------------------------------------------------------------

    @property
    def what(self) -> str:
        """The call in a few words."""
        return self._kind.options.label or self.key

    @property
    def key(self) -> str:
        """The user's name for it, else its id."""
        return self._key or self.task

    @property
    def status(self) -> str:
        """queued, running, stopping, done, failed or cancelled."""
        end = self._end
        if end is not None:
            match end.outcome:
                case Returned():
                    return "done"
                case Withdrawn():
                    return "cancelled"
                case _:
                    return "failed"
        if self.done():
            return "lost"
        if self._stopping:
            return "stopping"
        return "running" if self._begun is not None else "queued"

    @property
    def engine(self) -> int | None:
        """The engine that runs or ran it; None while it is queued (and when it never ran)."""
        known = self._end or self._begun
        return known.engine if known is not None else None

    @property
    def end(self) -> c.CallDone | None:
        """How it ended, as the controller told it."""
        return self._end

    @property
    def output(self) -> str:
        """What it printed and displayed so far, as text."""
        end = self._end
        if end is not None and end.output:
            self.add_output(b"")
        return str(self._text) if self._text is not None else ""

    @property
    def progress(self) -> Mapping[str, Any]:
        """What `report()` said last in it."""
        return self._progress

    @property
    def record(self) -> c.TaskRecord:
        """What is known of it here: state, engine, attempt, times, size."""
        end, begun, options = self._end, self._begun, self._kind.options
        known = end or begun
        error = self._error() if self.done() else None
        started = (end.started if end is not None else begun.since if begun is not None else 0.0) or None
        return c.TaskRecord(
            self.task,
            key=self._key,
            label=options.label,
            state=self.status,
            owner=self._calls.label,
            engine=known.engine if known is not None else None,
            attempt=known.attempt if known is not None else 0,
            submitted=self._submitted,
            started=started,
            ended=started + end.seconds if started and end is not None else None,
            seconds=end.seconds if end is not None and started else None,
            nbytes=end.outcome.nbytes if end is not None and isinstance(end.outcome, Returned) else None,
            error="" if error is None else f"{type(error).__name__}: {error}",
            progress=dict(self.progress),
        )

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that completes it, and on which it cannot be waited for."""
        return self._calls.loop

    @property
    def address(self) -> tuple[str, str]:
        """Name and connection file of its cluster."""
        return self._calls.address

    def explain(self, timeout: float = 10) -> str:
        """Say in a sentence why it is where it is."""
        return self._calls.here(self._calls.explain(self.task), timeout, f"word of {self.what}")

    # -- ends ---------------------------------------------------------------------------------

    def ask_to_stop(self, reason: str, *, force: bool = False) -> None:
        """Ask that it be withdrawn or interrupted; does not wait."""
        self._stopping = True
        self._calls.stop_soon((self.task,), reason, force=force)

    def begin(self, begun: c.CallBegun) -> None:
        """Note that an engine runs it."""
        self._begun = begun

    def complete(self, end: c.CallDone) -> None:
        """Note how it ended."""
        self._end = end
        self._finish(failed=type(end.outcome) is not Returned)

    def add_report(self, values: Mapping[str, Any]) -> None:
        """Note what `report()` said last in it."""
        self._progress = values

    def add_output(self, pieces: bytes) -> None:
        """Note what it printed while it runs, or what threads print that it has left behind."""
        with _texts_lock:
            if self._text is None:
                self._text = Texts()
            end = self._end
            if end is not None and end.output:
                self._text.add(_pieces.decode(end.output))
                self._end = structs.replace(end, output=b"")
            if pieces:
                self._text.add(_pieces.decode(pieces))

    def _hold(self) -> None:
        self._calls.hold(self)

    def _error(self) -> BaseException | None:
        if self._exception is None and self._end is not None:
            end = self._end
            error = exception_of(end.outcome, self.what, end.engine)
            if isinstance(end.outcome, Rejected) and end.outcome.cause is not None and error is not None:
                error.__cause__ = self._calls.failure_of(end.outcome.cause)
            self._exception = error
        return self._exception

    def _value(self, until: float | None) -> Any:
        if self._loaded is _UNLOADED:
            end = self._end
            assert end is not None, "it is done, and has not failed"
            self._refuse_too_large(end)
            if end.payload is not None and not is_envelope(end.payload):
                value = unpack_value(end.payload, (), self.what)
                if len(end.payload) >= FREED_FROM:
                    self._end = structs.replace(end, payload=None)
            else:
                payload, buffers = self._brought or self._mapped() or self._fetch_here(until)
                value = unpack_value(payload, buffers, self.what)
                self._brought = None
            # Of two threads that ask at once, the second gets what the first has loaded.
            if self._loaded is _UNLOADED:
                self._loaded = value
        return self._loaded

    def _refuse_too_large(self, end: c.CallDone) -> None:
        limit = self._calls.result_limit
        nbytes = end.outcome.nbytes if isinstance(end.outcome, Returned) else 0
        if limit is not None and nbytes > limit:
            where = "the cluster" if end.engine is None else f"engine {end.engine}"
            raise ResultTooLarge(
                f"the value of {self.what} has {readable(nbytes)}, more than the {readable(limit)} of "
                f"cluster.result_limit; it stays on {where}: give the Future to another call, which brings back less, "
                "or raise the limit"
            )

    @property
    def is_away(self) -> bool:
        """Whether it has a value that is not here yet, and may come."""
        end = self._end
        limit = self._calls.result_limit
        return (
            end is not None
            and (limit is None or (isinstance(end.outcome, Returned) and end.outcome.nbytes <= limit))
            and isinstance(end.outcome, Returned)
            and (end.payload is None or is_envelope(end.payload))
            and self._loaded is _UNLOADED
            and self._brought is None
        )

    def _mapped(self) -> tuple[bytes, Sequence[Buffer]] | None:
        """Map a value that lies in shared memory where its end said; None when it has to be asked for."""
        end = self._end
        if end is None or end.payload is None or not self._calls.sharing.is_on:
            return None
        try:
            return self._calls.sharing.opened(end.payload, ())
        except ValueReleased:  # it is on another host, or was moved since
            self._end = structs.replace(end, payload=None)
            return None

    def _fetch_here(self, until: float | None) -> tuple[bytes, Sequence[Buffer]]:
        self._refuse_wait_on_its_loop()
        bringing = self.bring_soon()
        assert bringing is not None, "it is away"
        left = None if until is None else max(0.0, until - time.monotonic())
        try:
            return bringing.result(left)
        except concurrent.futures.TimeoutError:
            if bringing.done():
                raise
            raise TimeoutError(
                f"{self.what} is done, and its value has not arrived in the time given; ask again"
            ) from None
        finally:
            if bringing.done():  # an error too is asked for anew the next time
                self._bringing = None

    def bring_soon(self) -> concurrent.futures.Future[tuple[bytes, Sequence[Buffer]]] | None:
        """Begin to bring a value that is not here; None when there is nothing to bring."""
        if self._bringing is None and self.is_away:
            self._brought = self._mapped()
            if self._brought is None:
                self._bringing = self._calls.from_any_thread(self._calls.fetch(self.task))
        return self._bringing

    async def _bring(self) -> None:
        if self.is_away:
            calls = self._calls
            self._brought = self._mapped()
            if self._brought is not None:
                return
            if asyncio.get_running_loop() is calls.loop:
                self._brought = await calls.fetch(self.task)
            else:
                self._brought = await asyncio.wrap_future(calls.from_any_thread(calls.fetch(self.task)))

    def why_waiting(self) -> str:
        """Where it is and why, as the controller says."""
        try:
            return f"{self.what}: {self.explain(EXPLAIN_PATIENCE)}"
        except (NBClusterError, TimeoutError, concurrent.futures.CancelledError):
            return super().why_waiting()

    def __reduce__(self) -> Any:
        return find_future, (*self.address, self.task, self._key, self._kind.options.label)

    def __repr__(self) -> str:
        where = "" if self.engine is None else f" on engine {self.engine}"
        end = self._end
        took = f" after {duration(end.seconds)}" if end is not None and end.started else ""
        why = ""
        if end is not None and not isinstance(end.outcome, Returned):
            why = f": {_short_error(end)}"
        return f"<Future of {self.what}: {self.status}{where}{took}{why}>"


def _short_error(end: c.CallDone) -> str:
    match end.outcome:
        case Threw(ename, evalue):
            text = f"{ename}: {evalue}"
        case OutOfTime(seconds):
            text = f"ran longer than {seconds:g} s"
        case Rejected(error, message):
            text = f"{error}: {message}"
        case outcome:
            text = getattr(outcome, "reason", "")
    first = text.strip().partition("\n")[0]
    return first if len(first) <= 100 else first[:99] + "…"


class ManyFuture(Future):
    """The Future of one thing done on several engines: `result()` is a dict by engine number."""

    def __init__(self, what: str, parts: Mapping[int, Future]) -> None:
        super().__init__()
        self._what = what
        self._parts = dict(sorted(parts.items()))
        self._left = len(self._parts)
        self._lock = threading.Lock()
        for part in self._parts.values():
            part.tell_when_done(self._part_ended)

    def _part_ended(self, _: object) -> None:
        with self._lock:
            self._left -= 1
            ended = self._left == 0
        if ended:
            self._finish(failed=any(part._error() is not None for part in self._parts.values()))

    @property
    def parts(self) -> Mapping[int, Future]:
        """The Future of each engine, by number."""
        return self._parts

    @property
    def what(self) -> str:
        """What it is the Future of, in a few words."""
        return self._what

    @property
    def status(self) -> str:
        """queued, running, stopping, done, failed or cancelled."""
        states = {part.status for part in self._parts.values()}
        order = ("stopping", "running", "queued", "lost", "failed", "cancelled", "done")
        return next(state for state in order if state in states)

    @property
    def engine(self) -> tuple[int, ...]:
        """The numbers of the engines."""
        return tuple(self._parts)

    def why_waiting(self) -> str:
        """What the first part that has not ended waits for."""
        first = next((part for part in self._parts.values() if not part.done()), None)
        return super().why_waiting() if first is None else first.why_waiting()

    @property
    def key(self) -> tuple[str, ...]:
        """The id of each engine's part."""
        return tuple(part.key for part in self._parts.values() if isinstance(part, CallFuture))

    @property
    def output(self) -> str:
        """What was printed, labelled by engine."""
        texts = (
            (number, part.output) for number, part in self._parts.items() if isinstance(part, CallFuture)
        )
        return "".join(
            f"[{number}] {text}" + ("" if text.endswith("\n") else "\n") for number, text in texts if text
        )

    @property
    def record(self) -> dict[int, c.TaskRecord]:
        """What is known of each engine's part."""
        return {n: part.record for n, part in self._parts.items() if isinstance(part, CallFuture)}

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that completes it, and on which it cannot be waited for."""
        return next(iter(self._parts.values())).loop

    def explain(self, timeout: float = 10) -> str:
        """Say in a sentence for each engine why its part is where it is."""
        return "\n".join(
            f"engine {number}: {part.explain(timeout)}"
            for number, part in self._parts.items()
            if isinstance(part, CallFuture)
        )

    def ask_to_stop(self, reason: str, *, force: bool = False) -> None:
        """Ask that all parts be withdrawn or interrupted; does not wait."""
        for part in self._parts.values():
            if not part.done():
                part.ask_to_stop(reason, force=force)

    def _error(self) -> BaseException | None:
        if self._exception is None:
            errors: dict[int, Exception] = {}
            for number, part in self._parts.items():
                error = part._error()
                if isinstance(error, Exception):
                    errors[number] = error
            self._exception = combined(self._what, errors, len(self._parts))
        return self._exception

    def _value(self, until: float | None) -> dict[int, Any]:
        for part in self._parts.values():
            if isinstance(part, CallFuture):
                part.bring_soon()
        return {number: part._value(until) for number, part in self._parts.items()}

    async def _bring(self) -> None:
        await asyncio.gather(*(part._bring() for part in self._parts.values()))

    def __reduce__(self) -> Any:
        return many, (self._what, self._parts)

    def __repr__(self) -> str:
        engines = ", ".join(map(str, self._parts))
        return f"<Future of {self._what} on engines {engines}: {self.status}>"


def combined(what: str, errors: Mapping[int, Exception], count: int) -> Exception | None:
    """Return the one error of a thing done on several engines, None when there is none."""
    if not errors:
        return None
    if len(errors) == count and all(isinstance(error, TaskCancelled) for error in errors.values()):
        return next(iter(errors.values()))
    where = f"{len(errors)} of {count} engines" if len(errors) < count else "every engine"
    return EngineErrors(f"{what} failed on {where}", dict(errors))
