"""A relay between two ends of tcp connections, which cuts them in their midst."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Relay:
    """Listens on loopback and passes on to a port, until told otherwise.

    Parameters
    ----------
    port : int
        Where to pass on.
    cut_after : sequence of int
        Bytes from there after which the first connection is cut, the second, and so on; further ones are not.
    """

    def __init__(self, port: int, cut_after: tuple[int, ...] = ()) -> None:
        self._port = port
        self._cut_after = list(cut_after)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"
        self.connections = 0
        self.connections_left: int | None = None
        """After so many no more are taken; None is any number."""
        self.brought = 0
        """Bytes that came from there, over all connections."""
        self.asked = bytearray()
        """What went there over the latest connection."""
        self.told = bytearray()
        """What came from there over the latest connection."""
        self.spoil_at: int | None = None
        """Which byte that comes from there is changed, counted over all connections; None when that is done."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while self.connections_left is None or self.connections < self.connections_left:
                near, _ = self._listening.accept()
                self.connections += 1
                self.asked, self.told = bytearray(), bytearray()
                limit = self._cut_after.pop(0) if self._cut_after else None
                far = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._pass_on, args=(near, far, None), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(far, near, limit), daemon=True).start()
        self._listening.close()

    def _pass_on(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        left = limit
        with suppress(OSError):
            while left is None or left > 0:
                piece = source.recv(65_536 if left is None else min(65_536, left))
                if not piece:
                    break
                comes = source.getpeername()[1] == self._port
                (self.told if comes else self.asked).extend(piece)
                sink.sendall(self._spoilt(piece) if comes else piece)
                if comes:
                    self.brought += len(piece)
                left = left if left is None else left - len(piece)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _spoilt(self, piece: bytes) -> bytes:
        if self.spoil_at is None or not 0 <= (at := self.spoil_at - self.brought) < len(piece):
            return piece
        self.spoil_at = None
        return piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]
