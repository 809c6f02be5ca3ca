"""Gives these tests a notebook kernel with a cluster, and what a page would see of it."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

sys.path.insert(
    0, str(Path(__file__).parent)
)  # helpers of these tests, as tests are imported without packages

OUTPUTS = frozenset({"display_data", "execute_result", "stream", "error"})
COMMS = frozenset({"comm_open", "comm_msg", "comm_close"})


@dataclass
class Page:
    """Does what a page does: runs cells, keeps what the kernel publishes, talks on comms."""

    client: BlockingKernelClient
    manager: KernelManager
    said: list[dict[str, Any]] = field(default_factory=list)

    def start(self, code: str, *, allow_stdin: bool = False) -> str:
        """Send a cell."""
        sent: str = self.client.execute(code, allow_stdin=allow_stdin)
        return sent

    def answer(self, value: str) -> str:
        """Wait for a question and answer it; return the question."""
        asked = self.client.get_stdin_msg(timeout=30)
        self.client.input(value)
        return str(asked["content"]["prompt"])

    def of(self, cell: str) -> list[dict[str, Any]]:
        """Return what was published for a cell."""
        return [said for said in self.said if said["parent_header"].get("msg_id") == cell]

    def printed(self, cell: str) -> str:
        """Return what a cell has printed, without colours."""
        text = "".join(said["content"]["text"] for said in self.of(cell) if said["msg_type"] == "stream")
        return re.sub(r"\x1b\[[0-9;]*m", "", text)

    def run(self, code: str, *, fails: bool = False) -> list[dict[str, Any]]:
        """Run a cell to its end; return what was published for it."""
        cell = self.start(code)
        self.wait_for(lambda: self.is_idle(cell), f"the end of {code!r}")
        of_cell = [said for said in self.said if said["parent_header"].get("msg_id") == cell]
        errors = [said["content"] for said in of_cell if said["msg_type"] == "error"]
        assert bool(errors) == fails, "\n".join(line for error in errors for line in error["traceback"])
        return of_cell

    def is_idle(self, request: str) -> bool:
        """Whether a request has been dealt with."""
        return any(
            said["msg_type"] == "status"
            and said["content"]["execution_state"] == "idle"
            and said["parent_header"].get("msg_id") == request
            for said in self.said
        )

    def text(self, code: str) -> str:
        """Run a cell; return what it printed."""
        return "".join(said["content"]["text"] for said in self.run(code) if said["msg_type"] == "stream")

    def comms(self, kind: str, comm_id: str | None = None) -> list[dict[str, Any]]:
        """Return the comm messages of a kind, of one comm or of all."""
        return [
            said
            for said in self.said
            if said["msg_type"] == kind and comm_id in (None, said["content"]["comm_id"])
        ]

    def send(
        self,
        kind: str,
        comm_id: str,
        buffers: list[bytes] | None = None,
        metadata: dict[str, Any] | None = None,
        **content: Any,
    ) -> str:
        """Send a comm message; return its id."""
        message = self.client.session.msg(kind, {"comm_id": comm_id, **content}, metadata=metadata)
        channel = self.client.shell_channel
        self.client.session.send(channel.socket, message, buffers=buffers)
        sent: str = message["header"]["msg_id"]
        return sent

    def wait_for(self, is_true: Callable[[], object], what: str, seconds: float = 30) -> None:
        """Take messages until something is true."""
        end = time.monotonic() + seconds
        while not is_true():
            left = end - time.monotonic()
            assert left > 0, f"no {what} after {seconds} s; the page saw " + "\n".join(
                f"{said['msg_type']} {str(said['content'])[:200]}" for said in self.said[-20:]
            )
            if self.client.iopub_channel.socket.poll(min(left, 0.5) * 1000):
                self.said.append(self.client.get_iopub_msg(timeout=1))


@pytest.fixture(autouse=True)
def progress(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Show how far cells are only in modules that look at it: how long a cell takes is not for the others to know."""
    monkeypatch.setenv("NBCLUSTER_PROGRESS", getattr(request.module, "PROGRESS", "off"))


@contextmanager
def open_page(env: dict[str, str] | None = None) -> Iterator[Page]:
    """Start a kernel, and look at it."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, **(env or {})})
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    try:
        yield Page(client, manager)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@contextmanager
def with_cluster(page: Page) -> Iterator[Page]:
    """Have a cluster of two engines on a page."""
    page.run("%load_ext nbcluster\n%cluster start -n 2")
    yield page
    page.run("%cluster stop --force")


@pytest.fixture
def page(world: object, progress: None) -> Iterator[Page]:
    """A page whose kernel has a cluster of two engines."""
    with open_page() as made, with_cluster(made):
        yield made


@dataclass
class Shared:
    """A kernel and its cluster for the tests of a module; after a test that left them in a state unknown, others."""

    env: dict[str, str]
    stack: ExitStack = field(default_factory=ExitStack)
    page: Page | None = None

    def lend(self) -> Page:
        """Return a page with a loaded extension and two engines, all without names of earlier tests."""
        page = self.page
        if page is None:
            self.stack.close()
            page = self.stack.enter_context(open_page(self.env))
            self.stack.enter_context(with_cluster(page))
        else:
            page.run("%load_ext nbcluster\n%cluster connect\n%cluster scale 2")
        page.said.clear()
        self.page = None
        return page

    def take_back(self, page: Page) -> None:
        """End the engines and forget the names, so that the next test has new ones."""
        page.run("%cluster scale 0\n%unload_ext nbcluster\n%reset -f")
        self.page = page

    def close(self) -> None:
        """End both."""
        if self.page is not None:
            self.page.run("%load_ext nbcluster\n%cluster connect")
        self.stack.close()


@pytest.fixture(scope="module")
def shared(module_world: Any) -> Iterator[Shared]:
    """What the tests of a module take in turn, in the module's world."""
    made = Shared(module_world.environment())
    yield made
    made.close()


@pytest.fixture
def shared_page(shared: Shared, progress: None) -> Iterator[Page]:
    """A page on the module's kernel, with two new engines of the module's cluster."""
    page = shared.lend()
    yield page
    shared.take_back(page)
