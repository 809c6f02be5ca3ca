"""Keeps arguments in shared memory where they are when their client does so no longer. Reads none of them."""

from __future__ import annotations

import logging
import weakref

from nbcluster.core.recipes import HELD_MOST
from nbcluster.errors import NBClusterError
from nbcluster.payload.envelopes import reference_in
from nbcluster.transport.segments import Hold, SharedDirectory

log = logging.getLogger(__name__)

MOST = HELD_MOST
"""Segments that are held at a time: each takes a descriptor of this process, which engines and clients need too."""


class Holds:
    """The segments of one cluster that its controller holds.

    Parameters
    ----------
    path : str
        The directory of shared memory; "" when the cluster has none.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._directory: SharedDirectory | None = None
        self._held: weakref.WeakSet[Hold] = weakref.WeakSet()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, envelope: bytes) -> Hold | None:
        """Keep what an envelope means while the returned object lives; None when it is gone, or there are too many."""
        if not self._path or len(self._held) >= MOST:
            return None
        try:
            if self._directory is None:
                self._directory = SharedDirectory(self._path)
            reference = reference_in(envelope)
            if reference is None:
                return None
            hold = self._directory.hold(reference)
        except (OSError, NBClusterError) as error:
            log.warning("arguments in shared memory cannot be held, to run a call again: %s", error)
            return None
        self._held.add(hold)
        return hold
