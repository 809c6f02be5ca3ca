"""Opens the ends of channels by their address: local stream sockets on one host, zmq with Curve otherwise."""

from __future__ import annotations

from nbcluster.transport.ports import Hub, Port
from nbcluster.transport.streams import SCHEME, StreamHub, StreamPort, connect
from nbcluster.transport.zmqports import Context, Curve, ZmqHub, ZmqPort


def bind_hub(context: Context, url: str, curve: Curve | None) -> Hub:
    """Bind a hub; `Hub.url` is what to connect to.

    Parameters
    ----------
    context : zmq.Context
    url : str
        "unix:" and a path, or "tcp://" and an address without a port.
    curve : Curve, optional

    Raises
    ------
    OSError, zmq.ZMQError
        When the address cannot be bound.
    """
    if url.startswith(SCHEME):
        return StreamHub(url.removeprefix(SCHEME))
    return ZmqHub(context, url, curve)


def connect_port(context: Context, url: str, identity: bytes, curve: Curve | None) -> Port:
    """Connect to a hub.

    Raises
    ------
    OSError
        When nobody listens at a local address.
    """
    if url.startswith(SCHEME):
        return StreamPort(connect(url, identity))
    return ZmqPort(context, url, identity, curve)
