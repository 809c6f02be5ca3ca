"""The Jupyter Server extension: what pages ask while their kernels are busy. Jupyter Server is imported here alone."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "nbcluster.server"}]


def _load_jupyter_server_extension(server: Any) -> None:
    from nbcluster.server.routes import add_routes

    add_routes(server.web_app)
