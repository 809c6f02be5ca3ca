"""Runs measurements in interleaved rounds, each in a fresh process and directories. Knows no figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurements.base import Measurement, Samples
from benchmarks.processes import MARKER, end_all
from benchmarks.systems import SYSTEMS

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Run:
    """One measurement of one system, once."""

    measurement: str
    system: str
    samples: Samples
    left_behind: int
    """Processes that were still there when the system had said that it stopped."""
    failure: str = ""


def is_able(system: str, measurement: Measurement) -> bool:
    """Return whether the system has the feature that is measured."""
    if measurement.only and system not in measurement.only:
        return False
    return isinstance(SYSTEMS[system].create(), measurement.needs)


def interleaved(systems: list[str], measurements: list[Measurement], rounds: int) -> Iterator[Run]:
    """Yield runs: every system in each round, beginning with another one each time."""
    for measurement in measurements:
        able = [system for system in systems if is_able(system, measurement)]
        for turn in range(min(rounds, measurement.rounds or rounds)):
            first = turn % max(len(able), 1)
            for system in able[first:] + able[:first]:
                yield run_once(system, measurement)


def run_once(system: str, measurement: Measurement) -> Run:
    """Run in a fresh process with directories of its own, and clear away what it leaves."""
    run_id = uuid.uuid4().hex
    name, limit = measurement.name, measurement.time_limit
    with tempfile.TemporaryDirectory(prefix="nbcb", dir="/tmp", ignore_cleanup_errors=True) as top:
        directories = {
            "NBCLUSTER_DIR": "r",
            "XDG_RUNTIME_DIR": "r",
            "JUPYTER_RUNTIME_DIR": "j",
            "JUPYTER_CONFIG_DIR": "c",
            "IPYTHONDIR": "i",
        }
        environment = {name: value for name, value in os.environ.items() if name != "JPY_PARENT_PID"}
        for variable, directory in directories.items():
            path = Path(top) / directory
            path.mkdir(mode=0o700, exist_ok=True)
            environment[variable] = str(path)
        environment[MARKER] = run_id
        command = [sys.executable, "-m", "benchmarks.worker", system, name]
        try:
            result = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit
            )
        except subprocess.TimeoutExpired:
            return Run(name, system, {}, end_all(run_id), f"no answer within {limit:g} s")
        left_behind = end_all(run_id)
    if result.returncode != 0:
        last_words = "\n".join(result.stderr.strip().splitlines()[-6:])
        return Run(name, system, {}, left_behind, last_words or f"exit code {result.returncode}")
    return Run(name, system, json.loads(result.stdout.strip().splitlines()[-1]), left_behind)
