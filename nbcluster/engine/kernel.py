"""The kernel that is an engine. First form: an IPython kernel."""

from __future__ import annotations

from ipykernel.ipkernel import IPythonKernel


class EngineKernel(IPythonKernel):  # type: ignore[misc]  # ipykernel's classes are not typed
    """An engine."""
