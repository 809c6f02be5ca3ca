"""A Jupyter server with the extension, below a prefix, and who asks it."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from nbcluster.testing.waiting import wait_until

ROOT = Path(__file__).parents[3]
BASE = "/some/user/"


@dataclass
class Server:
    """A Jupyter server below a prefix, as JupyterHub has it."""

    port: int
    token: str

    def post(self, path: str, body: bytes = b"{}", **headers: str) -> tuple[int, dict[str, str]]:
        answer, told = self.ask("POST", path, body, headers)
        return answer.status, json.loads(told) if told.startswith(b"{") else {}

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, BASE + path, body, {"Content-Type": "application/json", **named})
        answer = connection.getresponse()
        told = answer.read()
        connection.close()
        return answer, told

    def visit(self, page: str) -> tuple[str, str]:
        """The cookies that a page gives, and its XSRF token."""
        answer, _ = self.ask("GET", page, b"", {})
        again, _ = self.ask("GET", "api/contents", b"", {"Cookie": _cookies(answer)})
        jar = "; ".join(part for part in (_cookies(answer), _cookies(again)) if part)
        found = re.search(r"_xsrf=([^;]+)", jar)
        assert found is not None, "the server gives a page an XSRF token"
        return jar, found[1]


def _cookies(answer: HTTPResponse) -> str:
    return "; ".join(value.partition(";")[0] for name, value in answer.getheaders() if name == "Set-Cookie")


@pytest.fixture
def server(world) -> Iterator[Server]:
    """A Jupyter server that has found the extension by the file that the wheel brings."""
    settings = world.top / "c" / "jupyter_server_config.d"
    settings.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "jupyter-config/nbcluster.json", settings)
    token = secrets.token_hex(16)
    log = (world.top / "server.log").open("wb")
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "jupyter_server",
                "--no-browser",
                "--allow-root",
                f"--ServerApp.base_url={BASE}",
            ),
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={token}"),
            *("--ServerApp.terminals_enabled=False", f"--ServerApp.root_dir={world.top}"),
            f"--ServerApp.cookie_secret_file={world.top / 'cookie_secret'}",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=world.top,
    )
    log.close()
    file = world.jupyter_runtime / f"jpserver-{process.pid}.json"

    def port() -> int:
        assert process.poll() is None, (world.top / "server.log").read_text()
        try:
            return int(json.loads(file.read_text())["port"])
        except (OSError, ValueError):
            return 0

    yield Server(wait_until(port, 60, "the address of the server"), token)
    process.terminate()
    process.wait(30)
