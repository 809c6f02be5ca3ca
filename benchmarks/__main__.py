"""The command: `python -m benchmarks [--only ...] [--systems ...] [--rounds N] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.measurements import MEASUREMENTS
from benchmarks.report import line_of, medians_of, table_of, verdicts_of
from benchmarks.rounds import Run, interleaved
from benchmarks.systems import SYSTEMS


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m benchmarks", description="nbcluster and its peers")
    names = list(MEASUREMENTS)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument(
        "--rounds", type=int, default=5, help="how often each is run, interleaved (default 5)"
    )
    parser.add_argument("--json", type=Path, help="also write every sample to this file")
    return parser.parse_args()


def main() -> int:
    """Run, print the tables and the bars; 0 when every bar that could be judged is met."""
    asked = arguments()
    installed = []
    for name in asked.systems:
        if SYSTEMS[name].is_installed():
            installed.append(name)
        else:
            print(f"{name}: not installed, passed over")
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs, load {load}")
    runs: list[Run] = []
    for run in interleaved(installed, [MEASUREMENTS[name] for name in asked.only], asked.rounds):
        runs.append(run)
        said = run.failure or ("ok" if not run.left_behind else f"left {run.left_behind} processes behind")
        print(f"{run.measurement} {run.system}: {said}", file=sys.stderr, flush=True)
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps([asdict(run) for run in runs]))
    medians = medians_of(runs)
    for measurement, by_system in medians.items():
        print(table_of(measurement, by_system))
    failures = [run for run in runs if run.failure]
    for run in failures:
        print(f"\n{run.measurement} {run.system} failed:\n{run.failure}")
    print("\nBars (medians of rounds)")
    verdicts = verdicts_of(medians)
    for what, verdict in verdicts:
        print(line_of(what, verdict))
    ours_failed = any(run.system == "nbcluster" for run in failures)
    return int(ours_failed or any(verdict is not None and not verdict.is_met for _, verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
