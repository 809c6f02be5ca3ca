"""Calls on their way to the controller: many in one message, and no more than it takes. Knows no Futures.

Any thread puts calls in; the loop sends them. A thread that fills it wakes the loop once, however many calls it
puts in before the loop gets its turn, so that many calls cost one wake-up and one message.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from nbcluster.errors import NBClusterError
from nbcluster.ids import TaskId
from nbcluster.protocol import calls as c
from nbcluster.transport.frames import Buffer
from nbcluster.transport.sharedmem import Lease

BATCH_CALLS = 1_000
BATCH_BYTES = 4 << 20
"""What one message holds at most; a call is never split."""

WINDOW_CALLS = 20_000
WINDOW_BYTES = 64 << 20
"""What the controller may not have acknowledged at most."""

UNSENT_CALLS = 20_000
UNSENT_BYTES = 64 << 20
"""What waits here at most before whoever submits has to wait."""

COUNTED_FROM = 1_024
"""Smaller calls are bounded by their number."""

SWEEP_EVERY = 0.05
"""Seconds in which dropped Futures are gathered."""


class Kind:
    """What the calls of one sort have in common; one object for each sort, since it is looked up by identity."""

    __slots__ = ("options",)

    def __init__(self, options: c.CallOptions) -> None:
        self.options = options


class Parcel(NamedTuple):
    """One call as it waits to be sent."""

    kind: Kind
    task: TaskId
    digest: str
    function: bytes
    payload: bytes
    buffers: Sequence[Buffer]
    inputs: tuple[TaskId, ...]
    after: tuple[TaskId, ...]
    key: str
    nbytes: int
    """What travels."""
    lease: Lease | None = None
    """What keeps arguments in shared memory."""
    envelope: bytes = b""
    """See CallSpec."""


class Post(Protocol):
    """What an outbox needs of a connection."""

    def post_then(
        self, request: c.SubmitCalls, answered: Callable[[Any], object], buffers: Sequence[Buffer] = ()
    ) -> object:
        """Send a request; `answered` is called with its answer or its error."""

    def tell(self, request: c.ReleaseValues) -> None:
        """Send what is never answered."""


OnRefused = Callable[[list[TaskId], BaseException], None]


class Outbox:
    """Sends calls in batches.

    Parameters
    ----------
    on_refused : callable
        Called with the tasks of a message that the controller would not take, and why.
    """

    def __init__(self, on_refused: OnRefused) -> None:
        self._on_refused = on_refused
        self._loop: asyncio.AbstractEventLoop | None = None
        self._post: Post | None = None
        self._parcels: deque[Parcel] = deque()
        self._unsent_bytes = 0
        self._gone = 0
        """Calls that have left, sent or withdrawn: a call's place in the order is known by counting."""
        self._woken = False
        self._window_calls = 0
        self._window_bytes = 0
        self._remembered: dict[str, int] = {}
        """Sizes of the functions that the controller remembers, in the order in which they were sent."""
        self._remembered_bytes = 0
        self._lock = threading.Lock()
        """For the sum of bytes; never taken by `drop`, which may run in the middle of anything."""
        self._dropped: deque[TaskId] = deque()
        self._sweeping = False
        self._releases: deque[tuple[int, tuple[TaskId, ...]]] = deque()
        self._waiting: list[Callable[[], object]] = []

    def attach(self, post: Post) -> None:
        """Send over a connection, on the running loop, from now on."""
        self._post = post
        self._loop = asyncio.get_running_loop()
        self._remembered.clear()
        self._remembered_bytes = 0

    # -- from any thread ----------------------------------------------------------------------

    def put(self, parcels: Sequence[Parcel]) -> None:
        """Have calls sent soon. None of them leaves before all are in."""
        for parcel in parcels:
            if parcel.nbytes > COUNTED_FROM:
                with self._lock:
                    self._unsent_bytes += parcel.nbytes
        self._parcels.extend(parcels)
        if not self._woken:
            self._woken = True
            self._call_soon(self._flush)

    def drop(self, task: TaskId) -> None:
        """A Future is gone: let its value go, some time soon. Called by `__del__`, at any point of any thread."""
        self._dropped.append(task)
        if not self._sweeping:
            self._sweeping = True
            self._call_soon(self._sweep_later)

    @property
    def has_room(self) -> bool:
        """Whether whoever submits need not wait."""
        return len(self._parcels) < UNSENT_CALLS and self._unsent_bytes < UNSENT_BYTES

    @property
    def unsent(self) -> int:
        """How many calls wait to be sent."""
        return len(self._parcels)

    def tell_room(self, tell: Callable[[], object]) -> None:
        """Have a function called once there is room, on the loop or at once."""
        self._waiting.append(tell)
        if self.has_room or self._post is None:
            self._tell_waiting()

    def _call_soon(self, function: Callable[[], object]) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed: the process ends, and nothing can be sent any more
            return

    # -- on the loop --------------------------------------------------------------------------

    def withdraw(self, tasks: set[TaskId] | None) -> list[TaskId]:
        """Take back calls that were not sent, None for all; return which."""
        kept: list[Parcel] = []
        taken: list[TaskId] = []
        for _ in range(len(self._parcels)):
            parcel = self._parcels.popleft()
            if tasks is None or parcel.task in tasks:
                taken.append(parcel.task)
                self._leave(parcel)
            else:
                kept.append(parcel)
        self._parcels.extendleft(reversed(kept))
        self._tell_waiting()
        return taken

    async def wait_gone(self) -> None:
        """Wait until every call that was put in has left; most often there is none."""
        last = self._gone + len(self._parcels)
        while self._gone < last and self._post is not None:
            self._flush()
            if self._gone < last:
                await asyncio.sleep(0.005)

    async def wait_sent(self) -> None:
        """Wait until every call that was put in has been acknowledged."""
        while (self._parcels or self._window_calls) and self._post is not None:
            self._flush()
            await asyncio.sleep(0.005)

    def close(self) -> list[TaskId]:
        """Send nothing any more; return what was not sent."""
        left = [parcel.task for parcel in self._parcels]
        self._parcels.clear()
        self._unsent_bytes = 0
        self._post = None
        self._tell_waiting()
        return left

    def _flush(self) -> None:
        self._woken = False
        while (
            self._parcels and self._window_calls < WINDOW_CALLS and self._window_bytes < WINDOW_BYTES
        ) and self._post is not None:
            self._send_batch(self._post)
        self._send_releases()
        if self._waiting and self.has_room:
            self._tell_waiting()

    def _send_batch(self, post: Post) -> None:
        parcels, nbytes = self._take_batch()
        kinds: dict[Kind, int] = {}
        functions: dict[str, bytes] = {}
        specs = []
        frames: list[Buffer] = []
        for parcel in parcels:
            index = kinds.setdefault(parcel.kind, len(kinds))
            if parcel.digest not in functions:
                self._name_function(parcel, functions)
            sizes: tuple[int, ...] = ()
            if parcel.buffers:
                frames += parcel.buffers
                sizes = tuple(memoryview(buffer).nbytes for buffer in parcel.buffers)
            specs.append(
                c.CallSpec(
                    parcel.task,
                    index,
                    parcel.digest,
                    parcel.payload,
                    sizes,
                    parcel.inputs,
                    parcel.after,
                    parcel.key,
                    parcel.lease.nbytes if parcel.lease is not None else 0,
                    parcel.envelope,
                )
            )
        message = c.SubmitCalls(tuple(kind.options for kind in kinds), tuple(specs), functions)
        self._window_calls += len(parcels)
        self._window_bytes += nbytes
        tasks = [parcel.task for parcel in parcels]
        post.post_then(message, lambda answer: self._answered(answer, tasks, nbytes), frames)

    def _take_batch(self) -> tuple[list[Parcel], int]:
        parcels: list[Parcel] = []
        nbytes = 0
        room = min(BATCH_CALLS, WINDOW_CALLS - self._window_calls)
        while self._parcels and len(parcels) < room and nbytes < BATCH_BYTES:
            parcel = self._parcels.popleft()
            self._leave(parcel)
            nbytes += parcel.nbytes
            parcels.append(parcel)
        return parcels, nbytes

    def _leave(self, parcel: Parcel) -> None:
        self._gone += 1
        if parcel.nbytes > COUNTED_FROM:
            with self._lock:
                self._unsent_bytes -= parcel.nbytes

    def _name_function(self, parcel: Parcel, functions: dict[str, bytes]) -> None:
        if parcel.digest in self._remembered:
            return
        functions[parcel.digest] = parcel.function
        self._remembered[parcel.digest] = len(parcel.function)
        self._remembered_bytes += len(parcel.function)
        while self._remembered_bytes > c.FUNCTIONS_KEPT and len(self._remembered) > 1:
            self._remembered_bytes -= self._remembered.pop(next(iter(self._remembered)))

    def _answered(self, answer: object, tasks: list[TaskId], nbytes: int) -> None:
        self._window_calls -= len(tasks)
        self._window_bytes -= nbytes
        if isinstance(answer, NBClusterError) and self._post is not None:
            self._on_refused(tasks, answer)
        if self._parcels or self._releases or self._waiting:
            self._flush()

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell()

    # -- dropped Futures ----------------------------------------------------------------------

    def _sweep_later(self) -> None:
        if self._loop is not None:
            self._loop.call_later(SWEEP_EVERY, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        dropped = tuple(self._dropped.popleft() for _ in range(len(self._dropped)))
        # What is let go was put in before: it goes behind all that is here now.
        self._releases.append((self._gone + len(self._parcels), dropped))
        self._send_releases()

    def _send_releases(self) -> None:
        while self._releases and self._releases[0][0] <= self._gone and self._post is not None:
            _, tasks = self._releases.popleft()
            self._post.tell(c.ReleaseValues(tasks))
