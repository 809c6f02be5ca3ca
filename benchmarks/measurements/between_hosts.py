"""An array of 256 MB from one engine to another that it shares no memory with, over loopback tcp: plain, encrypted."""

from __future__ import annotations

from benchmarks.measurements.arrays_returned import use_and_bring
from benchmarks.measurements.base import Bar, Measurement, Samples
from benchmarks.systems.base import System
from benchmarks.systems.values import SendsBetweenHosts


def _run(system: System, *, encrypted: bool) -> Samples:
    assert isinstance(system, SendsBetweenHosts)
    system.start_apart(2, encrypted=encrypted)
    samples = use_and_bring(system)
    system.stop()
    return samples


def run(system: System, run_id: str) -> Samples:
    """Send what nobody encrypts."""
    return _run(system, encrypted=False)


def run_encrypted(system: System, run_id: str) -> Samples:
    """Send what is encrypted: with AES-256-GCM here, with TLS by Dask."""
    return _run(system, encrypted=True)


MEASUREMENT = Measurement(
    "hosts256",
    "256 MB made on one engine, then used on another and brought here, over loopback tcp",
    SendsBetweenHosts,
    run,
    bars=(Bar("256 MB to an engine over tcp, wall, against Dask", "use_elsewhere_ms", 1.0, "dask"),),
    rounds=3,
)

ENCRYPTED = Measurement(
    "hosts256tls",
    "the same, encrypted: AES-256-GCM here, TLS in Dask",
    SendsBetweenHosts,
    run_encrypted,
    bars=(Bar("256 MB to an engine, encrypted, wall, against Dask", "use_elsewhere_ms", 1.0, "dask"),),
    rounds=3,
)
