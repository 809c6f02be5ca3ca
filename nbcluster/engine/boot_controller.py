"""Becomes the controller in this process, where it is not forked from the supervisor.

Run as `python -m nbcluster.engine.boot_controller SOCKET READY LIFELINE`, three descriptors; the
configuration comes as one line on stdin. Knows nothing of what a controller does.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from typing import Any, BinaryIO

from msgspec import json


def become_controller(config: dict[str, Any], supervisor: socket.socket, ready: BinaryIO) -> int:
    """Import the function that `config` names and return what it returns."""
    module, _, function = config["controller"].partition(":")
    code: int = getattr(importlib.import_module(module), function)(config, supervisor, ready)
    return code


def main() -> int:
    """Run as a program of its own."""
    if not sys.flags.safe_path:
        del sys.path[0]  # the directory that -m put there: the user's, where any module may be shadowed
    numbers = [int(text) for text in sys.argv[1:4]]
    for fd in numbers:
        os.set_inheritable(fd, False)
    config = json.decode(sys.stdin.buffer.readline())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return become_controller(config, socket.socket(fileno=numbers[0]), os.fdopen(numbers[1], "wb"))


if __name__ == "__main__":
    sys.exit(main())
