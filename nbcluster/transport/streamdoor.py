"""A door for processes of this host that share no memory with it: values as a stream, with nothing encrypted.

Each connection has a thread of its own, which waits in the system. It brings one request, and is answered by the rest
of the value in one piece.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from nbcluster.protocol.offers import NotThere, RestFollows, SendRest
from nbcluster.transport.plainsockets import (
    hang_up,
    limit_waits,
    listen,
    receive_message,
    send_all,
    send_message,
)
from nbcluster.transport.valuedoor import LARGEST_REQUEST, Asked, Lookup, Refused, ValueDoor

AT_ONCE = 64
"""Connections; further ones are ended, and may come again."""

ASKING = 3.0
"""Seconds in which each part of the request must come."""

TAKING = 30.0
"""Seconds in which a receiver must have taken something."""


class StreamDoor(ValueDoor):
    """See ValueDoor.

    Parameters
    ----------
    url : str
        "tcp://" and an address without a port, or "ipc://" and a path.
    lookup, complain : callable

    Raises
    ------
    OSError
        When the address cannot be bound.
    """

    def __init__(self, url: str, lookup: Lookup, complain: Callable[[str], None]) -> None:
        super().__init__(lookup, complain)
        self._listening, self.url = listen(url)
        self._bell, self._button = socket.socketpair()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Serve until closed."""
        poll = select.poll()
        for each in (self._listening, self._bell):
            poll.register(each, select.POLLIN)
        while not any(fd == self._bell.fileno() for fd, _ in poll.poll()):
            with suppress(OSError):  # who knocked may have gone
                connected, _ = self._listening.accept()
                self._take(connected)
        self._end()

    def close(self) -> None:
        """Listen no more; the thread has ended with its socket when this returns."""
        if self.ident is None:  # never started: nobody else closes it
            self._end()
            return
        with suppress(OSError):  # closed before
            self._button.send(b".")
        self.join()

    def _end(self) -> None:
        for each in (self._listening, self._bell, self._button):
            each.close()
        with self._lock:
            for connected in self._connections:
                hang_up(connected)

    def _take(self, connected: socket.socket) -> None:
        with self._lock:
            if len(self._connections) >= AT_ONCE:
                connected.close()
                return
            self._connections.add(connected)
        threading.Thread(target=self._talk, args=(connected,), name="nbcluster value", daemon=True).start()

    def _talk(self, connected: socket.socket) -> None:
        try:
            limit_waits(connected, receive=ASKING, send=TAKING)
            with suppress(OSError):  # who has gone may come again
                try:
                    self._serve(connected, self._check(receive_message(connected, LARGEST_REQUEST)))
                except OSError:
                    raise
                except Exception as error:  # whatever it was, who asks is answered
                    self._sent_away(error)
                    send_message(connected, [b""])
        finally:
            with self._lock:
                self._connections.discard(connected)
            connected.close()

    def _serve(self, connected: socket.socket, asked: Asked) -> None:
        request = asked.request
        if not isinstance(request, SendRest):
            raise Refused(f"{type(request).__name__} is for where everything is encrypted")
        parts = self._find(asked)
        if isinstance(parts, NotThere):
            send_message(connected, asked.reply(parts))
            return
        if not 0 <= request.at <= parts.nbytes:
            why = f"the bytes from {request.at} on were asked for, of {parts.nbytes}"
            send_message(connected, asked.reply(NotThere(request.nonce, why)))
            return
        send_message(connected, asked.reply(RestFollows(request.nonce, parts.nbytes - request.at)))
        send_all(connected, parts.between(request.at, parts.nbytes))
