"""Finds running clusters by name, by file, or because there is only one. Knows files, no connections."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from nbcluster.errors import UnknownCluster
from nbcluster.transport.rendezvous import connection_path, list_clusters, read_connection_file


def find_cluster(name_or_file: str | os.PathLike[str] | None = None) -> Path:
    """Return the connection file of a running cluster.

    Parameters
    ----------
    name_or_file : str or path, optional
        A name, or a path of a connection file; None is the only one that runs.

    Raises
    ------
    UnknownCluster
        When there is none; the message lists those that there are.
    """
    running = [cluster.name for cluster in list_clusters()]
    if name_or_file is None:
        if len(running) == 1:
            return connection_path(running[0])
        if not running:
            raise UnknownCluster(
                "no cluster runs; start one with `%cluster start`, Cluster(n) or `nbcluster start`"
            )
        raise UnknownCluster(f"several clusters run: {', '.join(running)}; name the one that you mean")
    text = os.fspath(name_or_file)
    path = Path(text) if os.sep in text or text.endswith(".json") else connection_path(text)
    if not path.exists():
        near = difflib.get_close_matches(text, running, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = f"running: {', '.join(running)}" if running else "none runs"
        if os.sep in text or text.endswith(".json"):
            raise UnknownCluster(
                f"there is no connection file {text!r} ({known}); give the name of a cluster, or its file"
            )
        raise UnknownCluster(
            f"there is no cluster {text!r}{hint} ({known}); `%cluster start --name {text}` or "
            f"`nbcluster start --name {text}` starts one"
        )
    found = read_connection_file(path)
    if found.is_stale():
        path.unlink(missing_ok=True)
        raise UnknownCluster(
            f"the cluster {found.name!r} ended without removing {path} (its controller, process {found.pid}, is "
            "gone); the file was removed now. Start it again with `%cluster start`"
        )
    return path
