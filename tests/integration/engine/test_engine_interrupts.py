"""Interrupts reach the cell that they are aimed at, whatever it does, and nothing else."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import psutil
import pytest

from nbcluster.testing.waiting import wait_until

DEADLINE = 20.0

LOOP = "while True:\n    pass"
SLEEP = "import time\ntime.sleep(60)"
AWAIT = "import asyncio\nawait asyncio.sleep(60)"
AWAIT_AND_LOOP = "import asyncio\nawait asyncio.sleep(0)\nwhile True:\n    pass"
FUNCTION_OF_AWAIT = "import asyncio\nasync def f():\n    await asyncio.sleep(60)\nawait f()"
SUBPROCESS = "import subprocess\nsubprocess.run(['sleep', '61'])"
THREAD = "import threading\nthreading.Event().wait()"

KINDS = {
    "loop": LOOP,
    "sleep": SLEEP,
    "await": AWAIT,
    "await and loop": AWAIT_AND_LOOP,
    "function of await": FUNCTION_OF_AWAIT,
    "subprocess": SUBPROCESS,
    "wait for a thread": THREAD,
}


class Cell:
    """A cell that was sent, on one client."""

    def __init__(self, client: Any, code: str, **content: Any) -> None:
        self.client = client
        content = {"code": code, "silent": False, "stop_on_error": False, **content}
        message = client.session.msg("execute_request", {"allow_stdin": False, **content})
        client.shell_channel.send(message)
        self.msg_id: str = message["header"]["msg_id"]

    def reply(self) -> dict[str, Any]:
        while True:
            message = self.client.get_shell_msg(timeout=DEADLINE)
            if message["parent_header"]["msg_id"] == self.msg_id:
                content: dict[str, Any] = message["content"]
                return content

    def wait_until_it_prints(self, text: str = "up") -> None:
        while True:
            message = self.client.get_iopub_msg(timeout=DEADLINE)
            if message["parent_header"].get("msg_id") == self.msg_id and text in message["content"].get(
                "text", ""
            ):
                return

    def interrupt(self) -> bool:
        return aim(self.client, self.msg_id)


def aim(client: Any, msg_id: str) -> bool:
    message = client.session.msg("interrupt_task_request", {"msg_id": msg_id})
    client.control_channel.send(message)
    content = client.get_control_msg(timeout=DEADLINE)["content"]
    assert content["status"] == "ok"
    hit: bool = content["hit"]
    return hit


def started(client: Any, code: str, **content: Any) -> Cell:
    cell = Cell(client, f"print('up', flush=True)\n{code}", **content)
    cell.wait_until_it_prints()
    return cell


@pytest.fixture
def host(shared_host: Any) -> Any:
    return shared_host


@pytest.fixture
def engine(host: Any) -> tuple[int, Any]:
    pid, file = host.engine()
    return pid, host.client(file)


@pytest.fixture
def client(engine: tuple[int, Any]) -> Any:
    return engine[1]


@pytest.mark.parametrize("kind", KINDS)
def test_an_aimed_interrupt_stops_its_cell(client: Any, kind: str) -> None:
    Cell(client, "kept = 1").reply()
    for _ in range(3):
        cell = started(client, KINDS[kind])
        begun = time.monotonic()
        assert cell.interrupt()
        content = cell.reply()
        assert time.monotonic() - begun < 10  # the cell itself would take a minute or for ever
        assert content["ename"] == "KeyboardInterrupt"
        trace = "\n".join(content["traceback"])
        assert "KeyboardInterrupt" in trace
        assert "on_sigint" not in trace
        assert Cell(client, "kept += 1").reply()["status"] == "ok"
    assert Cell(client, "assert kept == 4").reply()["status"] == "ok"


@pytest.mark.parametrize("kind", ["loop", "sleep", "await"])
def test_a_plain_interrupt_stops_what_runs(engine: tuple[int, Any], kind: str) -> None:
    pid, client = engine
    cell = started(client, KINDS[kind])
    client.control_channel.send(client.session.msg("interrupt_request", {}))
    client.get_control_msg(timeout=DEADLINE)
    assert cell.reply()["ename"] == "KeyboardInterrupt"
    cell = started(client, KINDS[kind])
    os.kill(pid, signal.SIGINT)
    assert cell.reply()["ename"] == "KeyboardInterrupt"


def test_a_wrong_aim_hits_nothing(client: Any) -> None:
    cell = started(client, "import time\ntime.sleep(0.5)\nprint('done')")
    assert not aim(client, "nobody")
    assert cell.reply()["status"] == "ok"
    assert not cell.interrupt(), "it has ended"
    assert Cell(client, "1").reply()["status"] == "ok"


def test_an_idle_engine_ignores_interrupts(engine: tuple[int, Any]) -> None:
    pid, client = engine
    for _ in range(5):
        client.control_channel.send(client.session.msg("interrupt_request", {}))
        client.get_control_msg(timeout=DEADLINE)
        os.kill(pid, signal.SIGINT)
    assert Cell(client, "x = 1").reply()["status"] == "ok"


def test_an_interrupt_that_overtakes_its_cell_stops_it(client: Any) -> None:
    busy = started(client, "import time\ntime.sleep(0.5)")
    waiting = Cell(client, SLEEP)
    assert not waiting.interrupt()
    assert busy.reply()["status"] == "ok"
    assert waiting.reply()["ename"] == "KeyboardInterrupt"


def test_a_hundred_interrupts_in_a_row(client: Any) -> None:
    Cell(client, "count = 0").reply()
    for number in range(100):
        cell = started(client, list(KINDS.values())[number % 3])
        assert cell.interrupt()
        assert cell.reply()["ename"] == "KeyboardInterrupt"
        assert Cell(client, "count += 1").reply()["status"] == "ok"
    assert Cell(client, "assert count == 100").reply()["status"] == "ok"


def test_interrupts_at_random_moments_never_harm_a_later_cell(client: Any) -> None:
    for number in range(60):
        cell = Cell(
            client, "sum(range(1000))\nimport asyncio\nawait asyncio.sleep(0)" if number % 2 else "pass"
        )
        time.sleep(number % 7 * 0.0007)
        aim(client, cell.msg_id)
        later = Cell(client, "'unharmed'")
        assert cell.reply()["status"] in ("ok", "error")
        assert later.reply()["status"] == "ok"


def test_a_shell_command_ends_with_its_cell(engine: tuple[int, Any]) -> None:
    pid, client = engine
    for code in ("!sleep 62", "import os\nos.system('sleep 62')"):
        cell = Cell(client, code)
        child = wait_until(
            lambda: [p for p in psutil.Process(pid).children(recursive=True) if p.name() == "sleep"]
        )[0]
        assert cell.interrupt()
        cell.reply()
        wait_until(lambda child=child: not child.is_running())
    assert Cell(client, "1").reply()["status"] == "ok"


def test_children_of_earlier_cells_go_on(client: Any) -> None:
    Cell(client, "import subprocess\nold = subprocess.Popen(['sleep', '63'])").reply()
    time.sleep(0.05)  # start times of processes are told apart by 0.02 s
    cell = started(client, SLEEP)
    assert cell.interrupt()
    assert cell.reply()["ename"] == "KeyboardInterrupt"
    assert Cell(client, "assert old.poll() is None\nold.kill()\nold.wait()").reply()["status"] == "ok"


def test_input_can_be_interrupted(client: Any) -> None:
    cell = Cell(client, "input()", allow_stdin=True)
    client.get_stdin_msg(timeout=DEADLINE)
    assert cell.interrupt()
    content = cell.reply()
    assert content["ename"] == "KeyboardInterrupt"
    assert "_input_request" not in "\n".join(content["traceback"])


def test_a_handler_of_the_users_own_is_used(client: Any) -> None:
    code = "import signal, time\ngot = []\nsignal.signal(signal.SIGINT, lambda *_: got.append(1))\n"
    code += "print('up', flush=True)\nwhile not got:\n    time.sleep(0.01)"
    cell = Cell(client, code)
    cell.wait_until_it_prints()
    assert cell.interrupt()
    assert cell.reply()["status"] == "ok"
    cell = started(client, SLEEP)
    assert cell.interrupt()
    assert cell.reply()["ename"] == "KeyboardInterrupt"
