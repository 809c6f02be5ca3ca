"""Carries out the commands of %cluster and says in a sentence what was done. Knows no IPython."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import Future
from typing import Any, assert_never

from nbcluster.errors import UsageError
from nbcluster.notebook.clustergrammar import (
    Add,
    Cancel,
    ClusterOrder,
    Connect,
    Interrupt,
    List,
    Panel,
    Restart,
    Scale,
    Set,
    Start,
    Status,
    Stop,
    Ui,
    Use,
)
from nbcluster.notebook.clusters import ClusterLike, Clusters, RunningCluster
from nbcluster.notebook.grammar import did_you_mean
from nbcluster.notebook.labels import engines_phrase
from nbcluster.notebook.tables import engines_line, lifetime, status_text, table

NEVER = -1.0
"""What the client takes for an idle_timeout of never."""


CANCEL_PATIENCE = 5.0
"""Seconds that engines have to let go of several Futures."""


class Verbs:
    """The commands of %cluster in one notebook.

    Parameters
    ----------
    clusters : Clusters
    user_ns : mutable mapping
        The notebook's names; `cluster` is bound there.
    say : callable
        Shows a line to the user.
    show : callable
        Shows a thing to the user, as the value of a cell is shown.
    wall : callable
        Epoch seconds.
    show_panel : callable, optional
        Shows the launcher of this notebook; without it the current cluster is shown as text.
    """

    def __init__(
        self,
        clusters: Clusters,
        user_ns: MutableMapping[str, Any],
        say: Callable[[str], None],
        show: Callable[[Any], None],
        wall: Callable[[], float] = time.time,
        show_panel: Callable[[], None] | None = None,
    ) -> None:
        self._clusters, self._user_ns, self._say, self._wall = clusters, user_ns, say, wall
        self._show = show
        self._show_panel = show_panel or self._say_status

    def do(self, order: ClusterOrder) -> None:
        """Carry one command out."""
        match order:
            case Start():
                self._start(order)
            case Connect(name):
                self._take(self._clusters.connect(name), "connected to")
            case Use(name):
                self._take(self._clusters.connect(name), "cells now run on")
            case List():
                self._say(_listed(self._clusters.running()))
            case Status():
                self._say_status()
            case Panel():
                self._show_panel()
            case Add(n, kernel, tags):
                cluster = self._clusters.current()
                numbers = cluster.add(n, kernel=kernel, tags=tags)
                self._say(f"started {_named(numbers)}; {_has(cluster)}")
            case Scale(n):
                cluster = self._clusters.current()
                cluster.scale(n)
                self._say(_has(cluster))
            case Restart(targets):
                numbers = self._clusters.current().restart(targets or "all")
                self._say(f"restarted {_named(numbers)}; names that lived there are gone")
            case Interrupt(targets):
                numbers = self._clusters.current().interrupt(targets or "all")
                self._say(f"interrupted {_named(numbers)}")
            case Cancel(name):
                self._cancel(name)
            case Set(idle_timeout):
                cluster = self._clusters.current()
                cluster.set_options(idle_timeout=NEVER if idle_timeout is None else idle_timeout)
                self._say(f"cluster {cluster.name!r}: {lifetime(idle_timeout)}")
            case Stop(force):
                self._stop(force)
            case Ui():
                self._show(self._clusters.current().ui())
            case _:
                assert_never(order)

    def _say_status(self) -> None:
        self._say(status_text(self._clusters.current().status(), self._wall()))

    def _start(self, order: Start) -> None:
        n = _cpus() if order.n is None else order.n
        options: dict[str, Any] = {"name": order.name} if order.name else {}
        if order.launcher:
            options["launcher"] = order.launcher
        if order.kernel:
            options["kernel"] = order.kernel
        if order.tags:
            options["tags"] = order.tags
        options.update({key: NEVER if value is None else value for key, value in order.options.items()})
        cluster = self._clusters.start(n, **options)
        self._bind(cluster)
        status = cluster.status()
        many = len(status.engines)
        more = (
            f"; it had more than {n}, %cluster scale {n} removes some"
            if many > n and order.n is not None
            else ""
        )
        self._say(
            f"cluster {cluster.name!r} is ready with {engines_line(status.engines)}{more}; "
            f"{lifetime(status.idle_timeout)}"
        )

    def _take(self, cluster: ClusterLike, done: str) -> None:
        self._bind(cluster)
        self._say(f"{done} cluster {cluster.name!r}, {engines_line(cluster.engines)}")

    def _bind(self, cluster: ClusterLike) -> None:
        self._clusters.use(cluster)
        self._user_ns["cluster"] = cluster

    def _cancel(self, name: str | None) -> None:
        if name is None:
            self._clusters.current().cancel()
            self._say("cancelled all that this notebook has sent")
            return
        future = self._user_ns.get(name)
        if isinstance(future, list | tuple | set | dict) and future:
            self._cancel_several(name, future)
            return
        if not isinstance(future, Future):
            futures = [known for known, value in self._user_ns.items() if isinstance(value, Future)]
            raise UsageError(
                f"%cluster cancel {name}: the notebook has no such Future{did_you_mean(name, futures)}; "
                f"%%distributed --as {name} makes one and %cluster cancel alone cancels everything"
            )
        ended = future.cancel()
        self._say(
            f"cancelled {name}" if ended else f"{name} was not cancelled: it has completed, or does not stop"
        )

    def _cancel_several(self, name: str, nest: Any) -> None:
        from nbcluster.client.collecting import flatten, wait

        futures = flatten([nest])
        self._clusters.current().cancel(futures)
        wait(futures, CANCEL_PATIENCE)
        left = sum(not future.cancelled() for future in futures)
        more = f"; {left} have completed, or do not stop" if left else ""
        self._say(f"cancelled {len(futures) - left} of the {len(futures)} Futures in {name}{more}")

    def _stop(self, force: bool) -> None:
        cluster = self._clusters.current()
        name = cluster.name
        cluster.stop(force=force)
        if self._user_ns.get("cluster") is cluster:
            del self._user_ns["cluster"]
        self._say(f"cluster {name!r} is stopped")


def _listed(running: Sequence[RunningCluster]) -> str:
    if not running:
        return "no cluster runs; %cluster start -n 4 starts one"
    return table(
        [("cluster", "process", "host"), *((found.name, str(found.pid), found.host) for found in running)]
    )


def _named(numbers: Sequence[int]) -> str:
    return engines_phrase(numbers) if numbers else "no engine"


def _has(cluster: ClusterLike) -> str:
    return f"cluster {cluster.name!r} has {engines_line(cluster.engines)}"


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
