"""The magics in a real notebook kernel: what its front end gets. The cluster lives in that kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

from nbcluster.testing.frames import frames_of_ours

SETUP = """
import sys, threading
sys.path.insert(0, {peers!r})
from notebook_peers import *
from nbcluster.protocol.messages import Cancelled
from nbcluster.notebook import extension
extension.load_ipython_extension(get_ipython())
memory = MemoryCluster()
extension.loaded_in(get_ipython()).magics.use_clusters(MemoryClusters(memory))
def answer(run):
    memory.next_run = lambda order: run
    return None
"""


PEERS = Path(__file__).parents[2] / "unit/notebook"


class FrontEnd:
    """Runs cells and keeps what the kernel published, by the cell that it names as parent."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.published: dict[str, list[dict[str, Any]]] = {}

    def run(self, code: str) -> tuple[str, dict[str, Any]]:
        cell = self.client.execute(code, allow_stdin=False)
        reply = self.client.get_shell_msg(timeout=20)
        while reply["parent_header"]["msg_id"] != cell:
            reply = self.client.get_shell_msg(timeout=20)
        self.wait(
            lambda: any(
                said["msg_type"] == "status" and said["content"]["execution_state"] == "idle"
                for said in self.of(cell)
            )
        )
        return cell, reply["content"]

    def of(self, cell: str) -> list[dict[str, Any]]:
        return self.published.get(cell, [])

    def outputs(self, cell: str) -> list[tuple[str, Any]]:
        kinds = {"stream", "display_data", "update_display_data", "execute_result", "error", "clear_output"}
        return [(said["msg_type"], said["content"]) for said in self.of(cell) if said["msg_type"] in kinds]

    def texts(self, cell: str) -> list[str]:
        return [
            content["data"]["text/plain"]
            for kind, content in self.outputs(cell)
            if kind in ("display_data", "update_display_data")
        ]

    def wait(self, is_true: Callable[[], bool], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not is_true():
            said = self.client.get_iopub_msg(timeout=max(0.01, end - time.monotonic()))
            self.published.setdefault(said["parent_header"].get("msg_id", ""), []).append(said)


@pytest.fixture(scope="module")
def front_end(module_world: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    manager = KernelManager(kernel_name="python3")
    home = tmp_path_factory.mktemp("ipython")
    manager.start_kernel(env={**__import__("os").environ, "IPYTHONDIR": str(home)})
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    made = FrontEnd(client)
    _, reply = made.run(SETUP.format(peers=str(PEERS)))
    assert reply["status"] == "ok", reply
    yield made
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()
    assert not manager.is_alive()


def test_streams_are_the_notebooks_own(front_end):
    front_end.run(
        "answer(finished_run((0, 1), printed(0, 'a\\n'), printed(1, 'b\\n', 'stderr'), printed(0, 'c\\n')))"
    )
    cell, reply = front_end.run("%%distributed\n1")
    assert reply["status"] == "ok", reply
    streams = [(content["name"], content["text"][-2]) for kind, content in front_end.outputs(cell)]
    assert streams == [("stdout", "a"), ("stderr", "b"), ("stdout", "c")]


def test_a_bar_is_one_display_that_is_updated(front_end):
    front_end.run("run = MemoryRun((0, 1)); answer(run)")
    front_end.run(
        "def feed():\n"
        "    run.feed(printed(0, '\\r10%'))\n"
        "    threading.Timer(0.4, lambda: run.feed(printed(0, '\\r99%\\n'), done(0), done(1))).start()\n"
        "threading.Timer(0.3, feed).start()"
    )
    cell, reply = front_end.run("%%distributed\n1")
    assert reply["status"] == "ok"
    (first, began), *_, (last, ended) = front_end.outputs(cell)
    assert (first, last) == ("display_data", "update_display_data")
    assert began["transient"]["display_id"] == ended["transient"]["display_id"]
    assert began["data"]["text/plain"].endswith("10%")
    assert ended["data"]["text/plain"].endswith("99%")


def test_an_error_is_an_error_output_and_fails_the_cell(front_end):
    front_end.run("answer(finished_run((0, 1), raised(0), raised(1)))")
    cell, reply = front_end.run("%%distributed\n1/0")
    assert reply["status"] == "error"
    assert reply["ename"] == "EngineErrors"
    [(kind, error)] = front_end.outputs(cell)
    assert kind == "error"
    assert error["ename"] == "EngineErrors"
    assert error["evalue"] == reply["evalue"]
    assert error["traceback"] == reply["traceback"]
    text = "\n".join(error["traceback"])
    assert "On engines 0,1:" in text
    assert text.count("ZeroDivisionError: division by zero") == 1
    assert not frames_of_ours(text)


def test_a_usage_error_is_an_error_output_of_one_line(front_end):
    cell, reply = front_end.run("%%distributed --asynk\n1")
    [(kind, error)] = front_end.outputs(cell)
    assert (kind, reply["status"], len(error["traceback"])) == ("error", "error", 1)


def test_output_of_an_async_cell_lands_in_its_cell(front_end):
    front_end.run("run = MemoryRun((0, 1)); answer(run)")
    cell, reply = front_end.run("%%distributed --as fit\n1")
    assert reply["status"] == "ok"
    (first, slot), *_ = front_end.outputs(cell)
    assert (first, slot["data"]) == ("display_data", {"text/plain": ""})
    before = len(front_end.outputs(cell))
    other, _ = front_end.run(
        "run.feed(printed(0, 'x\\n'), printed(1, 'y\\n'), shown(1, text_html='<b>'), done(0), done(1))"
    )
    front_end.wait(lambda: len(front_end.outputs(cell)) >= before + 2)
    assert [kind for kind, _ in front_end.outputs(cell)[before:]] == ["display_data", "display_data"]
    assert front_end.outputs(cell)[-1][1]["data"] == {"text/html": "<b>"}
    # The text changes under the running cell, which is whom headless runners hear, by the display's own id.
    [(kind, update)] = [
        (kind, said) for kind, said in front_end.outputs(other) if "<Future" not in str(said["data"])
    ]
    assert (kind, update["transient"]) == ("update_display_data", slot["transient"])
    assert [line[-1] for line in update["data"]["text/plain"].splitlines()] == ["x", "y"]


def test_output_after_a_blocking_cell_lands_in_its_cell(front_end):
    front_end.run("run = finished_run((0,), printed(0, 'in time\\n'), single=True); answer(run)")
    cell, _ = front_end.run("%%distributed 0\n1")
    assert [content["text"] for _, content in front_end.outputs(cell)] == ["in time\n"]
    other, _ = front_end.run("run.feed(printed(0, 'late\\n', late=True))")
    front_end.wait(lambda: len(front_end.outputs(cell)) >= 2)
    kind, content = front_end.outputs(cell)[-1]
    assert (kind, content["data"]) == ("display_data", {"text/plain": "late"})
    assert front_end.outputs(other) == []


def test_an_interrupt_of_the_kernel_cancels_the_cell(front_end):
    front_end.run(
        "import os, signal\n"
        "run = MemoryRun((0,), single=True); answer(run)\n"
        "run.on_cancel = lambda: run.feed(done(0, Cancelled('asked')))\n"
        "threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()"
    )
    cell, reply = front_end.run("%%distributed 0\nwhile True: pass")
    assert reply["status"] == "error"
    [(kind, error)] = front_end.outputs(cell)
    assert (kind, error["ename"]) == ("error", "KeyboardInterrupt")
    _, reply = front_end.run("assert len(run.cancelled) == 1")
    assert reply["status"] == "ok"


def test_a_question_where_nobody_can_be_asked_cancels_the_cell(front_end):
    front_end.run(
        "run = MemoryRun((0,), single=True); answer(run); run.feed(asks(0, 'name? '))\n"
        "run.on_cancel = lambda: run.feed(done(0, Cancelled('asked')))"
    )
    _, reply = front_end.run("%%distributed 0\ninput('name? ')")
    assert (reply["status"], reply["ename"]) == ("error", "NotSupported")
    _, reply = front_end.run("assert len(run.cancelled) == 1")
    assert reply["status"] == "ok"


def test_buffers_are_passed_on(front_end):
    front_end.run(
        "from nbcluster.notebook.operations import Show\n"
        "from nbcluster.notebook.publishers import NotebookPublisher"
    )
    cell, _ = front_end.run(
        "NotebookPublisher(get_ipython()).publish(Show({'text/plain': 'x'}, buffers=(b'one', b'two')))"
    )
    [said] = [said for said in front_end.of(cell) if said["msg_type"] == "display_data"]
    assert [bytes(part) for part in said["buffers"]] == [b"one", b"two"]
