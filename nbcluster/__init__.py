"""Interactive clusters for notebooks: every engine a real Jupyter kernel, every cell's output in its cell.

Importing this loads nothing else; names are fetched when they are first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nbcluster.version import __version__

if TYPE_CHECKING:
    from nbcluster.client.aio import AsyncCluster
    from nbcluster.client.cluster import Cluster
    from nbcluster.client.collecting import as_completed, gather, wait
    from nbcluster.client.current import current_cluster
    from nbcluster.client.futures import Future
    from nbcluster.client.progress import progress
    from nbcluster.engine.reports import report
    from nbcluster.notebook.launcher import Launcher
    from nbcluster.payload.values import Ref

_HOMES = {
    "AsyncCluster": "nbcluster.client.aio",
    "Cluster": "nbcluster.client.cluster",
    "Future": "nbcluster.client.futures",
    "Launcher": "nbcluster.notebook.launcher",
    "Ref": "nbcluster.payload.values",
    "as_completed": "nbcluster.client.collecting",
    "current_cluster": "nbcluster.client.current",
    "gather": "nbcluster.client.collecting",
    "progress": "nbcluster.client.progress",
    "report": "nbcluster.engine.reports",
    "wait": "nbcluster.client.collecting",
    "load_ipython_extension": "nbcluster.notebook.extension",
    "unload_ipython_extension": "nbcluster.notebook.extension",
}

__all__ = [
    "AsyncCluster",
    "Cluster",
    "Future",
    "Launcher",
    "Ref",
    "__version__",
    "as_completed",
    "current_cluster",
    "gather",
    "progress",
    "report",
    "wait",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nbcluster' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    if _HOMES[name].startswith(("nbcluster.client.", "nbcluster.notebook.")):
        _prepare_notebook()
    globals()[name] = value
    return value


def _prepare_notebook() -> None:
    """Have errors drawn for people where IPython runs, though nobody may have loaded the extension."""
    module = sys.modules.get("IPython")
    if module is not None and hasattr(module, "get_ipython") and module.get_ipython() is not None:
        import_module("nbcluster.notebook.remotetracebacks").install()


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
