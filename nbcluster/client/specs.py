"""Describes engines that see what this process sees. Knows no clusters."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from math import isfinite
from pathlib import Path

from nbcluster.core.gpus import VISIBLE
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


def available_gpus(environ: Mapping[str, str] = os.environ, devices: Path = Path("/dev")) -> tuple[str, ...]:
    """NVIDIA's GPUs that this process may use, as CUDA names them.

    Those of `CUDA_VISIBLE_DEVICES`, else one for each device file, see
    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#env-vars.
    """
    if (visible := environ.get(VISIBLE)) is not None:
        named = [name.strip() for name in visible.split(",")]
        return tuple(
            takewhile(lambda name: name not in ("", "-1"), named)
        )  # what stands behind a bad one is not seen
    found = (file.name.removeprefix("nvidia") for file in devices.glob("nvidia[0-9]*"))
    return tuple(sorted((name for name in found if name.isdecimal()), key=int))


def _gpus_for(per_engine: int, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    if isinstance(per_engine, bool) or not isinstance(per_engine, int) or per_engine < 0:
        raise UsageError(f"gpus_per_engine={per_engine!r} cannot be: it is a whole number, 0 or more")
    gpus = available_gpus(environ) if per_engine else ()
    if per_engine and not gpus:
        why = f"{VISIBLE} hides all" if VISIBLE in environ else "there is no /dev/nvidia0"
        raise UsageError(f"gpus_per_engine={per_engine}: no NVIDIA GPU can be seen here, {why}; leave it out")
    return gpus


def _may_restart(restart: str) -> bool:
    if restart not in ("always", "never"):
        raise UsageError(
            f"restart={restart!r} cannot be: 'always' starts engines that died again, 'never' does not"
        )
    return restart == "always"


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
    gpus_per_engine: int = 0,
    restart: str = "always",
) -> m.KernelSpecRef:
    """Describe engines that see what this process sees: its directory, its sys.path, its share of the CPUs."""
    gpus = _gpus_for(gpus_per_engine)
    share = str(threads if threads is not None else max(1, available_cpus() // max(1, n)))
    variables = {
        name: share
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        if name not in os.environ
    }
    return m.KernelSpecRef(
        kernel=kernel,
        tags=tuple(tags),
        resources=check_amounts(
            {**({"gpu": gpus_per_engine} if gpus_per_engine else {}), **(resources or {})}
        ),
        env={**variables, **(env or {})},
        cwd=cwd or os.getcwd(),
        path=tuple(entry or os.getcwd() for entry in sys.path),
        launcher=launcher,
        memory_limit=parse_memory_limit(memory_limit),
        siblings=max(1, n),
        gpus=gpus,
        gpus_per_engine=gpus_per_engine,
        restart=_may_restart(restart),
    )
