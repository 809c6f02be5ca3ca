"""The controller's line to the supervisor that is its parent. Knows lines of JSON, no engines."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from nbcluster.protocol.supervision import FromSupervisor, ToSupervisor, decode_report, encode_line

log = logging.getLogger(__name__)


class SupervisorLink:
    """Sends orders and hands reports to subscribers, on the running loop.

    Parameters
    ----------
    end : socket.socket
        The controller's end of the socket pair.
    on_lost : callable
        Called once when the supervisor has gone.
    """

    def __init__(self, end: socket.socket, on_lost: Callable[[], None]) -> None:
        end.setblocking(False)
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._subscribers: list[Callable[[FromSupervisor], None]] = []
        self._received = bytearray()
        self._unsent = bytearray()
        self._loop.add_reader(end, self._read)

    def subscribe(self, report: Callable[[FromSupervisor], None]) -> None:
        """Hear every report from now on."""
        self._subscribers.append(report)

    def send(self, order: ToSupervisor) -> None:
        """Give an order."""
        self._unsent += encode_line(order)
        self._write()

    def close(self) -> None:
        """Stop listening."""
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()

    def _write(self) -> None:
        try:
            sent = self._end.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            log.warning("the supervisor takes no orders: %s", error)
            self._unsent.clear()
            return
        del self._unsent[:sent]
        if self._unsent:
            self._loop.add_writer(self._end, self._write)
        else:
            self._loop.remove_writer(self._end)

    def _read(self) -> None:
        try:
            came = self._end.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            came = b""
        if not came:
            self._loop.remove_reader(self._end)
            self._on_lost()
            return
        self._received += came
        *lines, rest = self._received.split(b"\n")
        self._received = bytearray(rest)
        for line in lines:
            report = decode_report(line)
            for subscriber in self._subscribers:
                subscriber(report)
