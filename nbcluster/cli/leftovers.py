"""Finds and removes what dead clusters left: files, locks, directories, processes. Asks no controller.

A cluster is alive as long as its lock is held, or a supervisor or controller writes the logs in its directory.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from nbcluster.errors import NBClusterError, UnknownCluster
from nbcluster.transport import shareddirs
from nbcluster.transport.rendezvous import (
    connection_path,
    is_alive,
    list_clusters,
    read_connection_file,
    runtime_dir,
    sockets_parent,
)

OWNER_FILE = "owner"
"""Holds the process id of who uses a directory that is no cluster's."""

FRESH = 60.0
"""Seconds in which a directory that nothing refers to may belong to a cluster that is about to start."""

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""

HEADS = ("supervisor.log", "controller.log")
"""Open in a process that looks after a cluster; engines have none of them."""


def clean_all() -> list[str]:
    """Remove what every dead cluster of this user left on this host; return what was done, a sentence each."""
    done = []
    for path in sorted(runtime_dir().glob("*.json")):
        try:
            if read_connection_file(path).is_stale():
                done += clean_cluster(path)
        except UnknownCluster:
            path.unlink(missing_ok=True)
            done.append(f"removed the unreadable connection file {path}")
    for lock in sorted(runtime_dir().glob("*.lock")):
        done += _clean_lock(lock)
    living = {Path(cluster.directory) for cluster in list_clusters()}
    parent = sockets_parent()
    for directory in sorted(parent.iterdir()) if parent.is_dir() else ():
        if directory.is_dir() and directory not in living and not _is_fresh(directory):
            done += _clean_directory(directory)
    done += [f"removed the shared memory {path}" for path in shareddirs.remove_abandoned(time.time())]
    return done


def clean_cluster(path: Path) -> list[str]:
    """Remove what one dead cluster left, by its connection file."""
    file = read_connection_file(path)
    done = _clean_directory(Path(file.directory))
    for what, shared in (("shared memory", file.shared), ("values on disk", file.spill)):
        if shared and file.is_here() and shareddirs.remove_if_abandoned(Path(shared), time.time()):
            done.append(f"removed the {what} {shared}")
    lock = path.with_suffix(".lock")
    with _unheld(lock) as is_unheld:
        if not is_unheld:
            return done  # a new cluster of that name is starting
        path.unlink(missing_ok=True)
        done.append(f"removed the connection file {path}")
        if lock.exists():
            lock.unlink()
            done.append(f"removed the lock {lock}")
    return done


def _clean_lock(lock: Path) -> list[str]:
    try:
        directory = lock.read_text().strip()
    except OSError:
        return []
    with _unheld(lock) as is_unheld:
        if not is_unheld or connection_path(lock.stem).exists():
            return []
        done = _clean_directory(Path(directory)) if directory else []
        lock.unlink(missing_ok=True)
        return [*done, f"removed the lock {lock}"]


@contextmanager
def _unheld(lock: Path) -> Iterator[bool]:
    """Hold a lock that nobody holds; False when somebody does. A lock that does not exist counts as unheld."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _is_fresh(directory: Path) -> bool:
    with suppress(OSError):
        return time.time() - directory.stat().st_mtime < FRESH
    return False


def _clean_directory(directory: Path) -> list[str]:
    """Remove a directory below ours, unless somebody looks after it, and end the processes that it left."""
    if (
        not directory.is_dir()
        or directory.parent != sockets_parent()
        or directory.stat().st_uid != os.getuid()
    ):
        return []
    if is_looked_after(directory):
        return []
    done = []
    for process in processes_of(directory):
        done.append(f"ended the orphaned process {describe(process, directory)}")
        end_process(process)
    files = sum(1 for path in directory.rglob("*") if not path.is_dir())
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        raise NBClusterError(
            f"{directory} could not be removed; look at who may write there, and remove it by hand"
        )
    return [*done, f"removed the directory {directory} ({files} files)"]


def is_looked_after(directory: Path) -> bool:
    """Whether a supervisor, a controller or the owner of a directory lives."""
    with suppress(OSError, ValueError):
        return is_alive(int((directory / OWNER_FILE).read_text()))
    heads = {str(directory / name) for name in HEADS}
    return any(heads & set(_files_of(process)) for process in _own_processes())


def processes_of(directory: Path) -> list[psutil.Process]:
    """The processes of a cluster: their command line names its connection files, or is ours with its log open.

    What a user's cell has started and detached is none of them, though it may write to an engine's log.
    """
    prefix = f"{directory}/"
    found = []
    for process in _own_processes():
        words = _words_of(process)
        if any(word.startswith(prefix) for word in words) or (
            any(word.startswith("nbcluster.engine.") for word in words)
            and any(path.startswith(prefix) for path in _files_of(process))
        ):
            found.append(process)
    return found


def _own_processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.uids().real == os.getuid():
                yield process


def _words_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _files_of(process: psutil.Process) -> list[str]:
    try:
        return [file.path for file in process.open_files()]
    except (psutil.Error, OSError):
        return []


def describe(process: psutil.Process, directory: Path) -> str:
    """A process in a few words: its number, and the log that it writes."""
    prefix = f"{directory}/"
    # A controller that was forked from its supervisor writes both logs: the first name is the right one.
    logs = sorted(path.removeprefix(prefix) for path in _files_of(process) if path.startswith(prefix))
    what = logs[0].removesuffix(".log") if logs else (_words_of(process) or ["?"])[0]
    return f"{process.pid} ({what})"


def end_process(process: psutil.Process, grace: float = GRACE) -> None:
    """End a process: SIGTERM, then SIGKILL. One whose parent hangs stays as a zombie, which is nobody any more."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signum)
        until = time.monotonic() + grace
        while is_alive(process.pid):
            if time.monotonic() > until:
                break
            time.sleep(0.01)
        else:
            return
