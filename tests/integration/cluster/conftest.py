"""What the stories of a cluster share: a cluster of two engines for a module, and scripts in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from nbcluster import Cluster
from nbcluster.client import current

DEADLINE = 20.0


@pytest.fixture(autouse=True)
def no_current_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin without a current cluster."""
    monkeypatch.setattr(current, "_known", {})
    monkeypatch.setattr(current, "_current", None)


@pytest.fixture(scope="module")
def shared_cluster(module_world: Any) -> Iterator[Cluster]:
    """Start one cluster of two engines for the tests of a module."""
    with Cluster(2, name="shared") as cluster:
        yield cluster


@pytest.fixture
def shared(shared_cluster: Cluster) -> Cluster:
    """Lend the module's cluster, with two engines that answer and hold no name of an earlier test."""
    shared_cluster.scale(2)
    shared_cluster.wait_for_engines(2, DEADLINE)
    shared_cluster[:].execute("%reset -f", check=True)
    return shared_cluster


Script = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def script() -> Iterator[Script]:
    """Start Python code as a program of its own, with pipes; it is ended with the test."""
    with ExitStack() as stack:

        def start(code: str, *arguments: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", textwrap.dedent(code), *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield start
