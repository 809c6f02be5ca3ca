"""A door for other hosts: values in chunks, over zmq, encrypted with CurveZMQ. Its key comes with the offer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq

from nbcluster.protocol.offers import ChunkSent, NotThere, SendChunks
from nbcluster.transport.frames import Buffer
from nbcluster.transport.valuedoor import LARGEST_REQUEST, Asked, Lookup, Parts, Refused, ValueDoor

UNSENT = 64
"""Chunks that wait for one peer; who asks for more at once gets none of those beyond."""

OPENED = 4
"""Values that are kept open for the next request."""

IDLE = 2.0
"""Seconds without a request after which they are let go."""


class CurveDoor(ValueDoor):
    """See ValueDoor.

    Parameters
    ----------
    url : str
        "tcp://" and an address without a port.
    lookup, complain : callable

    Raises
    ------
    zmq.ZMQError
        When the address cannot be bound.
    """

    def __init__(self, url: str, lookup: Lookup, complain: Callable[[str], None]) -> None:
        super().__init__(lookup, complain)
        self._opened: OrderedDict[str, Parts] = OrderedDict()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        router = self._router = self._context.socket(zmq.ROUTER)
        router.setsockopt(zmq.LINGER, 0)
        router.setsockopt(zmq.SNDHWM, UNSENT)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        router.setsockopt(zmq.MAXMSGSIZE, LARGEST_REQUEST)
        router.setsockopt(zmq.HEARTBEAT_IVL, 1000)
        public, secret = zmq.curve_keypair()
        router.curve_server, router.curve_secretkey = True, secret
        self.curve = public.decode()
        try:
            self.url = f"{url}:{router.bind_to_random_port(url)}"
        except zmq.ZMQError:
            router.close(0)
            self._context.term()
            raise

    def run(self) -> None:
        """Serve until closed."""
        with suppress(zmq.ContextTerminated):
            while True:
                if self._opened and not self._router.poll(int(IDLE * 1000)):
                    self._opened.clear()
                    continue
                identity, *request = self._router.recv_multipart()
                try:
                    self._serve(identity, self._check(request))
                except zmq.ContextTerminated:
                    raise
                except Exception as error:  # one bad request must not end the thread
                    self._sent_away(error)
                    self._send([identity, b""])
        self._opened.clear()
        self._router.close(0)

    def close(self) -> None:
        """Listen no more; the thread has ended with its socket when this returns."""
        if self.ident is None:  # never started: nobody else closes it
            self._router.close(0)
        self._context.term()

    def _serve(self, identity: bytes, asked: Asked) -> None:
        request = asked.request
        if not isinstance(request, SendChunks):
            raise Refused(f"{type(request).__name__} is for where nothing is encrypted")
        parts = self._open(asked, again=request.first == 0)
        if isinstance(parts, NotThere):
            self._send([identity, *asked.reply(parts)])
            return
        if not 0 <= request.first <= request.first + request.count <= parts.count or request.count > UNSENT:
            why = f"{request.count} chunks from {request.first} on were asked for, of {parts.count}"
            self._send([identity, *asked.reply(NotThere(request.nonce, why))])
            return
        for index in range(request.first, request.first + request.count):
            reply = asked.reply(ChunkSent(request.nonce, index), parts.chunk(index))
            if not self._send([identity, *reply]):
                return

    def _open(self, asked: Asked, *, again: bool) -> Parts | NotThere:
        parts = None if again else self._opened.get(asked.task)
        if parts is None:
            found = self._find(asked)
            if isinstance(found, NotThere):
                self._opened.pop(asked.task, None)
                return found
            parts = self._opened[asked.task] = found
            while len(self._opened) > OPENED:
                self._opened.popitem(last=False)
        self._opened.move_to_end(asked.task)
        return parts

    def _send(self, frames: list[Buffer] | list[Any]) -> bool:
        """Send; False when the receiver is gone, or takes no more."""
        try:
            self._router.send_multipart(frames, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True
