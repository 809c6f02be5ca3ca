"""A controller's end of the task channel, played by a test. Knows no pytest."""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import zmq
from msgspec import msgpack

from nbcluster.payload.functions import FunctionDumper
from nbcluster.payload.values import ArgumentDumper, load_value
from nbcluster.protocol.calls import OutputPiece
from nbcluster.protocol.codec import decode_from_engine, encode_task
from nbcluster.protocol.outcomes import Returned, Threw
from nbcluster.protocol.tasks import (
    AgentHello,
    Answered,
    Ask,
    Begun,
    CallOrder,
    CallRef,
    CallResult,
    CallsReturned,
    FromEngine,
    Input,
    Printed,
    Question,
    Reply,
    RunCalls,
    RunOptions,
    ToEngine,
)
from nbcluster.transport.frames import Buffer, Frames

DEADLINE = 20.0
INCARNATION = 7
PIECES = msgpack.Decoder(tuple[OutputPiece, ...])

M = TypeVar("M")


class TaskRouter:
    """The controller of one engine's calls.

    Messages that were not asked for are kept in order, so that each is seen once.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.open()
        self.frames: Frames | None = None
        self.identity = b""
        """Of the agent, once it has spoken."""
        self.unread: list[tuple[FromEngine, Sequence[Buffer]]] = []
        self.functions = FunctionDumper()
        self.arguments = ArgumentDumper(self.functions)
        self.sent: set[str] = set()
        self.count = 0
        self.requests = 0

    def open(self) -> None:
        """Be there for agents."""
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(self.url)

    def use_key_of(self, connection_file: str) -> None:
        """Sign as the controller of this engine."""
        self.frames = Frames(json.loads(Path(connection_file).read_text())["key"].encode())

    # -- messages ----------------------------------------------------------------------------

    def send(self, message: ToEngine, buffers: Sequence[Buffer] = ()) -> None:
        assert self.frames is not None
        msg_type, content = encode_task(message)
        _, frames = self.frames.pack(msg_type, content, idents=(self.identity,), buffers=buffers)
        self.socket.send_multipart(frames)

    def pump(self, seconds: float) -> bool:
        """Read what comes within this time; whether anything came."""
        assert self.frames is not None
        if not self.socket.poll(int(seconds * 1000) + 1):
            return False
        parts = self.socket.recv_multipart()
        assert parts[0].startswith(f"e{INCARNATION}-".encode())
        self.identity = parts[0]
        came = self.frames.unpack(parts)
        self.unread.append((decode_from_engine(came.content), came.buffers))
        return True

    def expect(
        self, kind: type[M], where: Callable[[M], bool] = lambda message: True
    ) -> tuple[M, Sequence[Buffer]]:
        """Wait for the next message of a kind, passing over others, which stay unread."""
        until = time.monotonic() + DEADLINE
        seen = 0
        while True:
            for at in range(seen, len(self.unread)):
                message, buffers = self.unread[at]
                if isinstance(message, kind) and where(message):
                    del self.unread[at]
                    return message, buffers
            seen = len(self.unread)
            left = until - time.monotonic()
            assert left > 0, f"no {kind.__name__} came; unread: {[m for m, _ in self.unread]!r}"
            self.pump(left)

    def hello(self) -> AgentHello:
        return self.expect(AgentHello)[0]

    # -- calls -------------------------------------------------------------------------------

    def order(
        self,
        function: Callable[..., Any],
        *args: Any,
        inputs: tuple[Input, ...] = (),
        attempt: int = 1,
        functions: dict[str, bytes] | None = None,
        buffers: list[Buffer] | None = None,
        **kwargs: Any,
    ) -> CallOrder:
        """Make an order; what must be sent with it is put into `functions` and `buffers`."""
        dumped = self.functions.dump(function)
        if functions is not None and dumped.digest not in self.sent:
            self.sent.add(dumped.digest)
            functions[dumped.digest] = dumped.payload
        packed = self.arguments.dump(args, kwargs)
        raw = [buffer.raw() for buffer in packed.buffers]
        if buffers is not None:
            buffers.extend(raw)
        self.count += 1
        sizes = tuple(len(each) for each in raw)
        return CallOrder(f"t-{self.count}", attempt, 0, dumped.digest, packed.payload, sizes, inputs)

    def run(
        self, function: Callable[..., Any], *args: Any, options: RunOptions | None = None, **more: Any
    ) -> CallRef:
        """Send one call and return its name."""
        return self.run_many([(function, args, more)], options)[0]

    def run_many(
        self,
        calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]],
        options: RunOptions | None = None,
    ) -> list[CallRef]:
        """Send calls in one message."""
        functions: dict[str, bytes] = {}
        buffers: list[Buffer] = []
        orders = [
            self.order(function, *args, functions=functions, buffers=buffers, **more)
            for function, args, more in calls
        ]
        self.send(RunCalls((options or RunOptions(),), tuple(orders), functions), buffers)
        return [CallRef(order.task, order.attempt) for order in orders]

    def result(self, ref: CallRef) -> CallResult:
        """Wait for the end of a call."""
        until = time.monotonic() + DEADLINE
        while True:
            for at, (message, _) in enumerate(self.unread):
                if not isinstance(message, CallsReturned):
                    continue
                for result in message.results:
                    if (result.task, result.attempt) == (ref.task, ref.attempt):
                        rest = tuple(each for each in message.results if each is not result)
                        self.unread[at] = (CallsReturned(rest), ())
                        return result
            left = until - time.monotonic()
            assert left > 0, f"{ref} did not end; unread: {[m for m, _ in self.unread]!r}"
            self.pump(left)

    def results(self, count: int) -> list[CallResult]:
        """Wait for so many ends of calls, in the order in which they come."""
        found: list[CallResult] = []
        while len(found) < count:
            found.extend(self.expect(CallsReturned)[0].results)
        assert len(found) == count
        return found

    def value(self, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """Run a call and return its value."""
        return value_of(self.result(self.run(function, *args, **more)))

    def ask(self, question: Question) -> Reply:
        """Put a question and wait for its answer."""
        self.requests += 1
        number = self.requests
        self.send(Ask(number, encode_task(question)[1]))
        answered = self.expect(Answered, lambda message: message.request == number)[0]
        return msgpack.decode(answered.reply, type=Reply)

    def nothing_else(self) -> None:
        """Nothing is unread but ends that were all looked at, and that calls took long on a busy machine."""
        left = [
            message
            for message, _ in self.unread
            if not isinstance(message, Begun)
            and not (isinstance(message, CallsReturned) and not message.results)
        ]
        assert left == [], left

    def close(self) -> None:
        self.socket.close(0)
        self.context.term()


def value_of(result: CallResult) -> Any:
    """The value that rode home."""
    assert isinstance(result.outcome, Returned), result
    assert result.payload is not None, result
    return load_value(result.payload)


def threw(result: CallResult) -> Threw:
    """The error of a call that raised."""
    assert isinstance(result.outcome, Threw), result
    return result.outcome


def pieces(output: bytes) -> tuple[OutputPiece, ...]:
    return PIECES.decode(output) if output else ()


def text(result: CallResult | Printed, stream: str = "stdout") -> str:
    return "".join(piece.text for piece in pieces(result.output) if piece.msg_type == stream)


def defined(code: str, name: str = "f") -> Callable[..., Any]:
    """Return a function that is defined as if in a notebook."""
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    exec(compile(code, "<notebook>", "exec"), names)
    function: Callable[..., Any] = names[name]
    return function
