"""The options that a controller starts with. Values only."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nbcluster.core.recipes import LIMIT


class ControllerConfig(Struct, frozen=True):
    """What the process that starts a cluster tells its controller, over the supervisor's standard input."""

    name: str
    directory: str
    connection_file: str
    shared: str = ""
    """The directory to make for what is shared in memory; "" for none."""
    spill: str = ""
    """The directory to make, on disk, for values that do not fit into memory; "" for none."""
    transport: Literal["ipc", "tcp"] = "ipc"
    address: str = "127.0.0.1"
    """Where the controller listens over tcp, as clients and engines reach it."""
    idle_timeout: float | None = None
    """Seconds without client and work after which the cluster ends; None: never."""
    ends_with_clients: bool = False
    """Whether cells that still run do not keep it from ending: a script's own cluster."""
    recipe_limit: int = LIMIT
    """Bytes that may be kept to make values again that are lost with an engine."""
    start_timeout: float = 60.0
    """Seconds that an engine may take until it answers."""
