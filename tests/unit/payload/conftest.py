"""A notebook and an engine for tests of payloads: a dict that says it is __main__, and a process of its own."""

from __future__ import annotations

import builtins
import pickle
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbcluster.payload.errors import load_exception
from nbcluster.payload.functions import FunctionDumper, plain_call
from nbcluster.payload.values import ArgumentDumper, dump_value, load_value
from nbcluster.protocol.outcomes import Threw

FAR_SIDE = Path(__file__).with_name("far_side.py")


class Promised:
    """What the tests use for a Future."""

    def __init__(self, task: str, value: Any) -> None:
        self.task = task
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (f"<Future {self.task}>",)


class Engine:
    """A process that calls what it is sent."""

    def __init__(self, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, str(FAR_SIDE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, *words: Any) -> Any:
        """Send words, return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        message = pickle.dumps(words, 5)
        self._process.stdin.write(struct.pack("<Q", len(message)) + message)
        self._process.stdin.flush()
        (size,) = struct.unpack("<Q", self._process.stdout.read(8))
        return pickle.loads(self._process.stdout.read(size))

    def run(self, code: str) -> None:
        """Run a cell on the engine."""
        assert self.ask("run", code) is None

    def names(self) -> set[str]:
        """Return the names that the engine's namespace has."""
        return set(self.ask("names"))

    def has_plain_builtins(self) -> bool:
        """Whether the namespace's builtins are Python's own dict or module, nothing in between."""
        answer = self.ask("plain")
        assert isinstance(answer, bool)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(30) == 0
        self._process.stdout.close()


class Notebook:
    """The namespace of a notebook, and its way to an engine."""

    def __init__(self, engine: Engine) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
        self.engine = engine
        self.functions = FunctionDumper()
        self.arguments = ArgumentDumper(self.functions, (Promised,), lambda future: future.task)

    def run(self, code: str) -> None:
        """Run a cell in the notebook."""
        exec(compile(code, "<cell>", "exec", dont_inherit=True), self.names)

    def __getitem__(self, expression: str) -> Any:
        return eval(expression, self.names)

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function on the engine; return its value, or raise."""
        function, args, kwargs = plain_call(function, args, kwargs)
        dumped = self.functions.dump(function)
        sent = self.arguments.dump(args, kwargs, function)
        inputs = {
            value.task: dump_value(value.value).payload
            for value in [*args, *kwargs.values()]
            if isinstance(value, Promised)
        }
        assert set(inputs) <= set(sent.inputs)
        buffers = [bytes(buffer.raw()) for buffer in sent.buffers]
        answer = self.engine.ask("call", dumped.digest, dumped.payload, sent.payload, buffers, inputs)
        if isinstance(answer, Threw):
            raise load_exception(answer, 2, self.names)
        return load_value(*answer, namespace=self.names)

    def push(self, how: str = "push", /, **values: Any) -> None:
        """Put values into the engine's namespace."""
        sent = self.arguments.dump((), values)
        assert self.engine.ask(how, sent.payload, [bytes(b.raw()) for b in sent.buffers]) is None


@pytest.fixture(scope="module")
def process() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture
def engine(process: Engine) -> Engine:
    process.ask("reset")
    return process


@pytest.fixture
def notebook(engine: Engine) -> Notebook:
    return Notebook(engine)
