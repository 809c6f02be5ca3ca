"""One measurement of one system in a process of its own: `python -m benchmarks.worker SYSTEM NAME`."""

from __future__ import annotations

import json
import os
import sys

from benchmarks.measurements import MEASUREMENTS
from benchmarks.processes import MARKER
from benchmarks.systems import SYSTEMS


def main() -> None:
    """Measure, and write the samples as the last line of stdout: systems print what they like before."""
    system, measurement = sys.argv[1:]
    samples = MEASUREMENTS[measurement].run(SYSTEMS[system].create(), os.environ[MARKER])
    print(json.dumps(samples), flush=True)


if __name__ == "__main__":
    main()
