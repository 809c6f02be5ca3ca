"""A notebook in JupyterLab and headless Chromium, and what its page was sent and has drawn. Knows no bars.

The page itself notes each message and each frame, so that nothing of ours lies between it and the figures.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "measured.ipynb"
PATIENCE = 120.0

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

NOTES = """(() => {
  const notes = window.notes = {sent: [], frames: [], displayed: [], views: [], told: []};
  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...how) {
      super(...how);
      this.addEventListener('message', ({data}) => {
        const now = Date.now() / 1000;
        const size = data.length ?? data.byteLength ?? data.size;
        notes.sent.push([now, size]);
        if (size > 20000) return;
        const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
        if (/display_data/.test(text) && /widget-view\\+json/.test(text)) notes.displayed.push(now);
      });
    }
  };
  let last = performance.now(), told = '', was = null;
  const frame = (at) => {
    const now = Date.now() / 1000;
    notes.frames.push([now, at - last]);
    last = at;
    const view = document.querySelector('[aria-label="progress of the cell"]');
    const track = view?.querySelector('.nbc-track');
    const is = track ? view : null;
    if (is && is !== was) notes.views.push(now);
    was = is;
    const text = track?.getAttribute('aria-label') ?? '';
    if (text !== told) notes.told.push([now, told = text]);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})()"""
"""What the page notes, in seconds of the clock that other processes have too: `sent` has the bytes of each message,
`frames` the milliseconds since the last one, `displayed` the messages that show a widget, `views` the first frame with
a live view in it, `told` what its first bar says."""


@dataclass
class Lab:
    """An open notebook."""

    page: Any
    file: Path

    def start(self, at: int) -> None:
        """Run a cell; does not wait."""
        self.page.evaluate(
            """at => {
                window.jupyterapp.shell.currentWidget.content.activeCellIndex = at;
                void window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            at,
        )
        self.wait_for(lambda: self._state(at) != ["idle", None], f"cell {at} to begin")

    def run(self, at: int, seconds: float = PATIENCE) -> None:
        """Run a cell to its end."""
        self.start(at)
        self.wait_for_end(at, seconds)

    def wait_for_end(self, at: int, seconds: float = PATIENCE) -> None:
        """Wait until a cell has run."""
        self.wait_for(lambda: self.is_over(at), f"the end of cell {at}", seconds)

    def is_over(self, at: int) -> bool:
        """Whether a cell has run."""
        state, count = self._state(at)
        return state == "idle" and count is not None

    def _state(self, at: int) -> list[Any]:
        found: list[Any] = self.page.evaluate(
            """at => {
                const model = window.jupyterapp.shell.currentWidget.content.widgets[at].model;
                return [model.executionState, model.executionCount];
            }""",
            at,
        )
        return found

    def notes(self) -> dict[str, list[Any]]:
        """What the page has noted since it was asked last."""
        found: dict[str, list[Any]] = self.page.evaluate(
            """() => {
                const found = structuredClone(window.notes);
                for (const list of Object.values(window.notes)) list.length = 0;
                return found;
            }"""
        )
        return found

    def saved(self) -> dict[str, Any]:
        """Save the notebook; return what is in the file."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        read: dict[str, Any] = json.loads(self.file.read_text())
        return read

    def wait_for(self, is_true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """Let the page go on until something is true."""
        end = time.monotonic() + seconds
        while not is_true():
            if time.monotonic() > end:
                raise TimeoutError(f"gave up waiting for {what}")
            self.page.wait_for_timeout(50)


@contextmanager
def lab(top: Path, *cells: str) -> Iterator[Lab]:
    """A notebook of these cells in a JupyterLab of its own below `top`; both end with the block."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise RuntimeError("there is no chromium; Debian's package of that name has it")
    file = top / NAME
    file.write_text(json.dumps(_notebook(cells)))
    token = secrets.token_hex(16)
    with _server(top, token) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1180, "height": 1400})
        page.add_init_script(NOTES)
        page.goto(f"{url}/lab/tree/{NAME}?token={token}")
        page.wait_for_function(
            """() => {
                const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
                const kernel = context?.session?.kernel;
                return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
            }""",
            timeout=PATIENCE * 1000,
        )
        yield Lab(page, file)
        browser.close()


def _notebook(cells: tuple[str, ...]) -> dict[str, Any]:
    made = [
        {
            "cell_type": "code",
            "id": f"cell-{at}",
            "source": source,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for at, source in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


@contextmanager
def _server(top: Path, token: str) -> Iterator[str]:
    log = (top / "lab.log").open("wb")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={token}"),
            *(f"--ServerApp.root_dir={top}", "--LabApp.expose_app_in_browser=True"),
            *("--ServerApp.terminals_enabled=False", f"--ServerApp.cookie_secret_file={top / 'secret'}"),
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=top,
    )
    log.close()
    try:
        url = _url_of(process)
        yield url
        for session in _ask(f"{url}/api/sessions", token):
            _ask(f"{url}/api/sessions/{session['id']}", token, "DELETE")
    finally:
        process.terminate()
        process.wait(60)


def _url_of(process: subprocess.Popen[bytes]) -> str:
    found = Path(os.environ["JUPYTER_RUNTIME_DIR"]) / f"jpserver-{process.pid}.json"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            return f"http://127.0.0.1:{json.loads(found.read_text())['port']}"
        except (FileNotFoundError, json.JSONDecodeError):  # it is not there yet, or being written
            time.sleep(0.1)
    raise RuntimeError("JupyterLab did not start; is it installed (pip install '.[browser]')?")


def _ask(url: str, token: str, method: str = "GET") -> Any:
    request = urllib.request.Request(url, method=method, headers={"Authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None
