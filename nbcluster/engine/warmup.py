"""Imports what every engine needs, once, before engines are forked. Starts no thread and no zmq context."""

from __future__ import annotations

import gc
import importlib

from nbcluster.payload.modules import MODULES as MODULES_OF_USERS

MODULES = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.debugger",
    "nbcluster.engine.app",
    "nbcluster.engine.kernel",
    "nbcluster.engine.outstream",
)
"""No numpy and nothing that imports it: it starts threads, and a process with threads must not fork."""


def warm_up() -> None:
    """Import the modules of an engine and keep the garbage collector from touching their pages."""
    for name in MODULES:
        importlib.import_module(name)
    MODULES_OF_USERS.look()  # once for all engines: it takes 30 ms
    gc.freeze()
