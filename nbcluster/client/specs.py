"""Describes engines that see what this process sees. Knows no clusters."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from math import isfinite

from nbcluster.errors import UsageError
from nbcluster.payload.sizes import parse_memory_limit
from nbcluster.protocol import messages as m


def available_cpus() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_amounts(resources: Mapping[str, float]) -> dict[str, float]:
    """Return amounts by name.

    Raises
    ------
    UsageError
        When something in it is no amount.
    """
    for name, amount in resources.items():
        number = isinstance(amount, int | float) and not isinstance(amount, bool)
        if not isinstance(name, str) or not name or not number or not isfinite(amount) or amount < 0:
            raise UsageError(
                f"resources={dict(resources)!r} cannot be: give amounts by name, such as {{'gpu': 1}}"
            )
    return {name: float(amount) for name, amount in resources.items()}


def engine_spec(
    n: int,
    *,
    launcher: str = "local",
    kernel: str = "",
    tags: Sequence[str] = (),
    resources: Mapping[str, float] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    threads: int | None = None,
    memory_limit: float | str | None = None,
) -> m.KernelSpecRef:
    """Describe engines that see what this process sees: its directory, its sys.path, its share of the CPUs."""
    share = str(threads if threads is not None else max(1, available_cpus() // max(1, n)))
    variables = {
        name: share
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        if name not in os.environ
    }
    return m.KernelSpecRef(
        kernel=kernel,
        tags=tuple(tags),
        resources=check_amounts(resources or {}),
        env={**variables, **(env or {})},
        cwd=cwd or os.getcwd(),
        path=tuple(entry or os.getcwd() for entry in sys.path),
        launcher=launcher,
        memory_limit=parse_memory_limit(memory_limit),
        siblings=max(1, n),
    )
