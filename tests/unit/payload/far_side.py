"""The engine of the tests of payloads: runs calls in a namespace, as its parent says on stdin."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import os
import pickle
import struct
import sys
from typing import Any

from nbcluster.payload.errors import dump_exception
from nbcluster.payload.functions import FunctionLoader, captured_visible
from nbcluster.payload.modules import MODULES
from nbcluster.payload.values import dump_value, load_args, load_value

NAMESPACE: dict[str, Any] = {}
LOADER = FunctionLoader(where="engine 2")


def call(digest: str, payload: bytes, sent: bytes, buffers: list[bytes], inputs: dict[str, bytes]) -> Any:
    try:
        loaded = LOADER.load(digest, payload, NAMESPACE)
        values = {task: load_value(value) for task, value in inputs.items()}
        with captured_visible(loaded.scope):
            args, kwargs = load_args(sent, buffers, values, NAMESPACE, LOADER)
            result = loaded.function(*args, **kwargs)
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
            dumped = dump_value(result)
            del result, args, kwargs
    except BaseException as error:
        return dump_exception(error)
    return dumped.payload, [bytes(buffer.raw()) for buffer in dumped.buffers]


def answer(words: tuple[Any, ...]) -> Any:
    global NAMESPACE
    match words:
        case ("reset",):
            NAMESPACE = {"__name__": "__main__", "__builtins__": builtins}
            LOADER.__init__(where="engine 2")  # type: ignore[misc]  # as new
        case ("run", code):
            exec(compile(code, "<cell on the engine>", "exec", dont_inherit=True), NAMESPACE)
            MODULES.look()
        case ("names",):
            return [name for name in NAMESPACE if not name.startswith("__")]
        case ("plain",):
            found = NAMESPACE.get("__builtins__")
            return found is builtins or found is vars(builtins)
        case ("path", folder):
            sys.path.insert(0, folder)
        case ("push", payload, buffers):
            with captured_visible(None):  # as a call that binds names
                NAMESPACE.update(load_args(payload, buffers, {}, NAMESPACE, LOADER)[1])
        case ("write", payload, buffers):  # as the agent does beside calls
            NAMESPACE.update(load_args(payload, buffers, {}, NAMESPACE, LOADER)[1])
        case ("in two namespaces", digest, payload):
            spaces: list[dict[str, Any]] = [{"__name__": f"nbcluster.ns.{name}"} for name in "ab"]
            kinds = [LOADER.load(digest, payload, space).function for space in spaces]
            return [kind.m.__globals__ is space for kind, space in zip(kinds, spaces, strict=True)]
        case ("call", *rest):
            return call(*rest)
        case _:
            raise ValueError(words)
    return None


def main() -> None:
    inward, outward = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what user code prints must not stand in an answer
    while head := inward.read(8):
        (size,) = struct.unpack("<Q", head)
        message = pickle.dumps(answer(pickle.loads(inward.read(size))), 5)
        outward.write(struct.pack("<Q", len(message)) + message)
        outward.flush()


if __name__ == "__main__":
    NAMESPACE.update({"__name__": "__main__", "__builtins__": builtins})
    main()
