"""Drives a notebook in a browser: opens it, runs cells, waits for what they show. Knows no nbcluster."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import nbformat
from playwright.sync_api import ConsoleMessage, Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
SECONDS = 1000
PATIENCE = 30 * SECONDS

Interface = Literal["lab", "notebook"]

KNOWN_NOISE = {
    r"favicon": "no icon is served for some pages",
    r"Failed to load resource.*(404|403)": "Lab asks for settings, themes and workspaces that are not there yet",
    r"\[object Object\]": "Lab's settings registry reports plug-ins without a schema",
    r"WebGL|GPU|swiftshader": "the browser runs without a graphics card",
    r"requirejs|define\.amd": "Lab's widget manager looks for a loader that pages without one lack",
    r"reading 'schema'": "Notebook 7 asks its settings editor for a plug-in that it does not load",
    r"Autofill|ERR_INTERNET_DISCONNECTED": "Chromium itself, without a network",
}
"""What the page's console says without nbcluster too, with the reason."""


@dataclass(frozen=True)
class Server:
    """A running Jupyter server."""

    url: str
    token: str
    root: Path
    interface: Interface

    def ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        """Ask its REST interface."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def end_kernels(self) -> None:
        """End every kernel."""
        for session in self.ask("/api/sessions"):
            self.ask(f"/api/sessions/{session['id']}", "DELETE")


@dataclass
class Notebook:
    """One notebook in a page."""

    page: Page
    server: Server
    name: str
    errors: list[str] = field(default_factory=list)

    # -- its life --------------------------------------------------------------------------------

    @classmethod
    def open(cls, page: Page, server: Server, name: str, *cells: str) -> Notebook:
        """Write a notebook of these cells and open it; returns when its kernel is idle."""
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells or ("",)])
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(made, server.root / f"{name}.ipynb")
        return cls.join(page, server, name)

    @classmethod
    def join(cls, page: Page, server: Server, name: str) -> Notebook:
        """Open a notebook that is there; one that is open elsewhere shares its kernel."""
        self = cls(page, server, name)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self._complain(str(error)))
        self.load()
        return self

    def load(self, *, idle: bool = True) -> None:
        """Load the page (again); returns when its kernel is idle, or connected at least."""
        where = f"lab/workspaces/{self.name}/tree" if self.server.interface == "lab" else "notebooks"
        self.page.goto(f"{self.server.url}/{where}/{self.name}.ipynb?token={self.server.token}")
        self.page.wait_for_function(
            """idle => {
                const app = window.jupyterapp;
                if (!app || !app.shell.currentWidget) return false;
                const context = app.shell.currentWidget.sessionContext;
                return context && context.session && context.session.kernel
                    && context.session.kernel.connectionStatus === 'connected'
                    && (!idle || context.session.kernel.status === 'idle');
            }""",
            arg=idle,
            timeout=2 * PATIENCE,
        )
        expect(self.cell(0)).to_be_visible(timeout=PATIENCE)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._complain(message.text)

    def _complain(self, text: str) -> None:
        if not any(re.search(known, text) for known in KNOWN_NOISE):
            self.errors.append(text)

    # -- doing -----------------------------------------------------------------------------------

    def command(self, name: str, **args: object) -> None:
        """Start a command of the application, without waiting for its end."""
        self.page.evaluate(
            "([name, args]) => { void window.jupyterapp.commands.execute(name, args); }", [name, args]
        )

    def select(self, at: int) -> None:
        """Make a cell the active one."""
        self.page.evaluate(
            "at => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = at; }", at
        )

    def start(self, at: int) -> None:
        """Run a cell; does not wait."""
        self.select(at)
        self.command("notebook:run-cell")
        self.page.wait_for_function(
            """at => {
                const cell = window.jupyterapp.shell.currentWidget.content.widgets[at];
                return cell.model.executionState !== 'idle' || cell.model.executionCount !== null;
            }""",
            arg=at,
            timeout=PATIENCE,
        )

    def run(self, at: int, seconds: float = 60) -> None:
        """Run a cell to its end."""
        self.start(at)
        self.wait_for_end(at, seconds)

    def wait_for_end(self, at: int, seconds: float = 60) -> None:
        """Wait until a cell has its number."""
        expect(self.cell(at).locator(".jp-InputArea-prompt")).to_have_text(
            re.compile(r"\[\d+\]"), timeout=seconds * SECONDS
        )

    def interrupt(self) -> None:
        """Press the stop button."""
        self.page.locator('[data-command="notebook:interrupt-kernel"]').first.click()

    def append(self, code: str) -> int:
        """Add a cell at the end; return where it is."""
        at: int = self.page.evaluate(
            """code => {
                const content = window.jupyterapp.shell.currentWidget.content;
                const shared = content.model.sharedModel;
                shared.addCell({cell_type: 'code', source: code});
                return shared.cells.length - 1;
            }""",
            code,
        )
        expect(self.cell(at)).to_be_attached(timeout=PATIENCE)
        return at

    def do(self, code: str, seconds: float = 60) -> int:
        """Add a cell and run it to its end."""
        at = self.append(code)
        self.run(at, seconds)
        return at

    def use_theme(self, name: str) -> None:
        """Change the theme and wait until it is drawn."""
        self.command("apputils:change-theme", theme=name)
        light = "false" if "Dark" in name else "true"
        self.page.wait_for_selector(
            f'body[data-jp-theme-light="{light}"]', state="attached", timeout=PATIENCE
        )
        # The colours are drawn under a splash screen that fades.
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=PATIENCE)

    # -- looking ---------------------------------------------------------------------------------

    def cell(self, at: int) -> Locator:
        """A cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(at)

    def outputs(self, at: int) -> Locator:
        """The outputs of a cell."""
        return self.cell(at).locator(".jp-OutputArea-output")

    def text(self, at: int) -> str:
        """The text of all outputs of a cell, as one reads it."""
        return "\n".join(self.outputs(at).all_inner_texts())

    def wait_for_text(self, at: int, wanted: str | re.Pattern[str], seconds: float = 30) -> None:
        """Wait until the outputs of a cell show a text."""
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
        self.wait_until(
            lambda: pattern.search(self.text(at)) is not None,
            lambda: f"cell {at} to show {pattern.pattern!r}; it shows {self.text(at)!r}",
            seconds,
        )

    def wait_until(self, is_true: Callable[[], bool], what: Callable[[], str], seconds: float = 30) -> None:
        """Look again and again, while the page goes on, until something is true."""
        end = time.monotonic() + seconds
        while not is_true():
            assert time.monotonic() < end, f"gave up waiting for {what()}"
            self.page.wait_for_timeout(40)

    def put_cursor(self, at: int, line: int, column: int) -> None:
        """Put the cursor somewhere in a cell."""
        self.select(at)
        self.page.evaluate(
            """([at, line, column]) => {
                const cell = window.jupyterapp.shell.currentWidget.content.widgets[at];
                cell.editor.focus();
                cell.editor.setCursorPosition({line, column});
            }""",
            [at, line, column],
        )

    def inspect(self, at: int, line: int, column: int) -> str:
        """Put the cursor somewhere in a cell and press Shift-Tab until a tooltip comes; return what it says.

        A user presses again, too, when a machine that is full was later than the limit.
        """
        self.put_cursor(at, line, column)
        expect(self.cell(at).locator(".cm-editor.cm-focused")).to_be_visible(timeout=PATIENCE)
        tooltip = self.page.locator(".jp-Tooltip")
        for _ in range(10):
            self.page.keyboard.press("Shift+Tab")
            with suppress(PlaywrightTimeout):
                tooltip.wait_for(state="visible", timeout=3 * SECONDS)
                break
        return tooltip.inner_text(timeout=SECONDS)

    def complete(self, at: int, line: int, column: int) -> list[str]:
        """Put the cursor somewhere in a cell and press Tab; return what the popup offers."""
        self.put_cursor(at, line, column)
        self.page.keyboard.press("Tab")
        popup = self.page.locator(".jp-Completer:not(.lm-mod-hidden)")
        expect(popup).to_be_visible(timeout=PATIENCE)
        offered: list[str] = popup.locator(".jp-Completer-match").all_inner_texts()
        return offered

    def count(self, at: int) -> str:
        """What stands before a cell: `[3]:`, `[*]:` while it runs."""
        return self.cell(at).locator(".jp-InputArea-prompt").inner_text().strip()

    def picture(self, name: str) -> Path:
        """Keep a picture of the page."""
        ARTIFACTS.mkdir(exist_ok=True)
        file = ARTIFACTS / f"{name}.png"
        self.page.screenshot(path=file)
        return file
