"""Sees all processes of a run by a marker in their environment: CPU, memory, what is left. Linux only."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

MARKER = "NBCLUSTER_BENCHMARK_ID"


def all_processes(run_id: str) -> list[psutil.Process]:
    """Return the living processes that carry this id, this one too, and daemons that left the tree."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == run_id:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended while it was looked at, or belongs to someone else
    return found


def cpu_seconds(run_id: str) -> float:
    """Return the CPU seconds of all processes so far, with those of children that they have reaped."""
    total = 0.0
    for process in all_processes(run_id):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def pss_bytes(run_id: str, without: int) -> int:
    """Return the proportional set size of all processes but one: shared pages are counted once."""
    total = 0
    for process in all_processes(run_id):
        if process.pid != without:
            total += pss_of(process.pid)
    return total


def pss_of(pid: int) -> int:
    """Return the proportional set size of one process in bytes; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def end_all(run_id: str) -> int:
    """Kill what is left of a run but this process; return how many that were."""
    left = [process for process in all_processes(run_id) if process.pid != os.getpid()]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=10)
    return len(left)
