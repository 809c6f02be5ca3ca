"""Finds the name of the cluster that belongs to a notebook. Knows no cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

DEFAULT = "default"


def notebook_cluster_name(environ: Mapping[str, str], user_ns: Mapping[str, object]) -> str:
    """Return the name of the cluster of this notebook: its file's, as the front end tells it, else "default".

    Parameters
    ----------
    environ : mapping
        The environment; Jupyter Server sets JPY_SESSION_NAME to the notebook's path.
    user_ns : mapping
        The notebook's names; VS Code binds `__vsc_ipynb_file__` to the notebook's path.
    """
    told = environ.get("JPY_SESSION_NAME") or user_ns.get("__vsc_ipynb_file__") or ""
    return clean(PurePath(str(told).replace("\\", "/")).name.removesuffix(".ipynb")) or DEFAULT


def clean(name: str) -> str:
    """Return a name with letters, digits, `.`, `_` and `-` alone, which every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60]
