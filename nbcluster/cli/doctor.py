"""The verb `doctor`: looks at all that a cluster needs, and says how to mend what is wrong. Mends nothing itself."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import zmq
from jupyter_client.kernelspec import KernelSpecManager
from msgspec import Struct

from nbcluster.cli.leftovers import FRESH, is_looked_after
from nbcluster.cli.views import print_json
from nbcluster.client.aio import AsyncCluster
from nbcluster.errors import NBClusterError, UnknownCluster
from nbcluster.transport.rendezvous import (
    IPC_PATH_LIMIT,
    LONGEST_SOCKET_NAME,
    list_clusters,
    new_directory,
    read_connection_file,
    runtime_dir,
    sockets_parent,
)

NEEDED = {
    "ipykernel": (7, 4),
    "IPython": (9,),
    "jupyter_client": (8, 8),
    "pyzmq": (26, 2),
    "msgspec": (0, 20),
}
"""The oldest versions that work; as in pyproject.toml."""

LEAST_SPACE = 16 << 20
"""Bytes that must be free where sockets, logs and connection files go."""

SLOW_START = 10.0
"""Seconds after which the start of one engine is called slow."""


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    mend: str = ""


def doctor(arguments: argparse.Namespace) -> int:
    """Check the environment; the exit code is 1 when something is wrong."""
    findings = []
    for check in (_versions, _transports, _runtime, _sockets, _shared_memory, _kernels, _clusters, _start):
        for finding in _checked(check):
            findings.append(finding)
            if not arguments.json:
                print(_line(finding), flush=True)
    if arguments.json:
        print_json(findings)
    return 0 if all(finding.ok for finding in findings) else 1


def _checked(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Run one check; what it cannot even look at is a finding too."""
    try:
        yield from check()
    except (NBClusterError, OSError, TimeoutError) as error:
        words, _, mend = str(error).partition("; ")
        what = (check.__doc__ or check.__name__).rstrip(".")
        yield Finding(what, False, words, mend or "see the message; `nbcluster logs` may tell more")


def _line(finding: Finding) -> str:
    if finding.ok:
        return f"ok       {finding.what}: {finding.found}"
    return f"problem  {finding.what}: {finding.found}\n         -> {finding.mend}"


def _versions() -> Iterator[Finding]:
    """Versions."""
    yield Finding(
        "Python",
        sys.version_info >= (3, 11),
        f"{platform.python_version()} at {sys.executable}",
        "install Python 3.11 or later, and nbcluster in it",
    )
    for package, least in NEEDED.items():
        wanted = ".".join(map(str, least))
        mend = f"{sys.executable} -m pip install '{package}>={wanted}'"
        try:
            found = version(package)
        except PackageNotFoundError:
            yield Finding(package, False, "is not installed", mend)
            continue
        numbers = tuple(int(part) for part in found.split(".")[: len(least)] if part.isdigit())
        yield Finding(package, numbers >= least, found if numbers >= least else f"{found} is too old", mend)


def _transports() -> Iterator[Finding]:
    """What pyzmq was built with."""
    for capability, without in (("ipc", "tcp is used"), ("curve", "tcp cannot be encrypted")):
        has = zmq.has(capability)
        yield Finding(
            f"pyzmq with {capability}",
            has,
            f"libzmq {zmq.zmq_version()}" if has else f"missing: {without}",
            f"{sys.executable} -m pip install --force-reinstall pyzmq",
        )


def _runtime() -> Iterator[Finding]:
    """Connection files."""
    directory = runtime_dir()
    yield _place("connection files", directory, "JUPYTER_RUNTIME_DIR")


def _sockets() -> Iterator[Finding]:
    """Sockets and logs."""
    directory = new_directory()
    try:
        room = IPC_PATH_LIMIT - len(os.fsencode(directory)) - LONGEST_SOCKET_NAME
        yield _place(
            "sockets and logs", directory.parent, "NBCLUSTER_DIR", f"; ipc paths have {room} bytes to spare"
        )
    finally:
        directory.rmdir()


def _place(what: str, directory: Path, variable: str, more: str = "") -> Finding:
    free = shutil.disk_usage(directory).free
    mode = directory.stat().st_mode & 0o777
    if free < LEAST_SPACE:
        return Finding(
            what,
            False,
            f"{directory} has only {free >> 20} MB free",
            f"make room there, or set {variable} to another directory",
        )
    if mode & 0o077:
        return Finding(what, False, f"{directory} is open to others ({mode:o})", f"chmod 700 {directory}")
    return Finding(what, True, f"{directory}, mode {mode:o}, {free >> 20} MB free{more}")


def _shared_memory() -> Iterator[Finding]:
    """Shared memory."""
    if not sys.platform.startswith("linux"):
        return
    directory = Path("/dev/shm")  # noqa: S108  # the place itself is what is looked at
    if not os.access(directory, os.W_OK | os.X_OK):
        yield Finding("shared memory", False, f"{directory} is not writable", f"mount a tmpfs at {directory}")
        return
    free = shutil.disk_usage(directory).free
    yield Finding(
        "shared memory",
        free >= LEAST_SPACE,
        f"{directory}, {free >> 20} MB free",
        f"remove files from {directory}, or give it more (in a container: --shm-size=1g)",
    )


def _kernels() -> Iterator[Finding]:
    """Kernels."""
    found = KernelSpecManager().get_all_specs()
    names = ", ".join(sorted(found)) or "no kernelspec (only engines of other languages need one)"
    yield Finding(
        "kernels",
        True,
        f"this Python; {names}",
    )
    for name, entry in sorted(found.items()):
        program = entry["spec"]["argv"][0]
        if shutil.which(program) is None:
            yield Finding(
                f"kernel {name}",
                False,
                f"its program {program} does not exist",
                f"install it, or `jupyter kernelspec remove {name}`",
            )


def _clusters() -> Iterator[Finding]:
    """Clusters."""
    running = [cluster.name for cluster in list_clusters()]
    yield Finding("clusters", True, f"running: {', '.join(running)}" if running else "none runs")
    stale = []
    for path in sorted(runtime_dir().glob("*.json")):
        try:
            is_stale = read_connection_file(path).is_stale()
        except UnknownCluster:
            is_stale = True
        if is_stale:
            stale.append(str(path))
    known = {cluster.directory for cluster in list_clusters()}
    for directory in sorted(sockets_parent().iterdir()):
        old = time.time() - directory.stat().st_mtime >= FRESH
        if directory.is_dir() and str(directory) not in known and old and not is_looked_after(directory):
            stale.append(str(directory))
    if stale:
        yield Finding("leftovers", False, f"of dead clusters: {', '.join(stale)}", "nbcluster clean")


def _start() -> Iterator[Finding]:
    """The start of a cluster."""
    began = time.monotonic()
    asyncio.run(_run_one_cell())
    took = time.monotonic() - began
    method = "fork" if sys.platform.startswith("linux") else "exec"
    method = os.environ.get("NBCLUSTER_START_METHOD", method)
    yield Finding(
        "start",
        took < SLOW_START,
        f"one engine started (by {method}), ran a cell and stopped in {took:.1f} s",
        "look for what keeps this machine busy (CPUs, a slow file system under the Python environment)",
    )


async def _run_one_cell() -> None:
    cluster = AsyncCluster(1, name=f"doctor-{os.getpid()}-{uuid.uuid4().hex[:4]}", idle_timeout=10)
    async with cluster:
        result = await cluster[0].execute("6 * 7", check=True)
        if result.value != 42:
            raise NBClusterError(f"an engine answered {result.value!r} to 6 * 7; see `nbcluster logs 0`")
