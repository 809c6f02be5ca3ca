"""The kernel application of an engine: ipykernel's, with the engine's session. Knows no cluster."""

from __future__ import annotations

from ipykernel.kernelapp import IPKernelApp
from traitlets import default

from nbcluster.engine.session import EngineSession


class EngineApp(IPKernelApp):  # type: ignore[misc]  # ipykernel's classes are not typed
    """ipykernel's application; what is configured for it holds here too."""

    @default("session")  # type: ignore[untyped-decorator]
    def _make_session(self) -> EngineSession:
        return EngineSession(parent=self)
