"""Named namespaces, and questions about variables that are answered while user code computes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from task_router import DEADLINE, defined, threw, value_of

from nbcluster.engine import operations
from nbcluster.payload.errors import load_exception
from nbcluster.payload.values import dump_value, load_value
from nbcluster.protocol.tasks import (
    Begun,
    DescribeNames,
    Failed,
    NamesDescribed,
    NamesRead,
    NamesWritten,
    ReadNames,
    RunOptions,
    WriteNames,
)

EXP = {"nbcluster": {"namespace": "exp1"}}
BUSY = "def f():\n    import time\n    until = time.time() + 60\n    while time.time() < until:\n        pass"


@pytest.fixture
def host(shared_host: Any) -> Any:
    return shared_host


@pytest.fixture
def engine(calling: Any) -> Any:
    calling.tasks.hello()
    return calling


def text_of(engine: Any, code: str, metadata: Any = None) -> str:
    """Run a cell and return what it printed and displayed as text."""
    msg_id = engine.start(code, metadata)
    assert engine.reply(msg_id)["status"] == "ok"
    shown = []
    for message in engine.published(msg_id):
        content = message["content"]
        shown.append(content.get("text") or content.get("data", {}).get("text/plain", ""))
    return "".join(shown)


# -- cells in namespaces ----------------------------------------------------------------------


def test_a_cell_in_a_namespace_sees_that_ones_names_and_no_others(engine: Any) -> None:
    assert engine.cell("x = 'own'")["status"] == "ok"
    assert engine.cell("x = 'named'\ndef whose():\n    return x, __name__", EXP)["status"] == "ok"
    assert text_of(engine, "print(x)") == "own\n"
    assert text_of(engine, "print(whose())", EXP) == "('named', 'nbcluster.ns.exp1')\n"
    assert engine.cell("whose()")["ename"] == "NameError"
    assert engine.cell("y", {"nbcluster": {"namespace": "other"}})["ename"] == "NameError"
    assert text_of(engine, "import sys; print(sys.modules['__main__'].x)", EXP) == "own\n"


@pytest.mark.parametrize(
    "code",
    [
        "1/0",
        "import time\nprint('up', flush=True)\ntime.sleep(60)",
        "import asyncio\nprint('up', flush=True)\nawait asyncio.sleep(60)",
        "x =",
    ],
)
def test_the_kernels_own_names_are_back_after_a_cell_that_failed(engine: Any, code: str) -> None:
    engine.cell("x = 'own'")
    msg_id = engine.start(f"x = 'named'\n{code}", EXP)
    if "sleep" in code:
        engine.wait_for_print(msg_id)
        assert engine.control("interrupt_task_request", msg_id=msg_id)["hit"]
    assert engine.reply(msg_id)["status"] == "error"
    assert text_of(engine, "print(x)") == "own\n"
    assert engine.tasks.value(defined("def f():\n    return x")) == "own"


def test_results_of_cells_are_kept_where_they_were_made(engine: Any) -> None:
    assert text_of(engine, "40 + 1") == "41"
    assert text_of(engine, "'in exp'", EXP) == "'in exp'"
    assert text_of(engine, "_", EXP) == "'in exp'"
    assert text_of(engine, "_") == "41"
    assert text_of(engine, "'again'", EXP) == "'again'"
    assert text_of(engine, "_, __", EXP) == "('again', 'in exp')"
    count = engine.cell("7", EXP)["execution_count"]
    assert text_of(engine, f"Out[{count}]") == "7"
    assert text_of(engine, f"Out[{count}], In[{count}]", EXP) == "(7, '7')"


def test_classes_of_a_namespace_can_be_pickled_there_and_come_home(engine: Any) -> None:
    code = (
        "import pickle\n"
        "class Point:\n"
        "    def __init__(self, x):\n"
        "        self.x = x\n"
        "p = pickle.loads(pickle.dumps(Point(3)))\n"
        "assert type(p) is Point"
    )
    assert engine.cell(code, EXP)["status"] == "ok"
    result = engine.tasks.result(engine.tasks.run(operations.get, "p", options=RunOptions(namespace="exp1")))
    point = value_of(result)
    assert (type(point).__name__, point.x) == ("Point", 3)


def test_completion_and_inspection_look_into_the_namespace(engine: Any) -> None:
    client = engine.client
    engine.cell("banana_own = 1")
    engine.cell("banana_named = 'text of it'", EXP)

    def ask(kind: str, code: str, metadata: Any, channel: Any) -> Any:
        content = {"code": code, "cursor_pos": len(code), "detail_level": 0}
        message = client.session.msg(kind, content, metadata=metadata)
        channel.send(message)
        get = client.get_shell_msg if channel is client.shell_channel else client.get_control_msg
        return get(timeout=DEADLINE)["content"]

    for channel in (client.shell_channel, client.control_channel):
        assert ask("complete_request", "banana_", EXP, channel)["matches"] == ["banana_named"]
        assert ask("complete_request", "banana_", {}, channel)["matches"] == ["banana_own"]
        assert "text of it" in ask("inspect_request", "banana_named", EXP, channel)["data"]["text/plain"]
        assert not ask("inspect_request", "banana_named", {}, channel)["found"]
        strange = {"nbcluster": {"namespace": "no name"}}
        assert ask("complete_request", "banana_", strange, channel)["matches"] == ["banana_own"]


def test_a_completion_beside_a_running_cell_does_not_move_the_cell(engine: Any) -> None:
    client = engine.client
    engine.cell("x = 'own'")
    cell = engine.start("import time\nprint('up', flush=True)\ntime.sleep(0.5)\nfound = x")
    engine.wait_for_print(cell)
    content = {"code": "x", "cursor_pos": 1}
    client.control_channel.send(client.session.msg("complete_request", content, metadata=EXP))
    client.get_control_msg(timeout=DEADLINE)
    assert engine.reply(cell)["status"] == "ok"
    assert text_of(engine, "print(found)") == "own\n"


def test_a_namespace_that_is_no_name_is_refused(engine: Any) -> None:
    reply = engine.cell("x = 1", {"nbcluster": {"namespace": "no name"}})
    assert reply["ename"] == "UsageError"
    assert "'no name'" in reply["evalue"]
    outcome = threw(engine.tasks.result(engine.tasks.run(BUSY_NOT, options=RunOptions(namespace="no name"))))
    assert outcome.ename == "UsageError"
    assert isinstance(engine.tasks.ask(DescribeNames("no name")), Failed)


BUSY_NOT = defined("def f():\n    return x")


def test_calls_run_in_their_namespace(engine: Any) -> None:
    options = RunOptions(namespace="exp1")
    engine.cell("x = 'own'")
    engine.cell("x = 'named'", EXP)
    tasks = engine.tasks
    assert value_of(tasks.result(tasks.run(BUSY_NOT, options=options))) == "named"
    assert tasks.value(BUSY_NOT) == "own"
    tasks.result(tasks.run(defined("def f():\n    global x\n    x = 'changed'"), options=options))
    assert text_of(engine, "print(x)", EXP) == "changed\n"
    assert text_of(engine, "print(x)") == "own\n"


# -- operations -------------------------------------------------------------------------------


def test_views_operations_work_in_the_namespace_of_their_call(engine: Any) -> None:
    tasks = engine.tasks

    def do(operation: Any, *args: Any, namespace: str = "exp1") -> Any:
        return tasks.result(tasks.run(operation, *args, options=RunOptions(namespace=namespace, quiet=True)))

    do(operations.push, {"a": 1, "b": [2]})
    assert value_of(do(operations.pull, ("a", "b"))) == {"a": 1, "b": [2]}
    assert value_of(do(operations.keys)) == ["a", "b"]
    assert value_of(do(operations.keys, namespace="")) == []
    error = load_exception(threw(do(operations.pull, ("a", "nope"))))
    assert isinstance(error, KeyError)
    assert error.args == ("nope",)
    assert threw(do(operations.delete, ("a", "nope"))).evalue == "'nope'"
    assert value_of(do(operations.keys)) == ["a", "b"], "all or none"
    do(operations.delete, ("a",))
    engine.cell("c = 3\n_hidden = 4", EXP)
    assert value_of(do(operations.keys)) == ["b", "c"]
    do(operations.clear)
    assert value_of(do(operations.keys)) == []
    assert engine.cell("get_ipython()\nIn\nlen([])", EXP)["status"] == "ok"


# -- questions --------------------------------------------------------------------------------


def described(engine: Any, *names: str, namespace: str = "") -> dict[str, Any]:
    reply = engine.tasks.ask(DescribeNames(namespace, names))
    assert isinstance(reply, NamesDescribed), reply
    return {each.name: each for each in reply.names}


def test_names_are_described_while_a_call_computes_and_nothing_of_theirs_is_run(engine: Any) -> None:
    code = """
import numpy as np, pandas as pd, time
n, text, long = 5, 'words', 'x' * 1000
a = np.zeros((3, 4))
df = pd.DataFrame({'p': [1, 2], 'q': [3., 4.]})
class Evil:
    shape = property(lambda self: time.sleep(60))
    nbytes = property(lambda self: 1 / 0)
    __repr__ = __len__ = __sizeof__ = lambda self: time.sleep(60)
    def __getattribute__(self, name):
        time.sleep(60)
class EvilArray(np.ndarray):
    shape = property(lambda self: time.sleep(60))
e, f = Evil(), np.zeros(5).view(EvilArray)
_private = 1
41
"""
    assert engine.cell(code)["status"] == "ok"
    engine.tasks.run(defined(BUSY))
    engine.tasks.expect(Begun)
    begun = time.monotonic()
    found = described(engine)
    assert time.monotonic() - begun < 15  # each of them would take a minute
    assert sorted(found) == [
        "Evil",
        "EvilArray",
        "a",
        "df",
        "e",
        "f",
        "long",
        "n",
        "np",
        "pd",
        "text",
        "time",
    ]
    assert (found["a"].type, found["a"].shape, found["a"].nbytes) == ("numpy.ndarray", (3, 4), 96)
    assert (found["df"].type, found["df"].shape) == ("pandas.DataFrame", (2, 2))
    assert found["df"].nbytes > 32
    assert (found["n"].preview, found["text"].preview) == ("5", "'words'")
    assert found["long"].preview.endswith("…")
    assert len(found["long"].preview) < 70
    assert (found["e"].type, found["e"].shape, found["e"].nbytes, found["e"].preview) == (
        "Evil",
        None,
        None,
        "",
    )
    assert (found["f"].shape, found["f"].nbytes) == ((5,), 40)
    assert list(described(engine, "n", "_private", "nope")) == ["n", "_private"]


def test_names_are_read_and_written_while_a_cell_computes(engine: Any) -> None:
    engine.cell("x = [1, 2]\nbad = (i for i in x)\ngo = True")
    cell = engine.start("import time\nwhile go:\n    time.sleep(0.01)\nseen = y")
    reply = engine.tasks.ask(ReadNames(("x", "bad", "nope")))
    assert isinstance(reply, NamesRead)
    assert {name: load_value(payload) for name, payload in reply.values.items()} == {"x": [1, 2]}
    assert reply.unsent["nope"].startswith("missing")
    assert "generator" in reply.unsent["bad"]
    values = {"y": dump_value("written").payload, "go": dump_value(False).payload, "broken": b"nonsense"}
    written = engine.tasks.ask(WriteNames(values, delete=("x", "nothing")))
    assert isinstance(written, NamesWritten)
    assert sorted(written.failed) == ["broken", "nothing"]
    assert engine.reply(cell)["status"] == "ok"
    assert text_of(engine, "print(seen, 'x' in globals())") == "written False\n"


def test_a_large_value_is_read_whole(engine: Any) -> None:
    engine.cell("import numpy as np\nbig = np.arange(200_000)")
    reply = engine.tasks.ask(ReadNames(("big",)))
    array = load_value(reply.values["big"])
    assert array.sum() == 200_000 * 199_999 // 2
    array[0] = 1


def test_a_slow_answer_keeps_nobody_else_waiting(engine: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    engine.cell(
        "import os, time\n"
        "class Slow:\n"
        "    def __reduce__(self):\n"
        f"        while not os.path.exists({str(go)!r}): time.sleep(0.005)\n"
        "        return int, ()\n"
        "slow = Slow()"
    )
    tasks = engine.tasks
    from nbcluster.protocol.codec import encode_task
    from nbcluster.protocol.tasks import Answered, Ask

    tasks.send(Ask(99, encode_task(ReadNames(("slow",)))[1]))
    assert tasks.value(defined("def f():\n    return 1")) == 1
    assert not any(isinstance(message, Answered) for message, _ in tasks.unread)
    go.touch()
    assert tasks.expect(Answered)[0].request == 99


def test_what_was_shipped_is_known_by_its_digest_while_it_is_the_same(engine: Any) -> None:
    payload = dump_value([1, 2, 3]).payload
    engine.tasks.ask(WriteNames({"v": payload, "w": payload}, shipped={"v": "d1", "w": "d2"}))
    quiet = RunOptions(quiet=True)
    engine.tasks.result(engine.tasks.run(operations.push, {"u": 5}, {"u": "d3"}, options=quiet))
    assert {name: each.digest for name, each in described(engine).items()} == {
        "u": "d3",
        "v": "d1",
        "w": "d2",
    }
    engine.cell("v = [1, 2, 3]\nw.append(4)")
    assert {name: each.digest for name, each in described(engine).items()} == {"u": "d3", "v": "", "w": "d2"}
    engine.cell("del w")
    engine.tasks.ask(WriteNames({"w": payload}))
    assert described(engine)["w"].digest == ""


def test_what_cannot_be_read_is_answered_too(engine: Any) -> None:
    from nbcluster.protocol.tasks import Answered, Ask

    engine.tasks.send(Ask(5, b"\x81\xa4type\xa4Nope"))
    answered = engine.tasks.expect(Answered)[0]
    assert answered.request == 5
    assert b"Failed" in answered.reply


# -- live cells -------------------------------------------------------------------------------


def test_a_live_cell_runs_beside_a_cell_and_beside_a_call(engine: Any) -> None:
    subshell = engine.control("create_subshell_request")["subshell_id"]
    engine.cell("x = 'own'")
    busy = engine.start(
        "import time\ngo = True\nprint('up', flush=True)\nwhile go:\n    time.sleep(0.01)\nprint('main', x)"
    )
    engine.wait_for_print(busy)
    live = engine.start("go = False\nprint('live', x)", subshell=subshell)
    assert engine.reply(live)["status"] == "ok"
    assert engine.reply(busy)["status"] == "ok"
    shown = {live: "", busy: ""}
    while not all(text.endswith("\n") for text in shown.values()):
        message = engine.client.get_iopub_msg(timeout=DEADLINE)
        if message["msg_type"] == "stream":
            shown[message["parent_header"]["msg_id"]] += message["content"]["text"]
    assert shown == {live: "live own\n", busy: "main own\n"}
    ref = engine.tasks.run(
        defined(
            "def f():\n"
            "    global go\n"
            "    import time\n"
            "    go = True\n"
            "    print('call')\n"
            "    while go:\n"
            "        time.sleep(0.01)"
        )
    )
    engine.tasks.expect(Begun)
    live = engine.start("go = False\nx = 'named'", EXP, subshell=subshell)
    assert engine.reply(live)["status"] == "ok"
    live = engine.start("go = False", subshell=subshell)
    assert engine.reply(live)["status"] == "ok"
    assert engine.tasks.result(ref).output != b""
    assert text_of(engine, "print(x)") == "own\n"
    assert text_of(engine, "print(x)", EXP) == "named\n"


def test_an_interrupt_of_the_call_leaves_the_live_cell_alone(engine: Any) -> None:
    subshell = engine.control("create_subshell_request")["subshell_id"]
    ref = engine.tasks.run(defined(BUSY))
    engine.tasks.expect(Begun)
    live = engine.start("import time\nprint('up', flush=True)\ntime.sleep(1)\ndone = True", subshell=subshell)
    engine.wait_for_print(live)
    engine.control("interrupt_request")
    assert threw(engine.tasks.result(ref)).ename == "KeyboardInterrupt"
    assert engine.reply(live)["status"] == "ok"
    assert text_of(engine, "print(done)") == "True\n"
