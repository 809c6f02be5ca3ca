"""Starts the processes of a new cluster and waits for its first word. Knows no messages.

The supervisor is a new session of its own, so that it outlives the notebook's kernel.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

from msgspec import DecodeError, Struct, json

from nbcluster.errors import BY_NAME, LauncherError, UsageError
from nbcluster.transport import shareddirs
from nbcluster.transport.rendezvous import connection_path, new_directory

CONTROLLER = "nbcluster.controller.main:run"

RECIPE_LIMIT = "NBCLUSTER_RECIPE_LIMIT"
"""Environment variable: bytes that a controller may keep to make values again that are lost with an engine."""


class _Ready(Struct):
    """The ready line: the controller's own, or the supervisor's when it could not start one."""

    ok: bool = False
    file: str = ""
    error: str = ""
    message: str = ""


def start_cluster(
    name: str, *, idle_timeout: float | None, ends_with_clients: bool = False, timeout: float = 30.0
) -> Path:
    """Start a supervisor and a controller without engines; return the connection file.

    Parameters
    ----------
    name : str
        Name of the cluster.
    idle_timeout : float or None
        Seconds without client and work after which it ends; None for never.
    ends_with_clients : bool
        Whether cells that still run do not keep it from ending.
    timeout : float
        Seconds to wait for the controller.

    Raises
    ------
    ClusterExists
        When a cluster of that name runs.
    LauncherError
        When it does not come up; the message holds its last words.
    UsageError
        When the environment asks for what cannot be.
    """
    recipe_limit = _recipe_limit()
    file = connection_path(name)
    directory = new_directory()
    shareddirs.remove_abandoned(time.time())
    place, why = shareddirs.choose_place()
    if why:
        warnings.warn(f"the cluster {name!r}: {why}", UserWarning, stacklevel=2)
    shared = str(shareddirs.new_path(place)) if place is not None else ""
    disk = shareddirs.choose_disk()
    spill = str(shareddirs.new_path(disk)) if disk is not None else ""
    config = {
        "name": name,
        "directory": str(directory),
        "controller": CONTROLLER,
        "options": {
            "name": name,
            "directory": str(directory),
            "connection_file": str(file),
            "shared": shared,
            "spill": spill,
            "transport": os.environ.get("NBCLUSTER_TRANSPORT", "ipc"),
            "address": os.environ.get("NBCLUSTER_ADDRESS", "127.0.0.1"),
            "idle_timeout": idle_timeout,
            "ends_with_clients": ends_with_clients,
            **recipe_limit,
        },
        "cleanup": [str(file)],
        "directories": [path for path in (shared, spill) if path],
        "lock": str(file.with_suffix(".lock")),
    }
    env = {variable: value for variable, value in os.environ.items() if variable != "JPY_PARENT_PID"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "nbcluster.engine.supervisor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=env,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.encode(config) + b"\n")
        process.stdin.close()
        return Path(_wait_ready(process, directory, timeout).file)
    except BaseException:
        process.terminate()
        _reap_later(process)
        shutil.rmtree(directory, ignore_errors=True)
        for path in config["directories"]:
            shareddirs.remove(path)
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
        if process.poll() is None:
            _reap_later(process)


def _recipe_limit() -> dict[str, int]:
    text = os.environ.get(RECIPE_LIMIT, "")
    if not text:
        return {}
    if not text.isdecimal():
        raise UsageError(f"{RECIPE_LIMIT} is {text!r}; it has to be a number of bytes, such as 100000000")
    return {"recipe_limit": int(text)}


def _wait_ready(process: subprocess.Popen[bytes], directory: Path, timeout: float) -> _Ready:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    deadline = time.monotonic() + timeout
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise LauncherError(f"the controller said nothing for {timeout:g} s; {_last_words(directory)}")
        came = os.read(descriptor, 65_536)
        if not came:
            raise LauncherError(f"the cluster ended while it started; {_last_words(directory)}")
        line += came
    try:
        ready = json.decode(line, type=_Ready)
    except DecodeError as error:
        raise LauncherError(f"the controller's first word cannot be read: {line[:500]!r}") from error
    if not ready.ok:
        kind = BY_NAME.get(ready.error, LauncherError)
        raise kind(ready.message or ready.error)
    return ready


def _last_words(directory: Path) -> str:
    words = []
    for name in ("supervisor.log", "controller.log"):
        try:
            words.append((directory / name).read_text(errors="replace")[-2000:])
        except OSError:
            continue
    text = "\n".join(word for word in words if word.strip())
    return f"its last words:\n{text}" if text else "it left no word in its log"


def _reap_later(process: subprocess.Popen[bytes]) -> None:
    """Reap the supervisor when it ends; it outlives most of its clients, none of which should wait for it."""
    threading.Thread(target=process.wait, name="nbcluster reaper", daemon=True).start()
