"""Opens the right door for an address. Knows no values."""

from __future__ import annotations

from collections.abc import Callable

from nbcluster.transport.curvedoor import CurveDoor
from nbcluster.transport.streamdoor import StreamDoor
from nbcluster.transport.valuedoor import Lookup, ValueDoor, is_encrypted


def open_door(url: str, lookup: Lookup, complain: Callable[[str], None]) -> ValueDoor:
    """Return a door that listens, and is to be started.

    Parameters
    ----------
    url : str
        "tcp://" and an address without a port, or "ipc://" and a path.
    lookup, complain : callable
        See ValueDoor.

    Raises
    ------
    zmq.ZMQError, OSError
        When the address cannot be bound.
    """
    return (CurveDoor if is_encrypted(url) else StreamDoor)(url, lookup, complain)
