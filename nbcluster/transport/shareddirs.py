"""Where a cluster's directory of shared memory is, and the one on disk for what does not fit into memory.

They are chosen, made, and removed when nobody is left to do it. Knows files and locks; knows nothing of what lies in
the segments.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import DecodeError, ValidationError, json

from nbcluster.errors import UsageError
from nbcluster.transport.filling import is_in_memory
from nbcluster.transport.segments import ABOUT, About

PLACE = "NBCLUSTER_SHARED"
"""Environment variable: the directory below which clusters share memory, "file" for the temporary one, "off"."""

LIMIT = "NBCLUSTER_SHARED_LIMIT"
"""Environment variable: bytes of memory that a cluster may share; half of what is free when it is not set."""

DISK = "NBCLUSTER_SPILL"
"""Environment variable: the directory below which clusters write values that do not fit into memory, or "off"."""

MEMORY = Path("/dev/shm")  # noqa: S108  # the place that POSIX shared memory has on Linux

LEAST = 256 << 20
"""Bytes of a memory file system that is worth using; containers often have 64 MiB."""

FRESH = 60.0
"""Seconds in which a directory without a word in it belongs to a cluster that is about to start."""


def choose_place() -> tuple[Path | None, str]:
    """Return the directory below which to share memory, None for nowhere, and why it is not the usual one."""
    wanted = os.environ.get(PLACE, "")
    if wanted == "off":
        return None, ""
    if wanted == "file":
        return Path(tempfile.gettempdir()), ""
    place = Path(wanted) if wanted else MEMORY
    instead = "values are shared through files in the temporary directory, which is slower"
    if not _is_writable(place):
        return Path(tempfile.gettempdir()), f"{place} is missing or cannot be written to: {instead}"
    try:
        size = _size_of(place)
    except ValueError as error:
        return Path(tempfile.gettempdir()), f"{error}: {instead}"
    if size < LEAST:
        return Path(tempfile.gettempdir()), (
            f"{place} has {size >> 20} MiB, less than {LEAST >> 20}: {instead}. A container gets more with "
            "--shm-size; NBCLUSTER_SHARED names another directory, `file` or `off`"
        )
    return place, ""


def choose_disk() -> Path | None:
    """Return the directory below which values are written that do not fit into memory; None for nowhere.

    Raises
    ------
    UsageError
        When the environment names one in which nothing can be written.
    """
    wanted = os.environ.get(DISK, "")
    if wanted == "off":
        return None
    if wanted:
        if not _is_writable(Path(wanted)):
            raise UsageError(
                f"{DISK} is {wanted!r}, which is no directory that can be written to: make it, name another one, or "
                f"set it to 'off' to keep all values in memory"
            )
        return Path(wanted)
    for place in (Path(tempfile.gettempdir()), Path("/var/tmp")):  # noqa: S108  # below it, each has its own
        if _is_writable(place) and not is_in_memory(str(place)):
            return place
    return None


def _is_writable(place: Path) -> bool:
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _size_of(place: Path) -> int:
    found = os.statvfs(place)
    size = found.f_blocks * found.f_frsize
    limit = os.environ.get(LIMIT, "")
    if not limit:
        return size
    if not limit.isdecimal():
        raise ValueError(f"{LIMIT} is {limit!r}, which is no number of bytes")
    return min(size, int(limit))


def new_path(place: Path) -> Path:
    """Return the path of a directory that does not exist yet."""
    return place / f"nbcluster-{os.getuid()}-{secrets.token_hex(6)}"


def make(path: Path, directory: str, spill: str = "") -> int:
    """Make a directory of segments; return a descriptor that, as long as it is open, says that it is in use.

    Parameters
    ----------
    path : Path
    directory : str
        Where the cluster has its sockets.
    spill : str
        Where segments are that had to leave this one; "" for nowhere.

    Raises
    ------
    OSError
    """
    path.mkdir(mode=0o700)
    fd = os.open(path / ABOUT, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    found = os.statvfs(path)
    limit = os.environ.get(LIMIT, "")
    if limit.isdecimal() and path.parent != Path(tempfile.gettempdir()):
        most = int(limit)
    else:
        most = found.f_bavail * found.f_frsize // 2
    os.write(fd, json.encode(About(directory, most, spill)))
    return fd


def remove(path: str) -> None:
    """Remove a directory of segments; who has mapped some goes on with them."""
    shutil.rmtree(path, ignore_errors=True)


def find_abandoned(now: float) -> Iterator[Path]:
    """Find the directories of this user's clusters that ended without removing theirs."""
    places = {MEMORY, Path(tempfile.gettempdir()), Path("/var/tmp")}  # noqa: S108  # looked at for our own
    for variable in (PLACE, DISK):
        wanted = os.environ.get(variable, "")
        if wanted not in ("", "file", "off"):
            places.add(Path(wanted))
    for place in sorted(places):
        for path in sorted(place.glob(f"nbcluster-{os.getuid()}-*")) if place.is_dir() else ():
            if path.is_dir() and not path.is_symlink() and _is_abandoned(path, now):
                yield path


def remove_abandoned(now: float) -> list[Path]:
    """Remove what clusters left that ended without removing it; return which directories."""
    removed = []
    for path in find_abandoned(now):
        remove(str(path))
        removed.append(path)
    return removed


def remove_if_abandoned(path: Path, now: float) -> bool:
    """Remove one such directory; False when it is none, or in use."""
    found = path.name.startswith(f"nbcluster-{os.getuid()}-") and path.is_dir() and not path.is_symlink()
    if not found or not _is_abandoned(path, now):
        return False
    remove(str(path))
    return True


def _is_abandoned(path: Path, now: float) -> bool:
    try:
        if path.stat().st_uid != os.getuid():
            return False
        fd = os.open(path / ABOUT, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        with suppress(OSError):
            return now - path.stat().st_mtime > FRESH
        return False
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        json.decode(os.read(fd, 1 << 16), type=About)
    except BlockingIOError:
        return False
    except (DecodeError, ValidationError):
        return now - os.fstat(fd).st_mtime > FRESH
    finally:
        os.close(fd)
    return True
