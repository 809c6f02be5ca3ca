"""Answers questions about variables while user code computes. Knows no sockets.

On a thread of its own: reading a value may take as long as it likes, and interrupts of calls must not wait for it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from msgspec import DecodeError, msgpack

from nbcluster.engine.describing import describe
from nbcluster.engine.namespaces import Namespaces
from nbcluster.errors import NBClusterError
from nbcluster.protocol.tasks import (
    Answered,
    Ask,
    DescribeNames,
    Failed,
    NameInfo,
    NamesDescribed,
    NamesRead,
    NamesWritten,
    Question,
    ReadNames,
    Reply,
    WriteNames,
)

TRIES = 5
"""Times that a value is read which changes while it is read."""

Send = Callable[[Answered], None]

_questions = msgpack.Decoder(Question)
_encoder = msgpack.Encoder()


class Answers:
    """Answers to questions of clients.

    Parameters
    ----------
    namespaces : Namespaces
        Where the variables are.
    dump : callable
        Pickles a value to bytes without further buffers.
    load : callable
        Unpickles bytes for a namespace, given by its dict.
    """

    def __init__(
        self,
        namespaces: Namespaces,
        dump: Callable[[Any], bytes],
        load: Callable[[bytes, dict[str, Any]], Any],
    ) -> None:
        self._namespaces = namespaces
        self._dump = dump
        self._load = load
        self._asked: queue.SimpleQueue[tuple[Ask, Send]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def take(self, ask: Ask, send: Send) -> None:
        """Answer soon, through `send`, called on another thread."""
        self._asked.put((ask, send))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="nbcluster answers", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while True:
            ask, send = self._asked.get()
            reply = self.answer(ask.question)
            try:
                encoded = _encoder.encode(reply)
            except Exception as error:  # names that are no text, for one
                encoded = _encoder.encode(
                    Failed(f"the answer cannot be sent: {type(error).__name__}: {error}")
                )
            send(Answered(ask.request, encoded))

    def answer(self, question: bytes) -> Reply:
        """Return the answer to an encoded question; what goes wrong is an answer too."""
        try:
            return self._answer(_questions.decode(question))
        except DecodeError as error:
            return Failed(f"this engine cannot read the question: {error}; its version of nbcluster differs")
        except NBClusterError as error:
            return Failed(str(error))
        except Exception as error:
            return Failed(f"{type(error).__name__}: {error}")

    def _answer(self, question: Question) -> Reply:
        match question:
            case DescribeNames(namespace, names):
                return NamesDescribed(self._describe(namespace, names))
            case ReadNames(names, namespace):
                return self._read(names, namespace)
            case WriteNames():
                return self._write(question)
            case _:
                assert_never(question)

    def _describe(self, name: str, names: Sequence[str]) -> tuple[NameInfo, ...]:
        namespace = self._namespaces[name]
        namespace.forget_what_changed()
        found = namespace.names.copy() if names else namespace.users()
        wanted = [each for each in names if each in found] if names else sorted(found)
        return tuple(describe(each, found[each], namespace.digest_of(each)) for each in wanted)

    def _read(self, names: Sequence[str], namespace: str) -> NamesRead:
        variables = self._namespaces[namespace].names
        values: dict[str, bytes] = {}
        unsent: dict[str, str] = {}
        for name in names:
            if name not in variables:
                unsent[name] = f"missing: this engine has no variable {name!r}"
                continue
            try:
                values[name] = self._dump_while_it_changes(variables[name])
            except Exception as error:
                unsent[name] = str(error)
        return NamesRead(values, unsent)

    def _dump_while_it_changes(self, value: Any) -> bytes:
        for _ in range(TRIES - 1):
            try:
                return self._dump(value)
            except RuntimeError:  # "changed size during iteration": user code works on it
                continue
        return self._dump(value)

    def _write(self, question: WriteNames) -> NamesWritten:
        namespace = self._namespaces[question.namespace]
        failed: dict[str, str] = {}
        for name, payload in question.values.items():
            try:
                namespace.bind(name, self._load(payload, namespace.names), question.shipped.get(name, ""))
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {error}"
        for name in question.delete:
            if namespace.names.pop(name, failed) is failed:
                failed[name] = f"missing: this engine has no variable {name!r}"
            namespace.shipped.pop(name, None)
        return NamesWritten(failed)
