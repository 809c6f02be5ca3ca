"""What a client does with shared memory: arguments that it sends, values that come. Knows no messages."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Sequence

from nbcluster.errors import NBClusterError
from nbcluster.ids import ClientId, TaskId
from nbcluster.payload.envelopes import SegmentRef
from nbcluster.payload.values import Dumped
from nbcluster.transport.filling import is_in_memory
from nbcluster.transport.frames import Buffer
from nbcluster.transport.rendezvous import ConnectionFile
from nbcluster.transport.segments import NothingShared, SharedDirectory, client_owner
from nbcluster.transport.sharedmem import WARM, Lease, Pool

MOST_WARM = 4 << 30
"""Bytes that a client keeps to be filled again at most, in memory; a quarter of what the cluster may share is less."""

log = logging.getLogger(__name__)


class Sharing:
    """The shared memory of one client and its cluster; none before it is attached, or where they are apart."""

    def __init__(self) -> None:
        self._directory: SharedDirectory | NothingShared = NothingShared()
        self._pool: Pool | None = None
        self._owner = ""
        self._leases: dict[TaskId, Lease] = {}

    def attach(self, file: ConnectionFile, client: ClientId) -> None:
        """Share with a cluster, if it is of this host and boot."""
        if not (file.shared and file.is_here()):
            return
        try:
            self._directory = directory = SharedDirectory(file.shared)
        except (OSError, NBClusterError) as error:
            log.warning("no memory is shared with the cluster %r: %s", file.name, error)
            return
        warm = max(WARM, min(MOST_WARM, directory.limit // 4)) if is_in_memory(file.shared) else WARM
        self._owner = client_owner(client)
        self._pool = Pool(directory, self._owner, warm=warm, spares=True)

    @property
    def is_on(self) -> bool:
        """Whether references to shared memory mean something here."""
        return self._pool is not None

    def share(self, dumped: Dumped) -> tuple[bytes, Lease] | None:
        """Put something large into shared memory; None when it has to travel as it is."""
        if self._pool is None:
            return None
        return self._pool.share(dumped.payload, [buffer.raw() for buffer in dumped.buffers])

    def reserve(self, nbytes: int) -> tuple[SegmentRef, Lease] | None:
        """Take shared memory for engines to fill; None when there is none to be had."""
        return None if self._pool is None else self._pool.reserve(nbytes)

    def new_path(self, nbytes: int) -> str | None:
        """Return a path for a file of ours that engines of this host map; None when there is no room for one.

        It is to be removed here, and is removed by the cluster when this process has ended without that.
        """
        directory = self._directory
        if not isinstance(directory, SharedDirectory) or directory.used + nbytes > directory.limit:
            return None
        return os.path.join(directory.path, f"{self._owner}-{secrets.randbelow(10**11) + 10**11}")

    def opened(self, payload: bytes, buffers: Sequence[Buffer]) -> tuple[bytes, Sequence[Buffer]]:
        """Return a pickle and its buffers, mapped where they lie in shared memory. See `SharedDirectory.opened`."""
        return self._directory.opened(payload, buffers)

    def keep(self, task: TaskId, lease: Lease) -> None:
        """Keep the arguments of a call until it ends."""
        self._leases[task] = lease

    def ended(self, task: TaskId) -> None:
        """A call will not need its arguments any more."""
        if self._leases.pop(task, None) is not None and self._pool is not None:
            self._pool.trim()

    def close(self) -> None:
        """Fill nothing any more. What calls on the cluster still need stays until they have ended."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        self._leases.clear()
