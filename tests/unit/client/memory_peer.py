"""A controller with one engine in this process, behind the codec: what a client's calls meet when no process runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future as PlainFuture
from inspect import iscoroutine
from typing import Any

from nbcluster.client.calls import Calls
from nbcluster.client.fleet import Fleet
from nbcluster.client.options import Options, make_options
from nbcluster.client.submitting import Submission
from nbcluster.errors import NBClusterError, ValueReleased
from nbcluster.ids import EngineNumber, Incarnation, TaskId
from nbcluster.payload.errors import dump_exception
from nbcluster.payload.functions import FunctionLoader
from nbcluster.payload.values import dump_value, load_args, load_value
from nbcluster.protocol import calls as c
from nbcluster.protocol import codec
from nbcluster.protocol import messages as m
from nbcluster.protocol.outcomes import Returned, Threw, Withdrawn
from nbcluster.protocol.status import EngineStatus


def engine(number: int = 0, **fields: Any) -> EngineStatus:
    """An engine that is ready and takes calls, unless told otherwise."""
    known: dict[str, Any] = {
        "state": "idle",
        "host": "here",
        "kernel": "python",
        "language": "python",
        "can_call": True,
    }
    return EngineStatus(EngineNumber(number), Incarnation(number + 1), **(known | fields))


class MemoryPeer:
    """Stands where a Connection stands; each message goes through the codec.

    Attributes
    ----------
    sent : list
        All messages that came, in order.
    held : bool
        Whether calls wait until `run` is called.
    accepting : bool
        Whether SubmitCalls are answered; otherwise when `accept` is called.
    """

    id = "c0ffee00c0ffee00"

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.sent: list[Any] = []
        self.held = False
        self.accepting = True
        self.home_limit = c.HOME_LIMIT
        self.released: list[TaskId] = []
        self.calls = Calls("a test")
        self.functions: dict[str, bytes] = {}
        self.values: dict[TaskId, tuple[bytes, list[bytes]]] = {}
        self._unaccepted: list[tuple[asyncio.Future[Any], int]] = []
        self._waiting: list[tuple[c.CallSpec, c.CallOptions, list[Any]]] = []
        self._loader = FunctionLoader()
        self.namespace: dict[str, Any] = {"__builtins__": __builtins__}
        self.fleet = Fleet()
        self.fleet.replace([engine()])
        self.calls.attach(self, "memory", "/memory")  # type: ignore[arg-type]  # it stands for one

    def submission(self, **options: Any) -> Submission:
        """What submits under options."""
        return Submission(self.calls, self.fleet, make_options(**options) if options else Options())

    # -- what a Connection offers -------------------------------------------------------------

    def tell(self, request: Any) -> None:
        request = codec.decode_request(codec.encode(request)[1])
        self.sent.append(request)
        assert isinstance(request, c.ReleaseValues)
        self.released += request.tasks
        for task in request.tasks:
            self.values.pop(task, None)

    def post(self, request: Any, buffers: Sequence[Any] = ()) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self.loop.create_future()
        request = codec.decode_request(codec.encode(request)[1])
        self.sent.append(request)
        match request:
            case c.SubmitCalls():
                self._submit(request, [bytes(buffer) for buffer in buffers])
                self._unaccepted.append((answer, len(request.calls)))
                if self.accepting:
                    self.accept()
            case m.CancelTasks(tasks, reason):
                stopped = [entry for entry in self._waiting if entry[0].task in tasks]
                self._waiting = [entry for entry in self._waiting if entry[0].task not in tasks]
                answer.set_result((m.Done(), ()))
                self._tell([c.CallDone(spec.task, None, 0, Withdrawn(reason)) for spec, _, _ in stopped])
            case c.FetchValue(task):
                if task in self.values:
                    payload, frames = self.values[task]
                    sizes = tuple(map(len, frames))
                    answer.set_result((c.ValueBytes(payload, sizes), frames))
                else:
                    answer.set_exception(ValueReleased(f"the value of {task} is not kept any more"))
            case _:
                answer.set_result((m.Done(), ()))
        return answer

    def post_then(self, request: Any, answered: Any, buffers: Sequence[Any] = ()) -> str:
        def done(future: asyncio.Future[Any]) -> None:
            error = future.exception()
            answered(future.result() if error is None else error)

        self.post(request, buffers).add_done_callback(done)
        return "m1"

    async def ask(self, request: Any, kind: type[Any], *, timeout: float | None = None) -> Any:
        return (await self.ask_for_buffers(request, kind, timeout=timeout))[0]

    async def ask_for_buffers(self, request: Any, kind: type[Any], *, timeout: float | None = None) -> Any:
        if isinstance(request, c.Explain):
            return m.LogText(f"{request.task} is in a test"), ()
        return await self.post(request)

    # -- what a controller does ---------------------------------------------------------------

    def accept(self) -> None:
        """Answer the submissions that wait for it."""
        waiting, self._unaccepted = self._unaccepted, []
        for answer, count in waiting:
            answer.set_result((c.CallsAccepted(count), ()))

    def lose(self, error: NBClusterError) -> None:
        """The controller is gone."""
        self.calls.end(error)

    def begin(self, future: Any) -> None:
        """Tell that a call runs."""
        self._notice(c.CallsBegun((c.CallBegun(future.task, EngineNumber(0), 1, 1.0),)))

    def print(self, future: Any, text: str) -> None:
        """Tell that a call printed."""
        from msgspec import msgpack

        pieces = msgpack.encode((c.OutputPiece("stdout", text),))
        self._notice(c.CallOutput(future.task, EngineNumber(0), 1, pieces))

    def run(self, count: int | None = None) -> None:
        """Run calls that wait, and tell how they ended in one message."""
        waiting, self._waiting = self._waiting[:count], self._waiting[count:] if count is not None else []
        self._tell([self._run(spec, options, frames) for spec, options, frames in waiting])

    @property
    def waiting(self) -> int:
        """How many calls wait to be run."""
        return len(self._waiting)

    def _submit(self, message: c.SubmitCalls, frames: list[bytes]) -> None:
        self.functions |= message.functions
        for spec in message.calls:
            assert spec.function in self.functions, "a function came before the first call of it"
            own, frames = frames[: len(spec.sizes)], frames[len(spec.sizes) :]
            assert tuple(map(len, own)) == spec.sizes
            self._waiting.append((spec, message.options[spec.options], own))
        if not self.held:
            self.loop.call_soon(self.run)

    def _run(self, spec: c.CallSpec, options: c.CallOptions, frames: list[bytes]) -> c.CallDone:
        try:
            loaded = self._loader.load(spec.function, self.functions[spec.function], self.namespace)
            inputs = {task: load_value(*self.values[task]) for task in spec.inputs}
            args, kwargs = load_args(spec.payload, frames, inputs, self.namespace, self._loader)
            value = loaded(*args, **kwargs)
            if iscoroutine(value):
                value = _run_elsewhere(value)
            dumped = dump_value(value)
        except Exception as error:
            threw: Threw = dump_exception(error)
            return c.CallDone(spec.task, EngineNumber(0), 1, threw, 1.0, 1e-5)
        buffers = [bytes(buffer.raw()) for buffer in dumped.buffers]
        self.values[spec.task] = dumped.payload, buffers
        nbytes = len(dumped.payload) + sum(map(len, buffers))
        home = nbytes <= self.home_limit and not options.keep
        payload = dumped.payload if home else None
        return c.CallDone(spec.task, EngineNumber(0), 1, Returned(nbytes, home), 1.0, 1e-5, payload)

    def _tell(self, ends: list[c.CallDone]) -> None:
        if ends:
            self._notice(c.CallsDone(tuple(ends)))

    def _notice(self, notice: Any) -> None:
        self.calls.handle(codec.decode_from_controller(codec.encode(notice)[1]))  # type: ignore[arg-type]


def _run_elsewhere(work: Any) -> Any:
    result: PlainFuture[Any] = PlainFuture()

    def run() -> None:
        try:
            result.set_result(asyncio.run(work))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run).start()
    return result.result(5)


class Loop:
    """A loop on a thread of its own with a peer on it, for tests of what blocks."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

        async def make() -> MemoryPeer:
            return MemoryPeer()

        self.peer: MemoryPeer = asyncio.run_coroutine_threadsafe(make(), self.loop).result(5)

    def do(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function on the loop and return what it returns."""

        async def call() -> Any:
            return function(*args)

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(5)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()
