"""Fetches large values from the engines that offered them, a few at once. Knows bytes and tickets; never unpickles.

A connection that breaks is made again, and the transfer goes on with the chunk that had not come. When that does not
help, the fetch fails and the caller asks the controller, who knows whether the engine still lives.
"""

from __future__ import annotations

import mmap
import queue
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import zmq
from msgspec import DecodeError, msgpack
from zmq.utils.monitor import parse_monitor_message

from nbcluster.errors import AuthenticationError, NBClusterError
from nbcluster.payload.sizes import readable
from nbcluster.protocol.offers import CHUNK, NotThere, Offer, SendChunks, ShippingReply
from nbcluster.transport.frames import Buffer, Frames

AT_ONCE = 4
"""Values that one process fetches at the same time; others wait."""

BATCH = 8
"""Chunks in one request: an engine that computes gets to it only every few milliseconds."""

WINDOW = 2 * BATCH
"""Chunks that are on their way at most, for each value."""

TRIES = 4
"""Connections in a row that bring nothing before the fetch is given up."""

PAUSE = 0.05
"""Seconds before the second of them; doubled each time."""

CONNECTING = 3.0
"""Seconds that a connection may take until it stands."""

SHUNNED = 60.0
"""Seconds in which an address that could not be reached is not tried again."""

BEAT = 1000
SILENCE = 5000
"""Milliseconds between heartbeats, and without one after which a network counts as cut; they need no interpreter."""

LOOK = 0.5
"""Seconds between two looks whether the value is still wanted."""

OVERHEAD = 1024
"""Bytes that encryption and headers add to a frame at most."""

LARGE = 1 << 20
"""Bytes of a part that gets pages of its own."""

_replies = msgpack.Decoder(ShippingReply)
_encoder = msgpack.Encoder()
_ENDS = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)

Value = tuple[bytes, Sequence[Buffer]]
Context = zmq.Context[zmq.Socket[bytes]]


class NotFetched(Exception):
    """A value could not be fetched directly; the text says why. The controller may still bring it."""

    def __init__(self, why: str, *, is_unreachable: bool = False) -> None:
        super().__init__(why)
        self.is_unreachable = is_unreachable
        """Whether nothing ever came from there."""


class Unwanted(Exception):
    """Nobody waits for the value any more."""


class Broken(Exception):
    """A connection ended, or could not be made."""


class Landing:
    """Where the chunks of one value are put. What is in it can be written to.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of the pickle and of each buffer.

    Raises
    ------
    NBClusterError
        When there is not so much memory.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._total = sum(sizes)
        try:
            self._parts = [_space_of(size) for size in sizes]
        except (MemoryError, OSError, ValueError, OverflowError) as error:
            raise NBClusterError(
                f"there is no memory here for a value of {readable(self._total)}: {error}; have a call on its engine "
                "make it smaller, or write a file"
            ) from error
        self._open = [part for part in reversed(self._parts) if len(part)]
        self.chunks = -(-self._total // CHUNK)
        self.next = 0
        """The chunk that comes next."""

    def put(self, index: int, chunk: memoryview) -> None:
        """Take the next chunk.

        Raises
        ------
        NotFetched
            When it is another, or of another size.
        """
        expected = min(CHUNK, self._total - self.next * CHUNK)
        if index != self.next or len(chunk) != expected:
            raise NotFetched(
                f"chunk {index} of {len(chunk)} bytes came, where chunk {self.next} of {expected} was due"
            )
        self.next += 1
        while len(chunk):
            room = self._open.pop()
            count = min(len(room), len(chunk))
            room[:count] = chunk[:count]
            chunk = chunk[count:]
            if count < len(room):
                self._open.append(room[count:])

    @property
    def value(self) -> Value:
        """The pickle and its buffers, when all has come."""
        payload, *buffers = self._parts
        return bytes(payload), buffers


def _space_of(size: int) -> memoryview:
    if size < LARGE:
        return memoryview(bytearray(size))
    mapped = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a wish: filling takes a third less time
            mapped.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(mapped)


def fetch(context: Context, offer: Offer, is_wanted: Callable[[], bool] = lambda: True) -> Value:
    """Fetch a value; return its pickle and its buffers, which belong to the caller.

    Raises
    ------
    NotFetched
        When it cannot be had from there.
    Unwanted
        When `is_wanted` has said no.
    NBClusterError
        When there is no memory for it here.
    """
    landing = Landing(offer.sizes)
    failures = 0
    pause = threading.Event()
    while landing.next < landing.chunks:
        before = landing.next
        line = _Line(context, offer, is_wanted)
        try:
            line.bring(landing)
        except Broken as error:
            failures = 1 if landing.next > before else failures + 1
            if failures >= TRIES:
                raise NotFetched(
                    f"{offer.url} cannot be reached, {landing.next} of {landing.chunks} chunks have come: {error}",
                    is_unreachable=not landing.next,
                ) from error
            pause.wait(PAUSE * 2 ** (failures - 1))
        finally:
            line.close()
    return landing.value


class _Line:
    """One connection. It does not come back by itself: what is behind the address then might be another process."""

    def __init__(self, context: Context, offer: Offer, is_wanted: Callable[[], bool]) -> None:
        self._offer = offer
        self._is_wanted = is_wanted
        self._frames = Frames(offer.ticket, remember=WINDOW)
        self._nonce = secrets.token_bytes(16)
        dealer = self._dealer = context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.RECONNECT_IVL, -1)
        dealer.setsockopt(zmq.CONNECT_TIMEOUT, int(CONNECTING * 1000))
        dealer.setsockopt(zmq.HANDSHAKE_IVL, int(CONNECTING * 1000))
        dealer.setsockopt(zmq.HEARTBEAT_IVL, BEAT)
        dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, SILENCE)
        dealer.setsockopt(zmq.RCVHWM, 2 * WINDOW)
        dealer.setsockopt(zmq.MAXMSGSIZE, CHUNK + OVERHEAD)
        if offer.curve:
            dealer.curve_publickey, dealer.curve_secretkey = zmq.curve_keypair()
            dealer.curve_serverkey = offer.curve.encode()
        self._monitor = dealer.get_monitor_socket(_ENDS)
        self._poller = zmq.Poller()
        self._poller.register(dealer, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            dealer.connect(offer.url)
        except zmq.ZMQError as error:
            self.close()
            raise NotFetched(f"{offer.url} is no address that can be reached from here: {error}") from error

    def bring(self, landing: Landing) -> None:
        """Bring what has not come yet; may raise Broken at any chunk."""
        asked = landing.next
        while landing.next < landing.chunks:
            while asked < landing.chunks and asked - landing.next <= WINDOW - BATCH:
                count = min(BATCH, landing.chunks - asked)
                self._ask(SendChunks(self._nonce, asked, count))
                asked += count
            reply, buffers = self._open(self._receive())
            if reply.nonce != self._nonce:
                raise NotFetched(f"{self._offer.url} answers to another connection")
            if isinstance(reply, NotThere):
                raise NotFetched(reply.reason)
            if len(buffers) != 1:
                raise NotFetched(f"a chunk came from {self._offer.url} in {len(buffers)} frames")
            landing.put(reply.index, buffers[0])

    def close(self) -> None:
        """End the connection."""
        self._dealer.disable_monitor()
        self._monitor.close(0)
        self._dealer.close(0)

    def _ask(self, request: SendChunks) -> None:
        _, frames = self._frames.pack("SendChunks", _encoder.encode(request))
        try:
            self._dealer.send_multipart([self._offer.task.encode(), *frames], zmq.NOBLOCK)
        except zmq.Again:
            raise Broken("the connection takes no request") from None

    def _receive(self) -> list[zmq.Frame]:
        ended = ""
        while True:
            # What came before the end is read first. A message of which the end cut off a part never comes, though zmq
            # says then for ever that something is there.
            with suppress(zmq.Again):
                return self._dealer.recv_multipart(zmq.NOBLOCK, copy=False)
            if ended:
                raise Broken(ended)
            ready = dict(self._poller.poll(int(LOOK * 1000)))
            if not self._is_wanted():
                raise Unwanted
            if self._monitor in ready:
                told = parse_monitor_message(self._monitor.recv_multipart())
                ended = f"the connection ended ({told['event']!r})"

    def _open(self, frames: list[zmq.Frame]) -> tuple[ShippingReply, list[memoryview]]:
        if len(frames) == 1:
            raise NotFetched(f"{self._offer.url} refused the ticket")
        try:
            message = self._frames.unpack([frame.bytes for frame in frames[:6]])
            return _replies.decode(message.content), [frame.buffer for frame in frames[6:]]
        except (AuthenticationError, DecodeError) as error:
            raise NotFetched(f"{self._offer.url} does not hold the ticket of its offer: {error}") from error


Then = Callable[[Value | Exception], None]
"""Told the value; or NotFetched, Unwanted, or the NBClusterError of a value for which there is no memory."""


class Fetcher:
    """Fetches on threads of its own, at most `AT_ONCE` values at the same time."""

    def __init__(self) -> None:
        self._context: Context | None = None
        self._asked: queue.SimpleQueue[tuple[Offer, Callable[[], bool], Then] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        self._lock = threading.Lock()
        self._under_way = 0
        self._shunned: dict[str, float] = {}

    def fetch(self, offer: Offer, is_wanted: Callable[[], bool], then: Then) -> None:
        """Fetch a value; `then` is told the outcome on a thread of the fetcher."""
        with self._lock:
            if self._is_closed:
                return
            if self._context is None:
                self._context = zmq.Context()
            self._under_way += 1
            if len(self._threads) < min(AT_ONCE, self._under_way):
                thread = threading.Thread(
                    target=self._work, args=(self._context,), name="nbcluster fetch", daemon=True
                )
                self._threads.append(thread)
                thread.start()
        self._asked.put((offer, is_wanted, then))

    @property
    def is_at_work(self) -> bool:
        """Whether it has threads."""
        return bool(self._threads)

    def close(self) -> None:
        """Give up what is under way; nobody is told."""
        with self._lock:
            self._is_closed = True
            for _ in self._threads:
                self._asked.put(None)

    def _work(self, context: Context) -> None:
        self._fetch_all(context)
        with self._lock:
            if len(self._threads) == 1:
                context.term()
            self._threads.remove(threading.current_thread())

    def _fetch_all(self, context: Context) -> None:
        while (asked := self._asked.get()) is not None and not self._is_closed:
            offer, is_wanted, then = asked
            outcome: Value | Exception
            try:
                self._refuse_shunned(offer.url)
                outcome = fetch(context, offer, lambda: not self._is_closed and is_wanted())  # noqa: B023  # ends here
            except (NotFetched, Unwanted, NBClusterError) as error:
                outcome = error
                if isinstance(error, NotFetched) and error.is_unreachable:
                    self._shunned[offer.url] = time.monotonic() + SHUNNED
            except Exception as error:  # whatever it was, who waits is told
                outcome = NotFetched(f"{type(error).__name__}: {error}")
            with self._lock:
                self._under_way -= 1
            if not self._is_closed:
                then(outcome)
            del outcome, then, asked

    def _refuse_shunned(self, url: str) -> None:
        if time.monotonic() < self._shunned.get(url, 0.0):
            raise NotFetched(f"{url} could not be reached a moment ago")
        self._shunned.pop(url, None)
