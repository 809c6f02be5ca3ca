"""An engine's end of the task channel: signed frames to the controller and back. Knows no calls.

The agent's thread receives; any thread sends.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from nbcluster.engine.linkends import open_end
from nbcluster.errors import AuthenticationError, VersionMismatch
from nbcluster.protocol.codec import decode_to_engine, encode_task
from nbcluster.protocol.tasks import FromEngine, ToEngine
from nbcluster.transport.frames import Buffer, Frames

REMEMBERED = 8_192
"""Signatures that are remembered against replays; each takes 200 bytes."""


class TaskLink:
    """A connection to the controller's task channel, from its making on.

    Parameters
    ----------
    url : str
        Of the controller's hub; after a space, its public Curve key.
    identity : bytes
        The engine's identity there.
    key : bytes
        The key of the engine's connection file, which signs both directions.
    complain : callable
        Told in a sentence of messages that cannot be read.

    Raises
    ------
    OSError
        When nobody listens at a local address.
    """

    def __init__(self, url: str, identity: bytes, key: bytes, complain: Callable[[str], None]) -> None:
        self.lock = threading.RLock()
        """Held for whatever must not come between a look and a message; sending takes it anyway."""
        self._complain = complain
        self._frames = Frames(key, remember=REMEMBERED)
        self._unsent: deque[list[Buffer]] = deque()
        self._end = open_end(url, identity)
        self._is_closed = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poll = select.poll()
        self._poll.register(self._wake_read, select.POLLIN)

    # -- on any thread -----------------------------------------------------------------------

    def send(self, message: FromEngine, buffers: Sequence[Buffer] = ()) -> None:
        """Send a message, or keep it until the controller takes it. Never waits."""
        with self.lock:
            if self._is_closed:
                return
            msg_type, content = encode_task(message)
            _, frames = self._frames.pack(msg_type, content, buffers=buffers)
            if self._unsent or not self._end.send(frames):
                self._unsent.append(frames)
            is_to_be_looked_at = self._end.is_to_be_looked_at()
        if is_to_be_looked_at:
            self.wake()

    @property
    def is_stuck(self) -> bool:
        """Whether messages wait for the controller to take them."""
        return bool(self._unsent)

    def wake(self) -> None:
        """Have `wait` return."""
        with suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    # -- on the agent's thread ---------------------------------------------------------------

    def wait(self, seconds: float | None) -> None:
        """Return when something may have come, someone has called `wake`, or the time is over.

        Only what comes after a look (`receive`, `has_reconnected`) is noticed, so look first.
        """
        with self.lock:
            self._end.register(self._poll)
        for descriptor, _ in self._poll.poll(None if seconds is None else seconds * 1000):
            if descriptor == self._wake_read:
                with suppress(BlockingIOError):
                    while len(os.read(self._wake_read, 4096)) == 4096:
                        pass

    def has_reconnected(self) -> bool:
        """Whether the connection was made anew since this was last asked."""
        return self._end.has_reconnected()

    def receive(self) -> list[tuple[ToEngine, Sequence[Buffer]]]:
        """Return the messages that have come, each with its frames; some may be left for the next time."""
        with self.lock:
            while self._unsent and self._end.send(self._unsent[0]):
                self._unsent.popleft()
            received, has_more = self._end.receive()
        if has_more:
            self.wake()
        messages: list[tuple[ToEngine, Sequence[Buffer]]] = []
        for frames in received:
            try:
                message = self._frames.unpack(frames)
                messages.append((decode_to_engine(message.content), message.buffers))
            except (AuthenticationError, VersionMismatch) as error:
                self._complain(str(error))
        return messages

    def close(self) -> None:
        """End the connection; what was not sent is dropped."""
        with self.lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._end.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
