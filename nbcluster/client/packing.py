"""Turns what a caller gives into bytes for calls, and bytes into values; warns of what is huge. Knows no messages."""

from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from nbcluster.client.remote import Joined
from nbcluster.client.sharing import Sharing
from nbcluster.errors import UsageError
from nbcluster.ids import TaskId
from nbcluster.payload.functions import DumpedFunction, FunctionDumper
from nbcluster.payload.sizes import HUGE, approximate_size, huge, readable
from nbcluster.payload.values import ArgumentDumper, dump_value, load_value
from nbcluster.transport import ports
from nbcluster.transport.frames import Buffer
from nbcluster.transport.sharedmem import SHARED_FROM, Lease

Function = DumpedFunction

_OURS = str(Path(__file__).parent.parent)


@dataclass(frozen=True, slots=True)
class Packed:
    """The arguments of a call as bytes; `inputs` are the tasks whose values they name."""

    payload: bytes
    buffers: Sequence[Buffer] = ()
    inputs: tuple[TaskId, ...] = ()
    nbytes: int = 0
    shared: int = 0
    """Bytes of those that lie in shared memory, as long as `lease` is kept."""
    lease: Lease | None = None
    envelope: bytes = b""
    """Of what is shared, where the payload is not it but has it inside."""


NOTHING = Packed(b"")


class Packer:
    """Packs for one client.

    Parameters
    ----------
    futures : tuple of type
        The classes of Futures that stand for values on the cluster.
    task_of : callable
        Returns the task of such a Future; raises UsageError for one that cannot be an argument here.
    sharing : Sharing, optional
        Takes what is large.
    """

    def __init__(
        self, futures: tuple[type, ...], task_of: Callable[[Any], str], sharing: Sharing | None = None
    ) -> None:
        self._sharing = sharing if sharing is not None else Sharing()
        self._functions = FunctionDumper()
        self._arguments = ArgumentDumper(self._functions, futures, task_of)
        self._warned: set[str] = set()

    def function(self, function: Callable[..., Any]) -> Function:
        """Pack a function, with the names that it captures as they are now.

        Raises
        ------
        NotSerializable
            When it cannot be; names what in it cannot.
        """
        return self._functions.dump(function)

    def arguments(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], function: Callable[..., Any] | None = None
    ) -> Packed:
        """Pack arguments; `function` lends the names of its parameters to messages.

        Raises
        ------
        NotSerializable
            When one cannot be packed; names it.
        UsageError
            When one is a Future of another cluster.
        """
        if not args and not kwargs:
            return NOTHING
        dumped = self._arguments.dump(args, dict(kwargs), function)
        inputs = tuple(map(TaskId, dumped.inputs))
        if not dumped.buffers and len(dumped.payload) < SHARED_FROM:
            payload = dumped.payload
            return Packed(payload, (), inputs, len(payload))
        shared = self._sharing.share(dumped)
        if shared is not None:
            envelope, lease = shared
            return Packed(envelope, (), inputs, len(envelope) + lease.nbytes, lease.nbytes, lease)
        if dumped.nbytes > ports.MAX_VALUE:
            raise UsageError(
                f"the arguments have {readable(dumped.nbytes)}, and at most {readable(ports.MAX_VALUE)} can be sent at "
                "once where shared memory cannot be used (another host, or no room in /dev/shm); nothing was sent: "
                "send them in parts, or have the engine read them from a file"
            )
        return Packed(dumped.payload, [buffer.raw() for buffer in dumped.buffers], inputs, dumped.nbytes)

    def shared_value(self, value: Any) -> Packed | None:
        """Pack a large value as the argument of `remote.pickled`, in shared memory; None where that cannot be.

        Raises
        ------
        NotSerializable
        UsageError
            When a Future of another cluster is in it.
        """
        if not self._sharing.is_on or approximate_size(value) < SHARED_FROM:
            return None
        dumped = self._arguments.dump_one(value, "the value")
        shared = None if dumped.inputs else self._sharing.share(dumped)
        if shared is None:
            return None
        envelope, lease = shared
        lease.adopt()
        payload = self._arguments.dump((envelope,), {}).payload
        return Packed(payload, (), (), len(payload) + lease.nbytes, lease.nbytes, lease, envelope)

    def warn_of_huge(
        self, function: Function, packed: Packed, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Warn, once for each name, of what is so large that it may have been sent by accident."""
        if packed.nbytes > HUGE:
            caller = _caller()
            values = {
                _name_in(caller, value) or f"argument {at + 1}": value for at, value in enumerate(args)
            } | {_name_in(caller, value) or name: value for name, value in kwargs.items()}
            for name, size in huge(values):
                hint = f"{name} = cluster.put({name})" if name.isidentifier() else "cluster.put(value)"
                self._warn(
                    name,
                    f"{name} ({readable(size)}) is sent with this call of {function.label}; if several calls need "
                    f"it, send it once: {hint} gives a Future that takes its place in arguments",
                )
        for name, size in function.captured.items():
            if size > HUGE:
                self._warn(
                    name,
                    f"{function.label} reads {name} ({readable(size)}) of this notebook, which is sent with it to "
                    f"each engine; make it an argument and give cluster.put({name}), or bind it on the engines: "
                    f"cluster[:].push({{'{name}': {name}}})",
                )

    def _warn(self, name: str, text: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            warnings.warn(text, UserWarning, stacklevel=_depth_of(_caller()))


def pack_value(value: Any, what: str) -> bytes:
    """Pack one value with all its buffers inside; `what` is how messages call it.

    Raises
    ------
    NotSerializable
        When it cannot be packed.
    """
    dumped = dump_value(value, what=what)
    if not dumped.buffers:
        return dumped.payload
    return pickle.dumps(Joined(dumped.payload, [bytes(buffer.raw()) for buffer in dumped.buffers]), 5)


def unpack_value(payload: bytes, buffers: Sequence[Buffer], what: str) -> Any:
    """Unpack a value that came home.

    Raises
    ------
    NotSerializable
        When it cannot be made here.
    """
    return load_value(payload, buffers, what=f"the result of {what}")


def _caller() -> FrameType | None:
    """The innermost frame that is not nbcluster's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return frame


def _depth_of(wanted: FrameType | None) -> int:
    depth = 0  # counted from the function that warns
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame is not wanted:
        frame = frame.f_back
        depth += 1
    return depth + 1


def _name_in(frame: FrameType | None, value: Any) -> str:
    if frame is None:
        return ""
    for space in (frame.f_locals, frame.f_globals):
        for name, known in space.items():
            if known is value and not name.startswith("_"):
                return name
    return ""
