"""The bytes of functions, once for each digest, and which of them every engine has been sent. Never looks into them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from nbcluster.ids import ClientId
from nbcluster.protocol.calls import FUNCTIONS_KEPT

SENT_FUNCTIONS = 512
"""Functions that an engine keeps at most, those in use aside."""

SENT_BYTES = 64 << 20
"""The bytes of those."""


@dataclass(slots=True)
class _Function:
    blob: bytes
    uses: int = 0
    clients: set[ClientId] = field(default_factory=set)


class Functions:
    """Functions that calls name: kept while a call may run it, and for the client that sent it lately."""

    def __init__(self) -> None:
        self._by_digest: dict[str, _Function] = {}
        self._sent_by: dict[ClientId, OrderedDict[str, int]] = {}
        self._bytes_of: dict[ClientId, int] = {}
        self.nbytes = 0

    def __contains__(self, digest: str) -> bool:
        return digest in self._by_digest

    def __getitem__(self, digest: str) -> bytes:
        return self._by_digest[digest].blob

    def size(self, digest: str) -> int:
        """Bytes of a function."""
        return len(self._by_digest[digest].blob)

    def offer(self, client: ClientId, functions: dict[str, bytes]) -> None:
        """Keep what a client sent."""
        sent = self._sent_by.setdefault(client, OrderedDict())
        for digest, blob in functions.items():
            function = self._by_digest.get(digest)
            if function is None:
                function = self._by_digest[digest] = _Function(blob)
                self.nbytes += len(blob)
            function.clients.add(client)
            if digest not in sent:
                self._bytes_of[client] = self._bytes_of.get(client, 0) + len(blob)
            sent[digest] = len(blob)
            sent.move_to_end(digest)

    def trim(self, client: ClientId) -> None:
        """Forget what a client sent long ago, beyond the bound."""
        sent = self._sent_by.get(client, OrderedDict())
        while len(sent) > 1 and self._bytes_of[client] - next(reversed(sent.values())) > FUNCTIONS_KEPT:
            digest, size = sent.popitem(last=False)
            self._bytes_of[client] -= size
            self._forgotten_by(client, digest)

    def use(self, digest: str) -> None:
        """A call may run it."""
        self._by_digest[digest].uses += 1

    def unuse(self, digest: str) -> None:
        """A call that could run it will not any more."""
        function = self._by_digest[digest]
        function.uses -= 1
        if not function.uses and not function.clients:
            self._drop(digest)

    def forget_client(self, client: ClientId) -> None:
        """A client has gone and will not name what it has sent."""
        self._bytes_of.pop(client, None)
        for digest in self._sent_by.pop(client, ()):
            self._forgotten_by(client, digest)

    def _forgotten_by(self, client: ClientId, digest: str) -> None:
        function = self._by_digest[digest]
        function.clients.discard(client)
        if not function.uses and not function.clients:
            self._drop(digest)

    def _drop(self, digest: str) -> None:
        self.nbytes -= len(self._by_digest.pop(digest).blob)


@dataclass(slots=True)
class _Sent:
    size: int
    uses: int = 0


class SentFunctions:
    """What one incarnation of an engine has been sent and not told to forget."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, _Sent] = OrderedDict()
        self._nbytes = 0

    def begin(self, digest: str, size: int) -> bool:
        """A call is sent there; return whether its function must go with it."""
        known = self._sent.get(digest)
        if known is not None:
            known.uses += 1
            return False
        self._sent[digest] = _Sent(size, 1)
        self._nbytes += size
        return True

    def end(self, digest: str) -> None:
        """A call that was sent there is not there any more."""
        known = self._sent.get(digest)
        if known is not None:
            known.uses -= 1

    def surplus(self) -> tuple[str, ...]:
        """What is to be forgotten there: the oldest beyond the bounds that no call there needs."""
        if len(self._sent) <= SENT_FUNCTIONS and self._nbytes <= SENT_BYTES:
            return ()
        too_much = []
        count, nbytes = len(self._sent), self._nbytes
        for digest, sent in self._sent.items():
            if count <= SENT_FUNCTIONS and nbytes <= SENT_BYTES:
                break
            if not sent.uses:
                too_much.append(digest)
                count, nbytes = count - 1, nbytes - sent.size
        for digest in too_much:
            del self._sent[digest]
        self._nbytes = nbytes
        return tuple(too_much)
