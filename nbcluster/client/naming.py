"""What a cluster is called when nobody names it, and how this client is called to others. Knows no clusters."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import PurePath
from typing import Any


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
    file = notebook_file()
    if file is not None:
        return f"notebook {PurePath(file).name} (process {os.getpid()})"
    kind = "notebook" if is_notebook() else PurePath(sys.argv[0] or "python").name
    return f"{kind} (process {os.getpid()} on {socket.gethostname()})"
