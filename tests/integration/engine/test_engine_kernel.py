"""A forked engine, driven as any front end would: values, gate, threads, errors, ends."""

from __future__ import annotations

import base64
import pickle
import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from nbcluster.testing.frames import frames_of_ours

DEADLINE = 20.0


class Front:
    """A client of one engine that keeps each cell's messages apart."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.seen: list[dict[str, Any]] = []

    def send(self, code: str, metadata: dict[str, Any] | None = None, **content: Any) -> str:
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
            **content,
        }
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        msg_id: str = message["header"]["msg_id"]
        return msg_id

    def reply(self, msg_id: str) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = self.client.get_shell_msg(timeout=DEADLINE)
            if message["parent_header"]["msg_id"] == msg_id:
                return message

    def next_of(self, msg_id: str, msg_type: str) -> dict[str, Any]:
        """Wait for an iopub message that a cell caused."""
        until = time.monotonic() + DEADLINE
        while True:
            for message in self.seen:
                if message["parent_header"].get("msg_id") == msg_id and message["msg_type"] == msg_type:
                    self.seen.remove(message)
                    return message
            self.seen.append(self.client.get_iopub_msg(timeout=max(0.0, until - time.monotonic())))

    def text_of(self, msg_id: str, ending: str) -> str:
        text = ""
        while not text.endswith(ending):
            text += self.next_of(msg_id, "stream")["content"]["text"]
        return text

    def run(self, code: str, metadata: dict[str, Any] | None = None, **content: Any) -> dict[str, Any]:
        return self.reply(self.send(code, metadata, **content))

    def value(self, expression: str) -> Any:
        reply = self.run(expression, {"nbcluster": {"want_value": True}})
        return unpickle(reply["metadata"]["nbcluster"]["values"][""])


def pack(value: Any) -> str:
    return base64.b64encode(cloudpickle.dumps(value, protocol=5)).decode()


def unpickle(text: str) -> Any:
    return pickle.loads(base64.b64decode(text))


@pytest.fixture
def host(shared_host: Any) -> Any:
    return shared_host


@pytest.fixture
def front(host: Any) -> Front:
    _, file = host.engine()
    return Front(host.client(file))


# -- what it says of itself ---------------------------------------------------------------------


def test_kernel_info_says_that_the_kernel_is_ours(front: Front) -> None:
    front.client.kernel_info()
    features = front.client.get_shell_msg(timeout=DEADLINE)["content"]["supported_features"]
    assert "nbcluster" in features
    assert "kernel subshells" in features


def test_no_history_is_written(front: Front, world: Any) -> None:
    assert front.run("x = 1")["content"]["status"] == "ok"
    assert not list(Path(world.top).rglob("history.sqlite"))


# -- values ---------------------------------------------------------------------------------------


def test_values_go_in_before_and_come_out_after(front: Front) -> None:
    reply = front.run(
        "b = a + 1\nb * 2", {"nbcluster": {"push": {"a": pack(20)}, "pull": ["a", "b"], "want_value": True}}
    )
    sent = reply["metadata"]["nbcluster"]
    assert {name: unpickle(text) for name, text in sent["values"].items()} == {"a": 20, "b": 21, "": 42}
    assert sent["unsent"] == {}


def test_nothing_is_sent_unasked(front: Front) -> None:
    assert "nbcluster" not in front.run("1")["metadata"]


def test_what_cannot_be_sent_says_why_and_the_cell_succeeds(front: Front) -> None:
    code = "import threading\nlock = threading.Lock()\nbig = bytes(65 << 20)\nbytes(2 << 20)"
    reply = front.run(code, {"nbcluster": {"pull": ["nope", "lock", "big"], "want_value": True}})
    assert reply["content"]["status"] == "ok"
    sent = reply["metadata"]["nbcluster"]
    assert sent["values"] == {}
    assert sent["unsent"]["nope"].startswith("missing:")
    assert "cannot be pickled" in sent["unsent"]["lock"]
    assert "65 MiB, more than the 64 MiB" in sent["unsent"]["big"]
    assert "2 MiB, more than the 1 MiB" in sent["unsent"][""]
    assert "pull it" in sent["unsent"][""]


def test_a_push_that_cannot_be_unpickled_fails_the_cell(front: Front) -> None:
    missing = base64.b64encode(b"cno_such_module\nthing\n.").decode()
    msg_id = front.send("print('not run')", {"nbcluster": {"push": {"model": missing}}})
    content = front.reply(msg_id)["content"]
    assert content["status"] == "error"
    assert "'model'" in content["evalue"]
    assert "'no_such_module'" in content["evalue"]
    assert front.next_of(msg_id, "error")["content"]["ename"] == "NotSerializable"
    front.next_of(msg_id, "status")
    assert not [message for message in front.seen if message["msg_type"] == "stream"]
    assert front.run("'model' in globals() and 1/0")["content"]["status"] == "ok"


def test_the_value_of_an_awaiting_cell(front: Front) -> None:
    assert front.value("import asyncio\nawait asyncio.sleep(0.01, 'slept')") == "slept"


# -- order ----------------------------------------------------------------------------------------


def test_cells_of_two_clients_run_one_after_the_other(host: Any) -> None:
    _, file = host.engine()
    ours, console = Front(host.client(file)), Front(host.client(file))
    first = ours.send(
        "import asyncio\nkernel = get_ipython().kernel\nlog = ['in']\nprint(kernel.gate.closed)\n"
        "await asyncio.sleep(0.3)\nlog.append('out')"
    )
    assert ours.text_of(first, "\n") == "True\n"
    console.run("log.append('console')")
    ours.reply(first)
    assert ours.value("log") == ["in", "out", "console"]
    ours.run(
        "import asyncio; asyncio.get_running_loop().call_later(0.05, lambda: log.append(kernel.gate.closed))"
    )
    ours.run("import time; time.sleep(0.01)")
    while len(ours.value("log")) == 3:
        pass
    assert ours.value("log[3]") is False


# -- output ---------------------------------------------------------------------------------------


def test_a_line_comes_at_once_while_the_cell_goes_on(front: Front, tmp_path: Path) -> None:
    go = tmp_path / "go"
    until = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.005)"
    msg_id = front.send(f"print('hello')\n{until}")
    front.next_of(msg_id, "execute_input")
    text = ""
    while text != "hello\n":  # print writes the end of the line on its own
        text += front.next_of(msg_id, "stream")["content"]["text"]
    go.touch()
    front.reply(msg_id)


def test_a_flood_comes_in_few_messages_and_whole(front: Front) -> None:
    msg_id = front.send("import time\nfor i in range(2000):\n    print(i)\n    time.sleep(0.0002)")
    front.reply(msg_id)
    messages = []
    while sum(message["content"]["text"].count("\n") for message in messages) < 2000:
        messages.append(front.next_of(msg_id, "stream"))
    assert "".join(message["content"]["text"] for message in messages) == "".join(
        f"{i}\n" for i in range(2000)
    )
    assert len(messages) < 60


def test_threads_print_into_the_cell_that_started_them(front: Front) -> None:
    start = front.send(
        "import threading\nfrom IPython.display import display\ngo = threading.Event()\n"
        "def child():\n    go.wait()\n    print('from the child')\n"
        "def work():\n    print('up')\n    other = threading.Thread(target=child)\n    other.start()\n"
        "    go.wait()\n    display('shown', display_id='d')\n    other.join()\n    print('done')\n"
        "thread = threading.Thread(target=work)\nthread.start()"
    )
    front.reply(start)
    second = front.send("print('second')\ngo.set()\nthread.join()")
    front.reply(second)
    assert front.text_of(second, "\n") == "second\n"
    text = front.text_of(start, "done\n")
    assert "from the child" in text
    assert front.next_of(start, "display_data")["content"]["data"]["text/plain"] == "'shown'"
    assert not [message for message in front.seen if message["msg_type"] == "stream"]


def test_pools_print_into_the_cell_that_submitted(front: Front) -> None:
    front.run("from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)")
    for text in ("a\n", "b\n"):
        msg_id = front.send(f"future = pool.submit(print, {text.strip()!r})")
        front.reply(msg_id)
        assert front.text_of(msg_id, text) == text
    front.run("pool.shutdown()")


# -- errors, input and ends -------------------------------------------------------------------------


def test_a_traceback_shows_the_users_frames_alone(front: Front) -> None:
    traceback = "\n".join(front.run("def f():\n    1/0\nf()")["content"]["traceback"])
    assert "ZeroDivisionError" in traceback
    assert not frames_of_ours(traceback)
    assert "hidden" not in traceback


def test_an_exception_group_is_a_proper_error(front: Front) -> None:
    msg_id = front.send("raise ExceptionGroup('two', [ValueError('one'), KeyError('k')])")
    content = front.reply(msg_id)["content"]
    assert content["ename"] == "ExceptionGroup"
    assert "ValueError: one" in "\n".join(content["traceback"])
    assert front.next_of(msg_id, "error")["content"]["ename"] == "ExceptionGroup"


def test_input_asks_over_stdin_and_is_an_error_without(front: Front) -> None:
    msg_id = front.send("answer = input('name? ')", allow_stdin=True)
    assert front.client.get_stdin_msg(timeout=DEADLINE)["content"]["prompt"] == "name? "
    front.client.input("ada")
    assert front.reply(msg_id)["content"]["status"] == "ok"
    assert front.value("answer") == "ada"
    content = front.run("input()")["content"]
    assert content["ename"] == "StdinNotImplementedError"
    assert "_input_request" not in "\n".join(content["traceback"])
    assert front.run("import getpass; getpass.getpass()")["content"]["ename"] == "StdinNotImplementedError"


def test_input_without_a_connected_front_end_is_an_error(host: Any) -> None:
    _, file = host.engine()
    front = Front(host.client(file, stdin=False))
    front.run("import nbcluster.engine.kernel as k; k.STDIN_GRACE = 0.1")
    content = front.run("input()", allow_stdin=True)["content"]
    assert content["ename"] == "StdinNotImplementedError"
    assert "not connected for input" in content["evalue"]


@pytest.mark.parametrize("code", ["exit()", "quit()", "exit", "exit(keep_kernel=True)"])
def test_exit_keeps_the_engine_and_says_what_to_do(front: Front, code: str) -> None:
    msg_id = front.send(code)
    assert front.reply(msg_id)["content"]["payload"] == []
    assert "%cluster remove" in front.text_of(msg_id, "\n")
    assert front.value("6 * 7") == 42


def test_debug_opens_the_last_failed_frame(front: Front) -> None:
    front.run("def f():\n    secret = 41\n    1/0\nf()")
    msg_id = front.send("%debug", allow_stdin=True)
    front.client.get_stdin_msg(timeout=DEADLINE)
    front.client.input("p secret + 1")
    front.client.get_stdin_msg(timeout=DEADLINE)
    front.client.input("q")
    front.reply(msg_id)
    text = ""
    while "42" not in text:
        text += front.next_of(msg_id, "stream")["content"]["text"]


def test_an_engine_without_output_or_work_sleeps(host: Any) -> None:
    pid, file = host.engine()
    front = Front(host.client(file))
    front.run("1")
    ticks = [cpu_ticks(pid)]
    time.sleep(3)  # the fact that is looked for is that nothing happens in this time
    ticks.append(cpu_ticks(pid))
    assert ticks[1] - ticks[0] <= 5  # of 300; what it costs exactly is for the benchmarks


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
