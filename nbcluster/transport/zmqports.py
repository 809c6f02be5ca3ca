"""The two ends of a channel over zmq, where processes do not share a host or its sockets. Knows no meanings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import parse_monitor_message

from nbcluster.transport.frames import Buffer
from nbcluster.transport.loopsocket import LoopSocket
from nbcluster.transport.ports import MAX_MESSAGE, OnFrames, OnGone

Context = zmq.Context[zmq.Socket[bytes]]


@dataclass(frozen=True, slots=True)
class Curve:
    """Keys of an encrypted socket, Z85. A client has `server` and keys of its own; a server only its own."""

    public: bytes
    secret: bytes
    server: bytes = b""


class ZmqHub:
    """A ROUTER.

    A peer that lost its connection comes back under its identity over a new one, and takes its place: an identity that
    others could guess must not be enough to speak for it.

    Parameters
    ----------
    context : zmq.Context
    url : str
        Without a port for tcp: one is chosen.
    curve : Curve, optional

    Raises
    ------
    zmq.ZMQError
        When the address cannot be bound.
    """

    def __init__(self, context: Context, url: str, curve: Curve | None) -> None:
        router: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        router.setsockopt(zmq.SNDHWM, 0)  # accounted by the controller, per client
        router.setsockopt(zmq.RCVHWM, 1000)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        router.setsockopt(zmq.ROUTER_HANDOVER, 1)
        router.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        router.setsockopt(zmq.HEARTBEAT_IVL, 2000)
        if curve is not None:
            router.curve_server = True
            router.curve_publickey = curve.public
            router.curve_secretkey = curve.secret
        self.url = f"{url}:{router.bind_to_random_port(url)}"
        self._router = router
        self._identities: dict[int, bytes] = {}

    def listen(self, on_frames: OnFrames, on_gone: OnGone) -> None:
        """Read from now on, in the running loop."""
        self._on_frames, self._on_gone = on_frames, on_gone
        self._monitor = LoopSocket(
            self._router.get_monitor_socket(zmq.EVENT_DISCONNECTED), self._disconnected
        )
        self._socket = LoopSocket(self._router, self._came, want_source=True)

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Send one message behind the identity of its peer; False when that is not there."""
        return self._socket.send(frames)

    def close(self, linger: int = 0) -> None:
        """Close; what was sent is given `linger` milliseconds to leave."""
        if not self._router.closed:
            self._router.disable_monitor()
            self._monitor.close()
            self._socket.close(linger)

    def _came(self, frames: list[Buffer]) -> None:
        self._identities[self._socket.source] = bytes(frames[0])
        self._on_frames(frames)

    def _disconnected(self, parts: list[Buffer]) -> None:
        told = parse_monitor_message([bytes(part) for part in parts])
        gone = self._identities.pop(int(told["value"]), None)
        if gone is not None and gone not in self._identities.values():
            self._on_gone(gone)


class ZmqPort:
    """A DEALER. It connects again by itself when its connection breaks.

    Parameters
    ----------
    context : zmq.Context
    url : str
    identity : bytes
        Nobody else may know or guess it.
    curve : Curve, optional
    """

    def __init__(self, context: Context, url: str, identity: bytes, curve: Curve | None) -> None:
        dealer: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.IDENTITY, identity)
        dealer.setsockopt(zmq.SNDHWM, 0)
        dealer.setsockopt(zmq.RCVHWM, 0)
        dealer.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        dealer.setsockopt(zmq.RECONNECT_IVL, 20)
        dealer.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        dealer.setsockopt(zmq.HEARTBEAT_IVL, 2000)
        if curve is not None:
            dealer.curve_serverkey = curve.server
            dealer.curve_publickey = curve.public
            dealer.curve_secretkey = curve.secret
        dealer.connect(url)
        self._dealer = dealer

    def listen(self, on_frames: OnFrames, on_gone: Callable[[], object]) -> None:
        """Read from now on, in the running loop; `on_gone` is called each time that the connection breaks."""

        def disconnected(parts: list[Buffer]) -> None:
            on_gone()

        self._monitor = LoopSocket(self._dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED), disconnected)
        self._socket = LoopSocket(self._dealer, on_frames)

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Send one message; False when the other side takes no more."""
        return self._socket.send(frames)

    def close(self, linger: int = 0) -> None:
        """Close; what was sent is given `linger` milliseconds to leave."""
        if not self._dealer.closed:
            self._dealer.disable_monitor()
            self._monitor.close()
            self._socket.close(linger)
