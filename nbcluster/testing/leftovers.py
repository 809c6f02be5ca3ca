"""Finds what a test left behind: processes by a marker in their environment, and files. Knows no clusters."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

MARKER = "NBCLUSTER_TEST_ID"
"""The environment variable that every process of a test inherits."""


def find_processes(test_id: str) -> list[psutil.Process]:
    """Return the living processes that were started with this test id in their environment, but this one.

    A forked process shows the environment of the program that it was forked from, so engines that are
    forked by a supervisor are found too. Zombies have no environment and are passed over: their
    parent has been told.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == test_id:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended while it was looked at, or belongs to someone else: not a child of this test
    return found


def find_files(directories: Iterable[Path]) -> list[Path]:
    """Return everything but directories below these directories: files, sockets, locks, links."""
    found = []
    for top in directories:
        for directory, inside, files in os.walk(top):  # passes over what is removed meanwhile
            links = [name for name in inside if os.path.islink(os.path.join(directory, name))]
            found += [Path(directory, name) for name in (*files, *links)]
    return sorted(found)


def describe_process(process: psutil.Process) -> str:
    """Return one line that says which process this is."""
    try:
        command = " ".join(process.cmdline()) or process.name()
        return f"{process.pid} ({process.status()}, parent {process.ppid()}): {command[:300]}"
    except psutil.Error:
        return f"{process.pid} (ended meanwhile)"


def end_processes(processes: list[psutil.Process], grace: float = 5.0) -> None:
    """Kill processes and wait until they are gone, so that one test's leftovers do not disturb the next."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=grace)
