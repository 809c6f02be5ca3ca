"""One client's connection to a controller: requests with answers, notices, and the knowledge that it still lives.

Knows no cells and no engines. Every wait on it ends: in an answer, in a refusal, or in ControllerLost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import socket
from collections.abc import Callable, Sequence
from typing import TypeVar

import zmq

from nbcluster.errors import BY_NAME, ControllerLost, NBClusterError
from nbcluster.ids import ClientId
from nbcluster.protocol import codec
from nbcluster.protocol import messages as m
from nbcluster.protocol.calls import CallsAccepted, CallsDone, weight
from nbcluster.transport.ends import connect_port
from nbcluster.transport.frames import Buffer
from nbcluster.transport.rendezvous import DYING, ConnectionFile
from nbcluster.transport.wire import Arrival, Wire
from nbcluster.transport.zmqports import Curve
from nbcluster.version import __version__

log = logging.getLogger(__name__)

A = TypeVar("A", bound=m.Answer)
Answered = tuple[m.Answer, Sequence[Buffer]]
"""An answer and the buffers that came with it."""

OnAnswer = Callable[[Answered | NBClusterError], object]
"""Takes an answer, or the refusal or loss that came in its place; must not raise."""

OnNotice = Callable[[m.Notice, Sequence[Buffer]], None]

BEAT_INTERVAL = 4.0
"""Seconds between beats; a controller that leaves two unanswered counts as lost."""

ACKNOWLEDGE_EVERY = 16 << 20
"""Bytes of output after which the controller is told that they were taken, between beats."""

DISCONNECT_PATIENCE = 3.0
"""Seconds that a broken connection has to come back."""

DYING_SLOWLY = 1.0
"""Seconds more that a process on a busy host has to end after its connection, before it is said to live without it."""


def not_wanted(answer: Answered | NBClusterError) -> None:
    """Nobody waits for this answer."""


class Connection:
    """A connection on the running loop.

    Parameters
    ----------
    file : ConnectionFile
    label : str
        How the controller names this client to others.
    on_notice : callable
        Called with each notice and its buffers.
    on_lost : callable
        Called once when the controller is lost or has said that it stops, with the error.
    inside : bool
        Whether this serves the tasks on an engine of the cluster.
    """

    def __init__(
        self,
        file: ConnectionFile,
        label: str,
        on_notice: OnNotice,
        on_lost: Callable[[NBClusterError], None],
        *,
        inside: bool = False,
    ) -> None:
        self.file = file
        self._inside = inside
        self.label = label
        self.id = ClientId(os.urandom(12).hex())
        self._on_notice = on_notice
        self._on_lost = on_lost
        self._pending: dict[str, OnAnswer] = {}
        self._received = 0
        self._acknowledged = 0
        self._lost: NBClusterError | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()  # costs nothing while it has no socket
        curve = None
        if file.curve_publickey:
            public, secret = zmq.curve_keypair()
            curve = Curve(public, secret, file.curve_publickey.encode())
        try:
            port = connect_port(self._context, file.url, self.id.encode(), curve)
        except OSError as error:
            self._context.term()
            raise self._gone("ended" if file.is_stale() else f"cannot be reached ({error})") from error
        self._wire: Wire[m.FromController] = Wire(
            port, file.key.encode(), codec.decode_from_controller, self._arrived, on_gone=self._disconnected
        )
        self._beating: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[None] | None = None

    async def open(self, timeout: float) -> m.ClusterStatus:
        """Say hello; return the cluster's status.

        Raises
        ------
        ControllerLost
            When nothing answers in time.
        VersionMismatch
            When the controller speaks another version.
        """
        hello = m.Hello(
            self.id,
            self.label,
            version=__version__,
            python=platform.python_version(),
            host=socket.gethostname() if self.file.is_here() else "",
            pid=os.getpid(),
            inside=self._inside,
        )
        try:
            welcome = await self.ask(hello, m.Welcome, timeout=timeout)
        except TimeoutError:
            raise ControllerLost(
                f"the controller of {self.file.name!r} (process {self.file.pid} on {self.file.host}) did not "
                f"answer within {timeout:g} s; if it hangs, end it with `nbcluster stop {self.file.name}`"
            ) from None
        self._beating = asyncio.create_task(self._beat())
        return welcome.status

    async def ask(
        self,
        request: m.Request,
        kind: type[A],
        *,
        timeout: float | None = None,
        buffers: Sequence[Buffer] = (),
    ) -> A:
        """Send a request and wait for its answer.

        Raises
        ------
        NBClusterError
            What the controller refused with, or ControllerLost.
        TimeoutError
            When no answer came in time.
        """
        answer, _ = await self.ask_for_buffers(request, kind, timeout=timeout, buffers=buffers)
        return answer

    async def ask_for_buffers(
        self,
        request: m.Request,
        kind: type[A],
        *,
        timeout: float | None = None,
        buffers: Sequence[Buffer] = (),
    ) -> tuple[A, Sequence[Buffer]]:
        """Send a request and wait for its answer and the buffers that come with it; raises like `ask`."""
        future = self.post(request, buffers)
        try:
            async with asyncio.timeout(timeout):
                answer, came = await future
        except TimeoutError:
            raise TimeoutError(
                f"the controller of {self.file.name!r} did not answer {type(request).__name__} within "
                f"{timeout or 0:g} s; `nbcluster logs` shows what it says of itself"
            ) from None
        if not isinstance(answer, kind):
            raise NBClusterError(
                f"the controller answered {type(request).__name__} with {type(answer).__name__}"
            )
        return answer, came

    def tell(self, request: m.Request) -> None:
        """Send what is never answered."""
        if self._lost is None:
            self._wire.send(request, msg_id=self._wire.new_id())

    def post(self, request: m.Request, buffers: Sequence[Buffer] = ()) -> asyncio.Future[Answered]:
        """Send a request at once; the future holds its answer or its error."""
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

        def answered(answer: Answered | NBClusterError) -> None:
            if future.done():
                return
            if isinstance(answer, NBClusterError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        msg_id = self.post_then(request, answered, buffers)
        future.add_done_callback(lambda _: self._pending.pop(msg_id, None))
        return future

    def post_then(self, request: m.Request, answered: OnAnswer, buffers: Sequence[Buffer] = ()) -> str:
        """Send a request at once, and have a function called with its answer or its error; return the request's id.

        For what is sent often: a future costs a turn of the loop more.
        """
        if self._lost is not None:
            answered(self._lost)
            return ""
        msg_id = self._wire.new_id()
        self._pending[msg_id] = answered
        self._wire.send(request, msg_id=msg_id, buffers=buffers)
        return msg_id

    async def close(self) -> None:
        """Say goodbye and close."""
        if self._lost is None:
            try:
                await self.ask(m.Goodbye(), m.Done, timeout=1.0)
            except (NBClusterError, TimeoutError) as error:
                log.debug("goodbye was not answered: %s", error)
        self._shut()

    def _shut(self) -> None:
        for task in (self._beating, self._checking):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        self._wire.close()
        self._context.destroy(linger=200)

    def _arrived(self, arrival: Arrival[m.FromController]) -> None:
        message = arrival.message
        if not isinstance(message, m.Bundle):
            self._take(arrival.parent_id, message, arrival.buffers)
            return
        for part in message.parts:
            self._take(part.parent, part.message, ())

    def _take(self, parent_id: str, message: m.Answer | m.Notice, buffers: Sequence[Buffer]) -> None:
        if owed := weight(message):
            self._taken(owed)
        if parent_id:
            answered = self._pending.pop(parent_id, None)
            if answered is None:
                return
            if isinstance(message, m.Refused):
                answered(BY_NAME.get(message.error, NBClusterError)(message.message))
            else:
                answered((message, buffers))  # type: ignore[arg-type]  # what answers is an Answer
            return
        if isinstance(message, CallsDone):
            for msg_id, count in message.accepted:
                self._take(msg_id, CallsAccepted(count), ())
        if isinstance(message, m.TaskOutput):
            self._taken(len(bytes(message.content)) + sum(len(buffer) for buffer in buffers))
        if isinstance(message, m.ClusterStopping):
            self._lose(ControllerLost(f"the cluster {self.file.name!r} ended: {message.reason}"))
            return
        self._on_notice(message, buffers)  # type: ignore[arg-type]  # without parent it is a Notice

    def _taken(self, size: int) -> None:
        self._received += size
        if self._received - self._acknowledged >= ACKNOWLEDGE_EVERY:
            self._acknowledged = self._received
            self.post_then(m.Beat(self._received), not_wanted)

    async def _beat(self) -> None:
        while self._lost is None:
            await asyncio.sleep(BEAT_INTERVAL)
            self._acknowledged = self._received
            try:
                await self.ask(m.Beat(self._received), m.Done, timeout=2 * BEAT_INTERVAL)
            except TimeoutError:
                self._lose(self._gone(f"has not answered for {2 * BEAT_INTERVAL:g} s"))
            except NBClusterError as error:
                self._lose(error)

    def _disconnected(self) -> None:
        if self._checking is None and self._lost is None:
            self._checking = asyncio.create_task(self._check())

    async def _check(self) -> None:
        """The connection broke: either the controller is gone, or, over tcp, it comes back by itself."""
        try:
            if await self._ends_within(DYING):
                self._lose(self._gone("ended"))
                return
            if not self._wire.send(m.Beat(self._received), msg_id=self._wire.new_id()):
                raise TimeoutError
            await self.ask(m.Beat(self._received), m.Done, timeout=DISCONNECT_PATIENCE)
        except (TimeoutError, NBClusterError):
            ended = await self._ends_within(DYING_SLOWLY)
            self._lose(self._gone("ended" if ended else "closed the connection"))
        finally:
            self._checking = None

    async def _ends_within(self, seconds: float) -> bool:
        until = asyncio.get_running_loop().time() + seconds
        while not self.file.is_stale() and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.005)
        return self.file.is_stale()

    def _gone(self, how: str) -> ControllerLost:
        return ControllerLost(
            f"the controller of {self.file.name!r} (process {self.file.pid} on {self.file.host}) {how}; "
            "its engines end with it. Start the cluster again with `%cluster start` or Cluster(n)"
        )

    def _lose(self, error: NBClusterError) -> None:
        if self._lost is not None:
            return
        self._lost = error
        pending, self._pending = self._pending, {}
        for answered in pending.values():
            answered(error)
        self._on_lost(error)
        self._shut()
