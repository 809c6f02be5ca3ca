"""A door for processes that share no memory with this one: values as a stream, which is sealed where others may listen.

Each connection has a thread of its own, which waits in the system. It brings one request, and is answered by the rest
of the value in one piece.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from nbcluster.protocol.offers import NotThere, RestFollows, SealedUp, SealUp, SendRest
from nbcluster.transport.conversations import Conversation, Plain
from nbcluster.transport.plainsockets import hang_up, limit_waits, listen, watch_for_cuts
from nbcluster.transport.valuedoor import (
    LARGEST_REQUEST,
    Asked,
    Lookup,
    Refused,
    ValueDoor,
    is_encrypted,
)

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
        self.is_sealed = is_encrypted(url)
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
                talk: Conversation = Plain(connected)
                try:
                    if self.is_sealed:
                        watch_for_cuts(connected)
                    asked = self._check(talk.receive(LARGEST_REQUEST))
                    if self.is_sealed:
                        talk, asked = self._seal(connected, talk, asked)
                    self._serve(talk, asked)
                except OSError:
                    raise
                except Exception as error:  # whatever it was, who asks is answered
                    self._sent_away(error)
                    talk.send([b""])
        finally:
            with self._lock:
                self._connections.discard(connected)
            connected.close()

    def _seal(self, connected: socket.socket, talk: Conversation, asked: Asked) -> tuple[Conversation, Asked]:
        """Agree on keys; return what goes on under them, and the first request that came there."""
        # Imported here: it takes its time, and within a host nobody needs it.
        from nbcluster.transport import sealing
        from nbcluster.transport.sealedtalk import Sealed

        request = asked.request
        if not isinstance(request, SealUp):
            raise Refused(f"{type(request).__name__} came unencrypted")
        pair = sealing.KeyPair()
        told = sealing.told(asked.task, request.nonce, request.key, pair.public)
        theirs, ours = pair.keys(request.key, asked.ticket, told)
        talk.send(asked.reply(SealedUp(request.nonce, pair.public)))
        talk = Sealed(connected, sealing.Sealer(ours), sealing.Opener(theirs))
        again = self._check(talk.receive(LARGEST_REQUEST))
        if again.task != asked.task:
            raise Refused(f"{again.task} was asked for under the keys of {asked.task}")
        return talk, again

    def _serve(self, talk: Conversation, asked: Asked) -> None:
        request = asked.request
        if not isinstance(request, SendRest):
            raise Refused(f"{type(request).__name__} is out of place")
        parts = self._find(asked)
        if isinstance(parts, NotThere):
            talk.send(asked.reply(parts))
            return
        if not 0 <= request.at <= parts.nbytes:
            why = f"the bytes from {request.at} on were asked for, of {parts.nbytes}"
            talk.send(asked.reply(NotThere(request.nonce, why)))
            return
        talk.send(asked.reply(RestFollows(request.nonce, parts.nbytes - request.at)))
        talk.give(parts, request.at)
