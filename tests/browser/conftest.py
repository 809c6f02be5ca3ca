"""Gives browser tests a Jupyter server, a browser and a notebook; all of it is gone at the end."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from driver import ARTIFACTS, Interface, Notebook, Server
from playwright.sync_api import Browser, Page, sync_playwright

from nbcluster.testing.waiting import wait_until

HERE = Path(__file__).parent

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""The first because tests in a container run as root; the others keep the browser from calling home."""

ENDINGS = """
from nbcluster import Cluster
from nbcluster.transport.rendezvous import list_clusters
for found in list_clusters():
    Cluster.connect(found.name).stop(force=True)
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs chromium (Debian: chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def serve(world: Any) -> Iterator[Callable[[Interface], Server]]:
    """Start Jupyter servers; they end with the test, and so do their kernels and clusters."""
    started: list[tuple[Server, subprocess.Popen[bytes]]] = []

    def start(interface: Interface) -> Server:
        root = world.top / "notebooks"
        root.mkdir(exist_ok=True)
        _leave_out_news(world)
        _enable_extension(world)
        token = secrets.token_hex(16)
        log = (world.top / f"{interface}.log").open("wb")
        module = {"lab": "jupyterlab", "notebook": "notebook"}[interface]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", module, "--no-browser", "--allow-root"),
                *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={token}"),
                *(f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True"),
                *("--JupyterNotebookApp.expose_app_in_browser=True", "--ServerApp.terminals_enabled=False"),
                f"--ServerApp.cookie_secret_file={world.top / 'cookie_secret'}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=root,
        )
        log.close()
        url = wait_until(lambda: _url_of(world, process), 60, f"the address of {module}")
        server = Server(url, token, root, interface)
        started.append((server, process))
        return server

    yield start
    for server, process in started:
        server.end_kernels()
        process.terminate()
        process.wait(60)
    subprocess.run([sys.executable, "-c", ENDINGS], check=True, timeout=60)


@pytest.fixture(autouse=True)
def progress(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Show how far cells are only in modules that look at it: how long a cell takes is not for the others to know."""
    monkeypatch.setenv("NBCLUSTER_PROGRESS", getattr(request.module, "PROGRESS", "off"))


def _leave_out_news(world: Any) -> None:
    settings = world.top / "c/s/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))


def _enable_extension(world: Any) -> None:
    """As the wheel does, also where nbcluster is not installed from one."""
    settings = world.top / "c/jupyter_server_config.d"
    settings.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE.parents[1] / "jupyter-config/nbcluster.json", settings)
    place = world.jupyter_data / "labextensions/nbcluster"
    shutil.copytree(HERE.parents[1] / "jupyter-lab", place, dirs_exist_ok=True)


def _url_of(world: Any, process: subprocess.Popen[bytes]) -> str:
    assert process.poll() is None, "the Jupyter server ended at once"
    file = world.jupyter_runtime / f"jpserver-{process.pid}.json"
    if not file.exists():
        return ""
    try:
        told = json.loads(file.read_text())
    except json.JSONDecodeError:  # it is being written
        return ""
    return f"http://127.0.0.1:{told['port']}" if told.get("port") else ""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own profile."""
    context = browser.new_context(viewport={"width": 1180, "height": 900}, reduced_motion="reduce")
    yield context.new_page()
    context.close()


@pytest.fixture
def notebook(
    serve: Callable[[Interface], Server], page: Page, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook of these cells; at the end its page must not have complained."""
    opened: list[Notebook] = []

    def open_one(*cells: str, interface: Interface = "lab") -> Notebook:
        name = request.node.name.removeprefix("test_")[:40].replace("[", "-").replace("]", "")
        opened.append(Notebook.open(page, serve(interface), name, *cells))
        return opened[-1]

    yield open_one
    for one in opened:
        ARTIFACTS.mkdir(exist_ok=True)
        one.picture(f"{one.name}-end")
        assert one.errors == [], "\n".join(one.errors)
