"""How long the import of the package takes, in bare Python and in a running kernel."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.with_ipykernel import Driver as Kernel

TIMED = (
    "import time; begun = time.perf_counter(); import {module}; print((time.perf_counter() - begun) * 1000)"
)
TIMED_START = TIMED.replace("import {module}", "from {module} import Cluster")


def run(system: System, run_id: str) -> Samples:
    """Import once unseen, so that bytecode and file cache are warm; then measure in fresh processes."""
    codes = {"import": TIMED.format(module=system.module)}
    if system.name == "nbcluster":
        codes["import_of_cluster"] = TIMED_START.format(module=system.module)
    samples: Samples = {}
    for name, code in codes.items():
        in_python(code)
        samples[f"{name}_ms"] = [in_python(code) for _ in range(3)]
        samples[f"{name}_in_kernel_ms"] = [in_kernel(code)]
    return samples


def in_python(code: str) -> float:
    """Run the timed import in a fresh interpreter."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(result.stdout)


def in_kernel(code: str) -> float:
    """Run the timed import in a fresh kernel."""
    texts: list[str] = []
    kernel = Kernel()
    kernel.start(1)
    kernel.run(code, on_text=texts.append)
    kernel.stop()
    return float(texts[0])


MEASUREMENT = Measurement(
    "import",
    "import of the package, in bare Python and in a running kernel",
    System,
    run,
    bars=(
        Bar("import in bare Python", "import_ms", 150),
        Bar("import in a running kernel", "import_in_kernel_ms", 50),
    ),
)
