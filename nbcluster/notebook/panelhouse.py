"""Where the launcher finds and makes clusters, kernels and launchers: the client's side of it. Shows nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import MutableMapping
from importlib.metadata import entry_points
from typing import Any, cast

from jupyter_client.kernelspec import KernelSpecManager

from nbcluster.client.aio import AsyncCluster
from nbcluster.client.cluster import Cluster
from nbcluster.client.facades import facade_of, twin_of
from nbcluster.client.naming import client_label, default_name
from nbcluster.drawing.panel import Offers
from nbcluster.launchers.base import ENTRY_POINTS
from nbcluster.notebook.clustergrammar import Start
from nbcluster.notebook.paneldesk import Twin
from nbcluster.transport.rendezvous import list_clusters

NAME = "cluster"
"""What a cluster is called in the notebook."""


class ClientHouse:
    """The clusters of this machine, and the notebook whose `cluster` one of them becomes.

    Parameters
    ----------
    user_ns : mutable mapping
        The notebook's names.
    """

    def __init__(self, user_ns: MutableMapping[str, Any]) -> None:
        self._user_ns = user_ns

    @property
    def label(self) -> str:
        """How clusters call this notebook."""
        return client_label()

    async def offers(self) -> Offers:
        """What a form can offer now."""
        return await asyncio.to_thread(_offers)

    def make(self, order: Start) -> Twin:
        """A cluster that is yet to be started."""
        return AsyncCluster(
            order.n,
            name=order.name,
            launcher=order.launcher or "local",
            kernel=order.kernel,
            tags=order.tags,
        )

    async def connect(self, name: str) -> Twin:
        """Join one that runs."""
        return await AsyncCluster.connect(name)

    def taken(self, twin: Twin) -> None:
        """It is the notebook's cluster now."""
        self._user_ns[NAME] = facade_of(cast(AsyncCluster, twin))

    def left(self, twin: Twin) -> None:
        """It was stopped: the notebook has it no more."""
        known = self._user_ns.get(NAME)
        if isinstance(known, Cluster) and twin_of(known) is twin:
            del self._user_ns[NAME]


def _offers() -> Offers:
    specs = KernelSpecManager().get_all_specs()
    kernels = tuple(
        (name, f"{spec['spec'].get('display_name') or name} ({name})") for name, spec in sorted(specs.items())
    )
    launchers = sorted({point.name for point in entry_points(group=ENTRY_POINTS)})
    launchers.sort(key=lambda name: name != "local")
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    running = tuple(found.name for found in list_clusters())
    return Offers(default_name(), cpus, kernels, tuple(launchers), running)
