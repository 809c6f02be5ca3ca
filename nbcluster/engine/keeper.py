"""Keeps the values of calls within the memory that this engine may use, the rest on disk. Knows no sockets.

Values go to disk on a thread of its own, so that neither calls nor the agent wait for it. Who makes values faster than
the disk takes them waits for his own alone.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct

from nbcluster.engine import pressure
from nbcluster.engine.disk import Disk
from nbcluster.engine.meters import Meter
from nbcluster.engine.pressure import Limits, Use
from nbcluster.engine.sharing import Sharing
from nbcluster.engine.store import IN_MEMORY, Kept, Store, Where
from nbcluster.errors import NBClusterError
from nbcluster.payload.sizes import readable
from nbcluster.payload.values import Dumped
from nbcluster.protocol.tasks import MEMORY, NUMBER, SPILLED
from nbcluster.transport.segments import SpillDirectory, engine_owner

GUESSED = 64 << 20
"""Bytes that are kept before what is used is measured again."""

AGAIN = 300.0
"""Seconds after which a warning is given again."""

RETRY = 5.0
"""Seconds after a disk refused a value before another is tried."""


class NoRoom(Exception):
    """A value can be kept neither in memory nor on disk. The text says it to the user."""


class Held(Struct, frozen=True):
    """What an engine keeps. Bytes."""

    limit: int
    used: int
    kept: int
    """Of values in memory."""
    spilled: int
    """Of values on disk."""
    note: str
    """What a user should know; "" when there is nothing."""
    paused: bool
    """Whether no further call begins."""


class Keeper:
    """Keeps values, in memory or on disk.

    Parameters
    ----------
    store : Store
    sharing : Sharing
    meter : Meter
    limits : Limits
    disk : Disk or None
        None where there is no place for values.
    number : str
        The engine's, for messages.
    """

    def __init__(
        self,
        store: Store,
        sharing: Sharing,
        meter: Meter,
        limits: Limits,
        disk: Disk | None = None,
        number: str = "",
    ) -> None:
        self.limits = limits
        self._store = store
        self._sharing = sharing
        self._meter = meter
        self._disk = disk
        self._who = f"engine {number}" if number else "this engine"
        self._last = Use(0, 1 << 62)
        self._since = GUESSED
        self._relieving = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._refused = ""
        self._refused_at = -RETRY
        self._told: dict[str, float] = {}
        self.on_relief: Callable[[], None] = lambda: None
        """Called on another thread when values have gone to disk."""
        self.on_want: Callable[[], None] = lambda: None
        """Called on any thread when memory is wanted: what is kept though no value is in it is to go."""

    @classmethod
    def from_environment(
        cls, incarnation: int, store: Store, sharing: Sharing, complain: Callable[[str], None]
    ) -> Keeper:
        """Open what the environment names; the variables are taken out of it."""
        meter = Meter()
        limits = limits_from(os.environ.pop(MEMORY, ""), meter.total)
        path = os.environ.pop(SPILLED, "")
        disk = None
        if path:
            try:
                disk = Disk(SpillDirectory(path), engine_owner(incarnation))
            except (OSError, NBClusterError) as error:
                complain(f"values that do not fit into memory cannot be written to disk: {error}")
        sharing.look_on(disk.directory if disk is not None else None)
        return cls(store, sharing, meter, limits, disk, os.environ.get(NUMBER, ""))

    # -- on the main thread ------------------------------------------------------------------

    def keep(self, task: str, dumped: Dumped) -> Kept:
        """Keep a value until it is dropped.

        Raises
        ------
        NoRoom
            When there is room for it neither in memory nor on disk.
        """
        nbytes = dumped.nbytes
        kept = self._sharing.keep(dumped) if self._has_room(nbytes) else self._keep_elsewhere(dumped, nbytes)
        self._store.keep(task, kept)
        self._since += nbytes
        if pressure.wants_relief(self._guess(), self.limits):
            self.relieve_soon()
        return kept

    def adopt(self, task: str, payload: bytes) -> Kept:
        """Keep a value that a client has put into shared memory.

        Raises
        ------
        NBClusterError
            When it cannot be had.
        """
        kept = self._sharing.adopt(payload)
        self._store.keep(task, kept)
        self._since += kept.nbytes
        if pressure.wants_relief(self._guess(), self.limits):
            self.relieve_soon()
        return kept

    def _guess(self) -> Use:
        return Use(self._last.used + self._since, self._last.available - self._since)

    def _has_room(self, nbytes: int) -> bool:
        if self._since + nbytes < GUESSED and pressure.has_room(self._guess(), self.limits, nbytes):
            return True
        if pressure.has_room(self.measure(), self.limits, nbytes):
            return True
        self.relieve()
        return pressure.has_room(self.measure(), self.limits, nbytes)

    def _keep_elsewhere(self, dumped: Dumped, nbytes: int) -> Kept:
        try:
            return self._straight_to_disk(dumped)
        except OSError as error:
            self._note_refusal(error)
        use = self.measure()
        if pressure.may_stay(use, self.limits, nbytes):
            return self._sharing.keep(dumped)
        raise NoRoom(
            f"the result has {readable(nbytes)}, and {self._who} can keep it neither in memory "
            f"({self._of_what(use)}) nor on disk ({self._refused}); the results before it are kept. "
            f"{self._advice()}"
        )

    def _straight_to_disk(self, dumped: Dumped) -> Kept:
        if self._disk is None:
            raise OSError(0, "there is no directory for it; NBCLUSTER_SPILL names one")
        return self._disk.write(dumped.payload, [buffer.raw() for buffer in dumped.buffers])

    # -- on any thread -----------------------------------------------------------------------

    def measure(self) -> Use:
        """Measure what is used now."""
        used = self._meter.own() + self._sharing.nbytes + self._store.bytes_in(Where.ADOPTED)
        self._last, self._since = Use(used, self._meter.available()), 0
        return self._last

    def look(self) -> Held:
        """Measure, have values go to disk if they should, and return how it stands."""
        use = self.measure()
        if not pressure.may_begin(use, self.limits):
            self._drop_spares()  # for want of what nobody uses no call should wait
            use = self.measure()
        relief = pressure.wants_relief(use, self.limits)
        if relief:
            self.relieve_soon()
        paused = not pressure.may_begin(use, self.limits)
        return Held(
            self.limits.limit,
            use.used,
            self._store.bytes_in(*IN_MEMORY),
            self._store.on_disk,
            self._note(use, paused=paused) if relief or paused else "",
            paused,
        )

    def relieve_soon(self) -> None:
        """Have values go to disk, on another thread."""
        if self._wanted.is_set() or time.monotonic() - self._refused_at < RETRY:
            return
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="nbcluster spill", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()  # before looking: whoever asks from here on has another look taken
            moved = self.relieve()
            if moved:
                self.on_relief()

    def relieve(self) -> int:
        """Have values go to disk until enough have, or no more can; return how many did."""
        with self._relieving:
            moved = 0
            while pressure.wants_relief(self.measure(), self.limits):
                self._drop_spares()
                values = self._store.in_memory()
                some = [self._move(task) for task in pressure.to_spill(self.measure(), self.limits, values)]
                moved += sum(some)
                if not any(some):
                    break
            if moved:
                _give_back()
            return moved

    def _drop_spares(self) -> None:
        self._sharing.relieve()
        self.on_want()

    def _move(self, task: str) -> bool:
        kept = self._store.peek(task)
        if kept is None or kept.where not in IN_MEMORY or self._disk is None:
            return False
        now = time.monotonic()
        if now - self._refused_at < RETRY:
            return False
        try:
            moved = self._store.replace(task, kept, self._disk.move(kept))
        except OSError as error:
            self._note_refusal(error)
            return False
        self._refused = ""
        del kept  # what it was in may be given back now
        self._sharing.relieve()
        return moved

    def _note_refusal(self, error: OSError) -> None:
        where = f" ({self._disk.directory.path})" if self._disk is not None else ""
        self._refused = f"{error.strerror or error}{where}"
        self._refused_at = time.monotonic()

    # -- words -------------------------------------------------------------------------------

    def word(self, now: float) -> str:
        """Return what is to be told with the output of the call that ends now; "" for nothing.

        Parameters
        ----------
        now : float
            Seconds on a clock that goes on; a warning is given again after some time.
        """
        if not self._refused and not self._store.on_disk:
            return ""
        kind = "refused" if self._refused else "spilled"
        if now - self._told.get(kind, -AGAIN) < AGAIN:
            return ""
        self._told[kind] = now
        return f"nbcluster: {self._note(self._guess(), paused=False)}\n"

    def _note(self, use: Use, *, paused: bool) -> str:
        spilled = self._store.on_disk
        text = f"{self._who} uses {self._of_what(use)}"
        if spilled:
            text += f"; results of {readable(spilled)} that were not used lately lie on disk"
        if self._refused:
            text += f"; no more can be written there: {self._refused}; they stay in memory"
        if paused:
            text += "; it begins no further calls until some is free"
        return f"{text}. {self._advice()}"

    def _of_what(self, use: Use) -> str:
        kept = self._store.bytes_in(*IN_MEMORY)
        limit = f" of the {readable(self.limits.limit)} it may" if self.limits.limit else ""
        held = f", {readable(kept)} of it for results" if kept else ""
        free = ""
        if use.available < 2 * self.limits.reserve:
            free = f", and its host has {readable(max(0, use.available))} available"
        return f"{readable(use.used)} of memory{limit}{held}{free}"

    def _advice(self) -> str:
        return (
            "Drop Futures that are not needed (cluster.describe() shows them), delete variables on the engine, "
            "or give it more with memory_limit="
        )


def limits_from(text: str, total: int) -> Limits:
    """Read limits as an engine is told them: bytes, or "/n" for an n-th of what the host has.

    Parameters
    ----------
    text : str
    total : int
        Bytes of the host's memory.
    """
    reserve = pressure.reserve_of(total)
    if text.startswith("/"):
        return Limits(max(total - reserve, 0) // max(1, int(text[1:])), reserve=reserve)
    return Limits(int(text or 0), strict=bool(int(text or 0)), reserve=reserve)


def _give_back() -> None:
    """Have the C library give memory that is free back to the system; it keeps small pieces otherwise."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
