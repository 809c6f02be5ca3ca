"""Gives large values to who was offered them, in chunks, over zmq. Knows bytes and tickets; never unpickles.

Between hosts the socket is encrypted (CurveZMQ); its key comes with the offer. No list is kept of who fetches: each
request names its chunks, so one that comes again after a broken connection is served like the first.
"""

from __future__ import annotations

import hmac
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

import zmq
from msgspec import DecodeError, msgpack

from nbcluster.errors import AuthenticationError, NBClusterError
from nbcluster.ids import TaskId
from nbcluster.protocol.offers import CHUNK, ENCRYPTION, ChunkSent, NotThere, Offer, SendChunks
from nbcluster.transport.addresses import is_private
from nbcluster.transport.frames import Buffer, Frames

Lookup = Callable[[str], tuple[bytes, Sequence[Buffer]] | None]
"""Returns the pickle and the buffers of a task's value, mapped where they are shared; None when it is not here."""

LARGEST_REQUEST = 65_536
"""Bytes of a frame that is taken; whoever sends a larger one is disconnected."""

UNSENT = 64
"""Chunks that wait for one peer; who asks for more at once gets none of those beyond."""

OPENED = 4
"""Values that are kept open for the next request."""

IDLE = 2.0
"""Seconds without a request after which they are let go."""

_requests = msgpack.Decoder(SendChunks)
_encoder = msgpack.Encoder()


class ValueDoor(threading.Thread):
    """Listens from its making on, on a thread of its own once started.

    Parameters
    ----------
    url : str
        "tcp://" and an address without a port, or "ipc://" and a path.
    lookup : callable
        Finds values; called on this thread.
    complain : callable
        Told in a sentence of requests that are refused.

    Raises
    ------
    zmq.ZMQError
        When the address cannot be bound.
    """

    def __init__(self, url: str, lookup: Lookup, complain: Callable[[str], None]) -> None:
        super().__init__(name="nbcluster values", daemon=True)
        self._lookup = lookup
        self._complain = complain
        self._secret = secrets.token_bytes(32)
        self._opened: OrderedDict[str, _Parts] = OrderedDict()
        self._refused = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        router = self._router = self._context.socket(zmq.ROUTER)
        router.setsockopt(zmq.LINGER, 0)
        router.setsockopt(zmq.SNDHWM, UNSENT)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        router.setsockopt(zmq.MAXMSGSIZE, LARGEST_REQUEST)
        router.setsockopt(zmq.HEARTBEAT_IVL, 1000)
        self._curve = ""
        try:
            if url.startswith("tcp://"):
                if os.environ.get(ENCRYPTION) == "always" or not is_private(f"{url}:0"):
                    public, secret = zmq.curve_keypair()
                    router.curve_server, router.curve_secretkey = True, secret
                    self._curve = public.decode()
                self.url = f"{url}:{router.bind_to_random_port(url)}"
            else:
                router.bind(url)
                self.url = url
        except zmq.ZMQError:
            router.close(0)
            self._context.term()
            raise

    def offer(self, task: TaskId, sizes: Sequence[int]) -> Offer:
        """Return what lets another process fetch the value of a task."""
        return Offer(task, self.url, self._ticket(task.encode()), tuple(sizes), self._curve)

    def run(self) -> None:
        """Serve until closed."""
        with suppress(zmq.ContextTerminated):
            while True:
                if self._opened and not self._router.poll(int(IDLE * 1000)):
                    self._opened.clear()
                    continue
                identity, *request = self._router.recv_multipart()
                try:
                    self._serve(identity, request)
                except zmq.ContextTerminated:
                    raise
                except Exception as error:  # one bad request must not end the thread
                    self._refuse(identity, f"{type(error).__name__}: {error}")
        self._opened.clear()
        self._router.close(0)

    def close(self) -> None:
        """Listen no more; the thread has ended with its socket when this returns."""
        if self.ident is None:  # never started: nobody else closes it
            self._router.close(0)
        self._context.term()

    def _ticket(self, task: bytes) -> bytes:
        return hmac.digest(self._secret, task, "sha256")

    def _serve(self, identity: bytes, frames: list[bytes]) -> None:
        try:
            task, *signed = frames
            signer = Frames(self._ticket(task), remember=1)
            asked = _requests.decode(signer.unpack(signed).content)
            name = task.decode()
        except (AuthenticationError, DecodeError, ValueError) as error:
            self._refuse(identity, str(error))
            return
        try:
            parts = self._open(name, again=asked.first == 0)
        except NBClusterError as error:
            self._reply(identity, signer, NotThere(asked.nonce, str(error)))
            return
        if parts is None:
            why = f"the value of {name} is not kept there any more"
            self._reply(identity, signer, NotThere(asked.nonce, why))
            return
        if not 0 <= asked.first <= asked.first + asked.count <= parts.count or asked.count > UNSENT:
            why = f"{asked.count} chunks from {asked.first} on were asked for, of {parts.count}"
            self._reply(identity, signer, NotThere(asked.nonce, why))
            return
        for index in range(asked.first, asked.first + asked.count):
            if not self._reply(identity, signer, ChunkSent(asked.nonce, index), parts.chunk(index)):
                return

    def _open(self, task: str, *, again: bool) -> _Parts | None:
        parts = None if again else self._opened.get(task)
        if parts is None:
            found = self._lookup(task)
            if found is None:
                self._opened.pop(task, None)
                return None
            parts = self._opened[task] = _Parts(*found)
            while len(self._opened) > OPENED:
                self._opened.popitem(last=False)
        self._opened.move_to_end(task)
        return parts

    def _reply(
        self, identity: bytes, signer: Frames, reply: ChunkSent | NotThere, chunk: Buffer | None = None
    ) -> bool:
        """Send a reply; False when its receiver is gone, or takes no more."""
        _, frames = signer.pack(
            type(reply).__name__, _encoder.encode(reply), buffers=() if chunk is None else (chunk,)
        )
        return self._send([identity, *frames])

    def _refuse(self, identity: bytes, why: str) -> None:
        """Send who cannot be answered away, with an empty frame: nothing could be signed for it."""
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:  # at 1, 2, 4, 8, …: a flood does not fill the log
            self._complain(f"a process that fetches values was sent away ({self._refused} so far): {why}")
        self._send([identity, b""])

    def _send(self, frames: list[Buffer]) -> bool:
        try:
            self._router.send_multipart(frames, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True


class _Parts:
    """A pickle and its buffers as one row of chunks."""

    def __init__(self, payload: bytes, buffers: Sequence[Any]) -> None:
        self._parts = [memoryview(part).cast("B") for part in (payload, *buffers) if len(part)]
        self._ends = list(accumulate(map(len, self._parts)))
        self._total = self._ends[-1] if self._ends else 0
        self.count = -(-self._total // CHUNK)

    def chunk(self, index: int) -> Buffer:
        """Return a chunk: a view, or where it is of several parts a copy."""
        at, end = index * CHUNK, min((index + 1) * CHUNK, self._total)
        pieces = []
        for part, last in zip(self._parts, self._ends, strict=True):
            first = last - len(part)
            if last > at and first < end:
                pieces.append(part[max(at, first) - first : min(end, last) - first])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
