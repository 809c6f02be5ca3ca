"""The route by which pages stop work: who may use it, what it refuses, and that what it stops is stopped."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from nbcluster import Cluster
from nbcluster.errors import TaskCancelled
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


def test_only_who_is_logged_in_may_stop_and_only_what_there_is(server, world):
    cluster = Cluster(1, name="here")
    stop = "nbcluster/clusters/here/stop"
    mine = {"Authorization": f"token {server.token}"}
    future = cluster.submit(time.sleep, 60)
    wait_until(future.running, 30, "the call to run")

    # Who may.
    assert server.post(stop)[0] == 403
    assert server.post(stop, Authorization="token wrong")[0] == 403
    cookies, xsrf = server.visit("login?token=")
    assert server.post(stop, Cookie=cookies, X_XSRFToken=xsrf)[0] == 403, (
        "a stranger's page has an XSRF token too"
    )
    cookies, xsrf = server.visit(f"tree?token={server.token}")
    assert server.post(stop, Cookie=cookies)[0] == 403, "a form of another site has the cookie alone"
    assert server.post(stop, Cookie=cookies, X_XSRFToken="forged")[0] == 403
    answer, _ = server.ask("GET", stop, b"", {"Cookie": cookies, "X_XSRFToken": xsrf})
    assert answer.status == 405, "nothing is changed by a link"

    # What there is.
    for name in ("..%2Fhere", "%2e%2e", "..", "%2Fetc%2Fpasswd", "here%00", "a%20b", ".hidden", "x" * 65):
        status, told = server.post(f"nbcluster/clusters/{name}/stop", **mine)
        assert (status, told.get("error", "")) in ((400, "UsageError"), (404, "")), name
    for body in (
        b"[]",
        b"{",
        b'{"work": 3}',
        b'{"work": "../x"}',
        b'{"work": "%s"}' % (b"a" * 65),
        b'{"all": true}',
    ):
        status, told = server.post(stop, body, **mine)
        assert (status, told["error"]) in ((400, "ValidationError"), (400, "DecodeError")), body
        assert told["message"]
    status, told = server.post("nbcluster/clusters/nowhere/stop", **mine)
    assert (status, told["error"]) == (404, "UnknownCluster")
    assert "nowhere" in told["message"]
    status, told = server.post(stop, b'{"work": "aa"}', **mine)
    assert (status, told["error"]) == (409, "UsageError")
    assert "nobody waits for work on 'here'" in told["message"]
    assert future.running(), "nothing of all that has stopped anything"

    # What is stopped.
    status, told = server.post(stop, b"", Cookie=cookies, X_XSRFToken=xsrf)
    assert (status, told) == (202, {"message": "the cluster 'here' was told to stop"})
    with pytest.raises(TaskCancelled, match="stopped by"):
        future.result(30)
    assert cluster.submit(len, "abc").result(30) == 3, "the engine goes on"
    cluster.stop()
    status, told = server.post(stop, **mine)
    assert (status, told["error"]) == (404, "UnknownCluster")
