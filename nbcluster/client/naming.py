"""What a cluster is called when nobody names it, and how this client is called to others. Knows no clusters."""

from __future__ import annotations

import os
import re
import socket
import sys
import uuid
from pathlib import PurePath
from typing import Any, NamedTuple

from nbcluster.protocol.tasks import CONNECTION
from nbcluster.transport.rendezvous import check_name

NOTEBOOK_IDLE = 12 * 3600.0
"""Seconds that a notebook's cluster stays without client and work."""

SCRIPT_IDLE = 5.0
"""The same for a script's own cluster, which ends with the script."""


class Identity(NamedTuple):
    """What a cluster is called and how long it stays; `idle_timeout` None is for ever."""

    name: str
    idle_timeout: float | None
    is_scripts_own: bool


def choose_identity(name: str | None, idle_timeout: float | None) -> Identity:
    """Choose what was left open: a notebook's own cluster outlives its kernel, a nameless script's ends with it.

    Raises
    ------
    UsageError
        For a name that cannot be one.
    """
    in_notebook = is_notebook()
    scripts_own = name is None and not in_notebook
    if name is None:
        name = default_name() if in_notebook else f"script-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    if idle_timeout is None:
        idle_timeout = SCRIPT_IDLE if scripts_own else NOTEBOOK_IDLE
    return Identity(check_name(name), idle_timeout if idle_timeout >= 0 else None, scripts_own)


def running_shell() -> Any | None:
    """The IPython shell of this process, without importing IPython."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None


def is_notebook() -> bool:
    """Whether this process is a Jupyter kernel."""
    return getattr(running_shell(), "kernel", None) is not None


def notebook_file() -> str | None:
    """The notebook's file as the front end tells it: jupyter-server by JPY_SESSION_NAME, VS Code by a variable."""
    shell = running_shell()
    told = os.environ.get("JPY_SESSION_NAME")
    if not told and shell is not None:
        told = shell.user_ns.get("__vsc_ipynb_file__")
    return str(told) if told else None


def default_name() -> str:
    """The name of this notebook's cluster: the notebook's file name, else ``default``."""
    file = notebook_file()
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePath(file).stem).strip("-._")[:64] if file else ""
    return stem or "default"


def client_label() -> str:
    """How others see this client: what it is, and its process."""
    if CONNECTION in os.environ:
        return f"tasks on an engine (process {os.getpid()} on {socket.gethostname()})"
    file = notebook_file()
    if file is not None:
        return f"notebook {PurePath(file).name} (process {os.getpid()})"
    kind = "notebook" if is_notebook() else PurePath(sys.argv[0] or "python").name
    return f"{kind} (process {os.getpid()} on {socket.gethostname()})"
