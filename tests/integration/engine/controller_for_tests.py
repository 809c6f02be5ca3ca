"""A controller that passes lines between its supervisor and the test, which listens on a socket."""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
from typing import Any, BinaryIO


def run(config: dict[str, Any], supervisor: socket.socket, ready: BinaryIO) -> int:
    """Relay until the test closes its end; options: "listener" path, "code" to return, "fail" to raise."""
    options = config["options"]
    if options.get("fail"):
        raise RuntimeError("this controller cannot start")
    test = socket.socket(socket.AF_UNIX)
    test.connect(options["listener"])
    ready.write(json.dumps({"pid": os.getpid()}).encode() + b"\n")
    ready.close()
    selector = selectors.DefaultSelector()
    selector.register(supervisor, selectors.EVENT_READ, test)
    selector.register(test, selectors.EVENT_READ, supervisor)
    while True:
        for key, _ in selector.select():
            data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # only sockets are registered
            if not data and key.fileobj is supervisor:
                selector.unregister(supervisor)  # it was killed; this controller goes on
                continue
            if not data:
                sys.stderr.write("the test is done\n")
                return int(options.get("code", 0))
            key.data.sendall(data)
