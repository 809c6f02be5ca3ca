"""Who is connected, and how much each has taken. Knows no tasks.

Sending never blocks the controller: what a client has not acknowledged is counted, and output beyond a limit is
dropped and counted, so that a client that does not read costs bounded memory. Answers and ends are never dropped;
values are not sent to a client that has not read those before.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from nbcluster.ids import CellId, ClientId
from nbcluster.protocol.calls import CallOutput, CallsAccepted, CallsDone, ValueBytes, weight
from nbcluster.protocol.codec import is_bulk
from nbcluster.protocol.messages import (
    Answer,
    Bundle,
    FromController,
    Hello,
    Notice,
    Part,
    Request,
    TaskOutput,
)
from nbcluster.transport.frames import Buffer
from nbcluster.transport.rendezvous import is_alive
from nbcluster.transport.turns import at_end_of_turn
from nbcluster.transport.wire import Wire

BEAT_INTERVAL = 5.0
"""Seconds between the beats of a client."""

SILENT_AFTER = 4 * BEAT_INTERVAL
"""Seconds without a word after which a client counts as gone."""

ACCEPT_WITHIN = 0.005
"""Seconds in which a client is told that its calls were taken, if no call of its ends before."""

UNREAD_LIMIT = 256 << 20
"""Bytes of output that may lie unacknowledged before more is dropped."""


@dataclass(slots=True)
class ClientLink:
    """One connected client."""

    id: ClientId
    label: str
    language: str
    heard: float
    pid: int
    """Its process on this host; 0 when it is elsewhere or does not say."""
    inside: bool = False
    """It serves the tasks on an engine: nobody's use of the cluster by itself."""
    sent: int = 0
    received: int = 0
    postponed: deque[Callable[[], None]] = field(default_factory=deque)
    """What is to be brought once it has read what was sent."""

    @property
    def unread(self) -> int:
        """Bytes of output on their way."""
        return self.sent - self.received


class Clients:
    """Every connected client, by id; the id is the identity of its socket."""

    def __init__(self) -> None:
        self._by_id: dict[ClientId, ClientLink] = {}
        self._dropped: dict[CellId, int] = {}
        self._outbox: dict[bytes, list[tuple[Part, Sequence[Buffer]]]] = {}
        self._accepted: dict[bytes, list[tuple[str, int]]] = {}
        self._is_accept_due = False
        self.wire: Wire[Request] | None = None

    def __len__(self) -> int:
        """Count those for whom the cluster stays."""
        return sum(not link.inside for link in self._by_id.values())

    @property
    def ids(self) -> list[ClientId]:
        """Everyone who is connected."""
        return list(self._by_id)

    def __contains__(self, client: ClientId) -> bool:
        return client in self._by_id

    def join(self, hello: Hello, now: float) -> ClientLink:
        """Note a client; a second Hello of the same one starts its counts again."""
        pid = hello.pid if hello.host == socket.gethostname() else 0
        link = ClientLink(hello.client, hello.label, hello.language, now, pid, inside=hello.inside)
        self._by_id[hello.client] = link
        return link

    def leave(self, client: ClientId) -> bool:
        """Forget a client; False when it was not there."""
        return self._by_id.pop(client, None) is not None

    def heard(self, client: ClientId, now: float) -> ClientLink | None:
        """Note a word of a client; None when it is not known."""
        link = self._by_id.get(client)
        if link is not None:
            link.heard = now
        return link

    def acknowledge(self, client: ClientId, received: int) -> None:
        """Note how many bytes of output it has taken."""
        link = self._by_id.get(client)
        if link is None:
            return
        link.received = received
        while link.postponed and link.unread <= UNREAD_LIMIT:
            link.postponed.popleft()()

    def gone(self, now: float) -> list[ClientId]:
        """The clients whose process has ended, or, where that cannot be seen, that say nothing for too long."""
        return [
            link.id
            for link in self._by_id.values()
            if (not is_alive(link.pid) if link.pid else now - link.heard > SILENT_AFTER)
        ]

    def labels(self, *, but: ClientId | None = None) -> tuple[str, ...]:
        """The labels of those connected for whom the cluster stays; `but` leaves out that client's process.

        A notebook that ran `%cluster start` or ``Cluster(n)`` twice has several connections, and is one user.
        """
        asking = self._by_id.get(but) if but is not None else None
        return tuple(
            sorted(
                link.label
                for link in self._by_id.values()
                if not link.inside
                and link.id != but
                and not (asking is not None and asking.pid and asking.pid == link.pid)
            )
        )

    def label(self, client: ClientId) -> str:
        """How others know it."""
        link = self._by_id.get(client)
        return link.label if link is not None else "a client"

    def is_inside(self, client: ClientId) -> bool:
        """Whether it is a task on an engine."""
        link = self._by_id.get(client)
        return link is not None and link.inside

    def find(self, prefix: str) -> ClientId | None:
        """The client whose id begins so; None when it is not there."""
        return next((client for client in self._by_id if prefix and client.startswith(prefix)), None)

    def is_behind(self, client: ClientId) -> bool:
        """Whether it has not read more than it may leave unread."""
        link = self._by_id.get(client)
        return link is not None and link.unread > UNREAD_LIMIT

    def is_silent(self, client: ClientId, now: float, seconds: float) -> bool:
        """Whether it has said nothing for so long."""
        link = self._by_id.get(client)
        return link is not None and now - link.heard > seconds

    def when_read(self, client: ClientId, bring: Callable[[], None]) -> None:
        """Call a function at once, or when a client that is behind has read what it was sent."""
        link = self._by_id.get(client)
        if link is not None and (link.postponed or link.unread > UNREAD_LIMIT):
            link.postponed.append(bring)
        else:
            bring()

    def tell(self, client: ClientId, notice: Notice, buffers: Sequence[Buffer] = ()) -> None:
        """Send a notice, if the client is still there."""
        if client in self._by_id:
            self.send(client.encode(), notice, "", buffers)

    def send(
        self, ident: bytes, message: Answer | Notice, parent_id: str, buffers: Sequence[Buffer] = ()
    ) -> None:
        """Send a message to whoever has this identity, together with what else is said in this turn of the loop."""
        if not self._outbox:
            at_end_of_turn(self.flush)
        self._outbox.setdefault(ident, []).append((Part(parent_id, message), buffers))

    def accept(self, ident: bytes, msg_id: str, count: int) -> None:
        """Tell a client that its calls were taken: with the ends of calls, or soon. A message costs a wake-up."""
        if not self._is_accept_due:
            self._is_accept_due = True
            asyncio.get_running_loop().call_later(ACCEPT_WITHIN, self._tell_accepted)
        self._accepted.setdefault(ident, []).append((msg_id, count))

    def _tell_accepted(self) -> None:
        self._is_accept_due = False
        accepted, self._accepted = self._accepted, {}
        for ident, messages in accepted.items():
            for msg_id, count in messages:
                self.send(ident, CallsAccepted(count), msg_id)

    def flush(self) -> None:
        """Send what was said: in order, and together what may go together."""
        outbox, self._outbox = self._outbox, {}
        for ident, said in outbox.items():
            together: list[Part] = []
            for part, buffers in said:
                if together and not _may_join(together, part, buffers):
                    self._send_together(ident, together)
                    together = []
                if buffers:
                    self._send(part.message, ident, part.parent, buffers)
                else:
                    together.append(part)
            if together:
                self._send_together(ident, together)

    def _send_together(self, ident: bytes, parts: list[Part]) -> None:
        first = parts[0]
        if isinstance(first.message, CallsDone):
            ends = chain.from_iterable(part.message.calls for part in parts)  # type: ignore[union-attr]  # see _may_join
            self._send(CallsDone(tuple(ends), tuple(self._accepted.pop(ident, ()))), ident)
        elif len(parts) == 1:
            self._send(first.message, ident, first.parent)
        else:
            self._send(Bundle(tuple(parts)), ident)

    def _send(
        self, message: FromController, ident: bytes, parent_id: str = "", buffers: Sequence[Buffer] = ()
    ) -> None:
        if self.wire is not None:
            self.wire.send(message, ident=ident, parent_id=parent_id, buffers=buffers)

    def tell_all(self, notice: Notice) -> None:
        """Send a notice to everyone."""
        for client in list(self._by_id):
            self.tell(client, notice)

    def tell_output(self, client: ClientId, notice: TaskOutput, buffers: Sequence[Buffer]) -> None:
        """Send output, or drop it where too much lies unread."""
        link = self._by_id.get(client)
        if link is None:
            return
        size = len(bytes(notice.content)) + sum(len(buffer) for buffer in buffers)
        if link.unread + size > UNREAD_LIMIT:
            self._dropped[notice.cell] = self._dropped.get(notice.cell, 0) + 1
            return
        link.sent += size
        self.tell(client, notice, buffers)

    def tell_calls(self, client: ClientId, notice: CallsDone | CallOutput) -> None:
        """Send a notice that counts as unread until it is acknowledged."""
        link = self._by_id.get(client)
        if link is not None:
            link.sent += weight(notice)
            self.send(client.encode(), notice, "")

    def send_value(
        self, client: ClientId, value: ValueBytes, parent_id: str, buffers: Sequence[Buffer]
    ) -> None:
        """Answer with a value, which counts as unread until it is acknowledged."""
        link = self._by_id.get(client)
        if link is not None:
            link.sent += weight(value)
            self.send(client.encode(), value, parent_id, buffers)

    def take_dropped(self, cell: CellId) -> int:
        """How many outputs of a cell were dropped since it was last asked."""
        return self._dropped.pop(cell, 0)


def _may_join(together: list[Part], part: Part, buffers: Sequence[Buffer]) -> bool:
    """Whether one message can hold this too: plain ones in a bundle, ends of calls in one list."""
    if buffers:
        return False
    first = together[0].message
    if isinstance(first, CallsDone):
        return isinstance(part.message, CallsDone)
    return not is_bulk(first) and not is_bulk(part.message)
