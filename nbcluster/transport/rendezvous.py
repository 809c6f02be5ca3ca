"""Where clusters are found: the connection file in the Jupyter runtime directory and the directory of sockets.

Knows files, hosts and boots; knows nothing of what runs.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir
from msgspec import DecodeError, Struct, ValidationError, json

from nbcluster.errors import LauncherError, UnknownCluster, UsageError

IPC_PATH_LIMIT = 107
"""Bytes of sun_path less the terminating zero; source: unix(7)."""

DYING = 0.1
"""Seconds that a killed process needs from closing its sockets to its end."""

LONGEST_SOCKET_NAME = len("/e1000000-5")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ConnectionFile(Struct, frozen=True):
    """How to reach the controller of a cluster."""

    name: str
    url: str
    key: str
    pid: int
    supervisor: int
    host: str
    boot: str
    directory: str
    version: str
    protocol: int
    curve_publickey: str = ""
    shared: str = ""
    """The directory of shared memory, for processes of this host; "" when there is none."""
    spill: str = ""
    """The directory on disk for values that do not fit into memory; "" when there is none."""

    def is_here(self) -> bool:
        """Whether this host, in this boot, wrote it; only then its process ids mean anything."""
        return self.host == socket.gethostname() and self.boot == boot_id()

    def is_stale(self) -> bool:
        """Whether its controller is known to be gone. Never true for another host's cluster."""
        if not self.is_here():
            return self.host == socket.gethostname()
        return not is_alive(self.pid)

    def is_supervised(self) -> bool:
        """Whether its supervisor, the last process to end, is known to live."""
        return self.is_here() and is_alive(self.supervisor)


def check_name(name: str) -> str:
    """Return the name of a cluster, or raise UsageError: it becomes the name of a file."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a cluster: use up to 64 letters, digits, dots, dashes and "
            "underscores, beginning with a letter or digit"
        )
    return name


def boot_id() -> str:
    """Identify this boot of this host; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether a process of this host exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def runtime_dir() -> Path:
    """The directory of connection files, made if need be, mode 0700.

    Raises
    ------
    LauncherError
        When it cannot be made or written.
    """
    return _private(
        Path(jupyter_runtime_dir()) / "nbcluster", "set JUPYTER_RUNTIME_DIR to a directory of yours"
    )


def connection_path(name: str) -> Path:
    """Where the connection file of a cluster is."""
    return runtime_dir() / f"{check_name(name)}.json"


def new_directory() -> Path:
    """Make the directory for a cluster's sockets and logs: local, short, mode 0700.

    Raises
    ------
    LauncherError
        When it cannot be made, or its path is too long for ipc sockets.
    """
    parent = sockets_parent()
    _private(parent, "set NBCLUSTER_DIR to a short local directory of yours")
    directory = Path(tempfile.mkdtemp(prefix="", dir=parent))
    if len(os.fsencode(directory)) + LONGEST_SOCKET_NAME > IPC_PATH_LIMIT:
        directory.rmdir()
        raise LauncherError(
            f"{parent} is too long a path for ipc sockets, which end at {IPC_PATH_LIMIT} bytes; "
            "set NBCLUSTER_DIR to a shorter local directory, such as /tmp/nbcluster"
        )
    return directory


def sockets_parent() -> Path:
    """The directory below which clusters have theirs: NBCLUSTER_DIR, else in the user's runtime or temporary one."""
    base = os.environ.get("NBCLUSTER_DIR")
    if base:
        return Path(base)
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.access(runtime, os.W_OK | os.X_OK) and Path(runtime).stat().st_uid == os.getuid():
        return Path(runtime) / "nbcluster"
    return Path(tempfile.gettempdir()) / f"nbcluster-{os.getuid()}"


def _private(path: Path, advice: str) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise LauncherError(f"{path} cannot be used: {error.strerror}; {advice}") from error
    if found.st_uid != os.getuid():
        raise LauncherError(f"{path} belongs to another user; {advice}")
    if found.st_mode & 0o077:
        path.chmod(0o700)
    if not os.access(path, os.W_OK | os.X_OK):
        raise LauncherError(f"{path} is not writable; {advice}")
    return path


def write_connection_file(path: Path, content: ConnectionFile) -> None:
    """Write a connection file in one step, mode 0600."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.format(json.encode(content), indent=2))
    draft.replace(path)


def read_connection_file(path: Path) -> ConnectionFile:
    """Read a connection file.

    Raises
    ------
    UnknownCluster
        When it does not exist or is no connection file of ours.
    """
    try:
        return json.decode(path.read_bytes(), type=ConnectionFile)
    except FileNotFoundError:
        raise UnknownCluster(f"there is no connection file {path}") from None
    except (OSError, DecodeError, ValidationError) as error:
        raise UnknownCluster(f"{path} is no readable connection file of a cluster: {error}") from error


def list_clusters() -> list[ConnectionFile]:
    """Every cluster of this user whose controller is not known to be gone, by name."""
    found = []
    for path in sorted(runtime_dir().glob("*.json")):
        try:
            content = read_connection_file(path)
        except UnknownCluster:
            continue
        if not content.is_stale():
            found.append(content)
    return found
