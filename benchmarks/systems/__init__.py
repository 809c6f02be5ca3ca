"""The systems that are compared, one file each; a name here is a name on the command line."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass

from benchmarks.systems.base import System


@dataclass(frozen=True)
class Entry:
    """Where a system's driver is, and the package that it needs."""

    name: str
    package: str
    module: str

    def is_installed(self) -> bool:
        """Return whether the package can be imported here, without importing it."""
        return importlib.util.find_spec(self.package) is not None

    def create(self) -> System:
        """Return a driver; nothing of the system itself is imported yet."""
        system: System = importlib.import_module(f"benchmarks.systems.{self.module}").Driver()
        return system


SYSTEMS = {
    entry.name: entry
    for entry in (
        Entry("nbcluster", "nbcluster", "with_nbcluster"),
        Entry("ipykernel", "ipykernel", "with_ipykernel"),
        Entry("ipyparallel", "ipyparallel", "with_ipyparallel"),
        Entry("dask", "distributed", "with_dask"),
        Entry("ray", "ray", "with_ray"),
        Entry("processpool", "concurrent.futures", "with_processpool"),
        Entry("loky", "joblib", "with_loky"),
    )
}
