"""What an engine does with shared memory: values that it keeps, arguments and values that come. Knows no sockets."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from nbcluster.engine import alone
from nbcluster.engine.store import Buffer, Kept, Where
from nbcluster.errors import NBClusterError, ValueReleased
from nbcluster.payload.envelopes import reference_in
from nbcluster.payload.values import Dumped
from nbcluster.protocol.tasks import SEGMENTS
from nbcluster.transport.filling import is_in_memory
from nbcluster.transport.segments import NothingShared, SharedDirectory, engine_owner
from nbcluster.transport.sharedmem import Pool


class Sharing:
    """The shared memory of this engine, or none.

    Parameters
    ----------
    directory : SharedDirectory or None
    owner : str
        Begins the names of the segments that it fills.
    """

    def __init__(self, directory: SharedDirectory | None = None, owner: str = "") -> None:
        self._directory = directory
        self._pool = Pool(directory, owner) if directory is not None else None
        self._is_in_memory = directory is not None and is_in_memory(directory.path)
        self.opened = (directory or NothingShared()).opened

    def look_on(self, disk: SharedDirectory | None) -> None:
        """Look for values in a directory on disk, too."""
        if self._directory is not None:
            self._directory.spilled = disk
        elif disk is not None:
            self.opened = disk.opened

    @property
    def nbytes(self) -> int:
        """Bytes of memory that this engine has filled and shares, or keeps to fill again; files on a disk are none."""
        return self._pool.nbytes if self._pool is not None and self._is_in_memory else 0

    @classmethod
    def from_environment(cls, incarnation: int, complain: Callable[[str], None]) -> Sharing:
        """Open the directory that the environment names; the variable is taken out of it."""
        path = os.environ.pop(SEGMENTS, "")
        if not path:
            return cls()
        try:
            return cls(SharedDirectory(path), engine_owner(incarnation))
        except (OSError, NBClusterError) as error:
            complain(f"this engine shares no memory: {error}")
            return cls()

    def fill(self, envelope: bytes, at: int, part: memoryview) -> bool:
        """Write a part of what a client joins into its shared memory; False when that cannot be."""
        reference = reference_in(envelope)
        if reference is None or self._directory is None:
            return False
        try:
            self._directory.fill(reference, at, part)
        except (OSError, ValueReleased):  # it is full; this host is another; the client waits no more
            return False
        return True

    @property
    def is_on(self) -> bool:
        """Whether references to shared memory mean something here."""
        return self._directory is not None

    def keep(self, dumped: Dumped) -> Kept:
        """Return what is kept of a value: in shared memory where it is large, else buffers that nobody changes."""
        if self._pool is not None:
            shared = self._pool.share(dumped.payload, [buffer.raw() for buffer in dumped.buffers])
            if shared is not None:
                envelope, lease = shared
                return Kept(envelope, lease=lease, shared=lease.nbytes, where=self._where(Where.SEGMENT))
        return Kept(dumped.payload, tuple(map(alone.kept, dumped.buffers)))

    def adopt(self, payload: bytes) -> Kept:
        """Return what is kept of a value that a client has pickled: in its segment, which is held.

        Raises
        ------
        NBClusterError
            When it cannot be had.
        """
        reference = reference_in(payload)
        if reference is None or self._directory is None:
            return Kept(payload)
        hold = self._directory.hold(reference)
        return Kept(payload, lease=hold, shared=reference.nbytes, where=self._where(Where.ADOPTED))

    def _where(self, shared: Where) -> Where:
        return shared if self._is_in_memory else Where.FILE

    def hold(self, payload: bytes) -> Kept | None:
        """Return the value that an envelope means, held; None when it means nothing here, or nothing any more."""
        if self._directory is None:
            return None
        try:
            return self.adopt(payload)
        except NBClusterError:
            return None

    def told(self, kept: Kept) -> bytes | None:
        """Return what can be told of a value in its place; None where others could make nothing of it."""
        return kept.envelope if self._directory is not None else None

    def send(self, kept: Kept, *, whole: bool) -> tuple[bytes, Sequence[Buffer]]:
        """Return payload and buffers of a value for who asks for it; `whole` for its bytes, wherever they lie."""
        if whole or self._directory is None:
            return self.opened(kept.payload, kept.buffers)
        return kept.payload, kept.buffers

    def trim(self) -> None:
        """Let go of memory after values were dropped."""
        if self._pool is not None:
            self._pool.trim()

    def relieve(self) -> None:
        """Let go of all memory in which no value is."""
        if self._pool is not None:
            self._pool.trim(0)

    def close(self) -> None:
        """Unlink what nobody needs."""
        if self._pool is not None:
            self._pool.close()


_installed = Sharing()


def install(sharing: Sharing) -> None:
    """Make this the shared memory of this process."""
    global _installed
    _installed = sharing


def current_sharing() -> Sharing:
    """Return the shared memory of this engine, if it has any."""
    return _installed
