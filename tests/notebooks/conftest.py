"""Executes a teaching notebook as a newcomer would, by the command line, and tells what each cell showed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@dataclass(frozen=True)
class Executed:
    """A notebook that was run: its cells by id, and what the command printed."""

    cells: dict[str, Any]
    printed: str

    def shown(self, cell: str) -> list[str]:
        """Return the lines of text that a cell shows, without errors."""
        texts = [
            output.text if output.output_type == "stream" else str(output.data.get("text/plain", "")) + "\n"
            for output in self.cells[cell].outputs
            if output.output_type != "error"
        ]
        return [line for line in plain("".join(texts)).splitlines() if line]

    def value(self, cell: str) -> list[str]:
        """Return the lines of the value of a cell's last expression, without what was printed."""
        (text,) = [
            output.data["text/plain"]
            for output in self.cells[cell].outputs
            if output.output_type == "execute_result"
        ]
        return [line for line in text.splitlines() if line]

    def errors(self, cell: str) -> list[str]:
        """Return each error that a cell shows, as it is drawn."""
        return [
            plain("\n".join(output.traceback))
            for output in self.cells[cell].outputs
            if output.output_type == "error"
        ]

    def pages(self, cell: str) -> list[str]:
        """Return each HTML that a cell shows."""
        return [
            output.data["text/html"]
            for output in self.cells[cell].outputs
            if "text/html" in output.get("data", {})
        ]

    def pictures(self, cell: str) -> list[str]:
        """Return the pictures that a cell shows, in base64."""
        return [
            output.data["image/png"]
            for output in self.cells[cell].outputs
            if output.output_type in ("display_data", "execute_result") and "image/png" in output.data
        ]


def plain(text: str) -> str:
    """Return a text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture
def execute(tmp_path: Path) -> Callable[..., Executed]:
    """Run the notebook of that name, which must succeed."""

    def run(name: str, progress: str = "off") -> Executed:
        out = tmp_path / "out.ipynb"
        command = [sys.executable, "-m", "nbcluster", "run", str(NOTEBOOKS / f"{name}.ipynb")]
        result = subprocess.run(
            [*command, "--output", str(out), "--timeout", "60"],
            capture_output=True,
            text=True,
            timeout=110,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            # How long a cell takes, and so whether it shows how far it is, is not for these tests to know.
            env={**os.environ, "NBCLUSTER_PROGRESS": progress},
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return Executed({cell.id: cell for cell in nbformat.read(out, as_version=4).cells}, result.stdout)

    return run
