"""The command line as its users have it: a process of its own, whose words and exit code are looked at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

COMMAND = [sys.executable, "-m", "nbcluster"]
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(world: Any, tmp_path: Path) -> Cli:
    """Run `nbcluster WORDS` to its end in an empty directory; `code` is the exit code that it must have."""

    def run(*words: object, code: int = 0, text: str | None = None) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [*COMMAND, *map(str, words)],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=90,
            cwd=tmp_path,
        )
        assert result.returncode == code, f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
        assert "Traceback (most recent call last)" not in result.stderr or words[0] == "run", result.stderr
        return result

    return run


@pytest.fixture
def connection(world: Any) -> Callable[..., dict[str, Any]]:
    """Read the connection file of a cluster."""

    def read(name: str = "default") -> dict[str, Any]:
        content: dict[str, Any] = json.loads((world.jupyter_runtime / f"nbcluster/{name}.json").read_text())
        return content

    return read


@pytest.fixture
def in_background(world: Any, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `nbcluster WORDS`, and end it with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    """Write a notebook of these cells; a pair is a cell's source and its tags."""

    def write(*cells: str | tuple[str, list[str]], **metadata: Any) -> Path:
        nb = nbformat.v4.new_notebook(metadata=metadata)
        for cell in cells:
            source, tags = cell if isinstance(cell, tuple) else (cell, [])
            nb.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags} if tags else {}))
        path = tmp_path / "story.ipynb"
        nbformat.write(nb, path)
        return path

    return write
