"""An engine runs calls from the task channel, and says truly how they ended."""

from __future__ import annotations

import os
import time
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_router import DEADLINE, defined, pieces, text, threw, value_of

from nbcluster.payload.errors import load_exception
from nbcluster.payload.values import ArgumentDumper, dump_value, load_value
from nbcluster.protocol.outcomes import Rejected, Returned
from nbcluster.protocol.tasks import (
    AgentHello,
    Begun,
    CallOrder,
    CallRef,
    CallsReturned,
    DropValues,
    GaveBack,
    Input,
    Printed,
    Reported,
    RunCalls,
    RunOptions,
    SendMe,
    SendValue,
    TakeBack,
    TakeValue,
    ValueSent,
)
from nbcluster.testing.frames import frames_of_ours

DOUBLE = defined("def f(x):\n    return 2 * x")
NOTHING = defined("def f():\n    pass")
UNTIL = defined(
    "def f(path):\n    import os, time\n    while not os.path.exists(path):\n        time.sleep(0.005)"
)
SLEEP = defined("def f(seconds):\n    import time\n    time.sleep(seconds)")


@pytest.fixture
def host(shared_host: Any) -> Any:
    return shared_host


@pytest.fixture
def tasks(calling: Any) -> Any:
    calling.tasks.hello()
    return calling.tasks


# -- running ----------------------------------------------------------------------------------


def test_an_agent_says_hello_and_runs_calls_in_order(calling: Any) -> None:
    hello = calling.tasks.hello()
    assert (hello.pid, hello.incarnation) == (calling.pid, 7)
    refs = calling.tasks.run_many([(DOUBLE, (number,), {}) for number in range(100)])
    results = calling.tasks.results(100)
    assert [(result.task, result.attempt) for result in results] == [(ref.task, ref.attempt) for ref in refs]
    assert [value_of(result) for result in results] == [2 * number for number in range(100)]
    calling.tasks.nothing_else()


def test_the_variables_that_make_an_engine_are_not_inherited(tasks: Any) -> None:
    code = (
        "def f():\n"
        "    import os\n"
        "    return [name for name in os.environ if name in ('NBCLUSTER_TASKS', 'NBCLUSTER_INCARNATION')]"
    )
    assert tasks.value(defined(code)) == []


def test_what_a_call_raises_is_told_with_its_frames(tasks: Any) -> None:
    result = tasks.result(tasks.run(defined("def g():\n    1 / 0\ndef f():\n    g()")))
    outcome = threw(result)
    assert (outcome.ename, outcome.evalue) == ("ZeroDivisionError", "division by zero")
    drawn = "\n".join(outcome.traceback)
    assert "in f" in drawn
    assert "in g" in drawn
    assert not frames_of_ours(drawn)
    assert isinstance(load_exception(outcome), ZeroDivisionError)


@pytest.mark.parametrize(
    ("code", "ename"),
    [
        ("def f():\n    import sys\n    sys.exit(3)", "SystemExit"),
        ("def f():\n    raise MemoryError", "MemoryError"),
        ("def f():\n    return f()", "RecursionError"),
        ("def f():\n    raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f():\n    raise GeneratorExit", "GeneratorExit"),
        ("async def f():\n    raise SystemExit(2)", "SystemExit"),
        ("async def f():\n    raise KeyboardInterrupt", "KeyboardInterrupt"),
        (
            (
                "def f():\n"
                "    class Odd(Exception):\n"
                "        def __str__(self):\n"
                "            raise ValueError('no')\n"
                "    raise Odd"
            ),
            "Odd",
        ),
        (
            (
                "def f():\n"
                "    class Odd(BaseException):\n"
                "        def __str__(self):\n"
                "            raise SystemExit\n"
                "    raise Odd"
            ),
            "Odd",
        ),
    ],
)
def test_no_error_of_a_call_ends_the_engine(tasks: Any, code: str, ename: str) -> None:
    assert threw(tasks.result(tasks.run(defined(code)))).ename == ename
    assert tasks.value(DOUBLE, 4) == 8


def test_a_result_that_cannot_be_pickled_is_an_error_that_says_where_it_sits(tasks: Any) -> None:
    code = "def f():\n    import threading\n    return {'a': [threading.Lock()]}"
    outcome = threw(tasks.result(tasks.run(defined(code))))
    assert outcome.ename == "NotSerializable"
    assert "'a'" in outcome.evalue


def test_a_name_error_keeps_its_name(tasks: Any) -> None:
    error = load_exception(threw(tasks.result(tasks.run(defined("def f():\n    return nowhere + 1")))))
    assert isinstance(error, NameError)
    assert error.name == "nowhere"


def test_texts_that_are_no_utf8_hold_nothing_up(tasks: Any) -> None:
    codes = [
        "def f():\n    raise ValueError('\\udcff')",
        "def f():\n    print('\\udcff')",
        "def f():\n    from nbcluster import report\n    report('\\udcff')",
    ]
    refs = tasks.run_many([(defined(code), (), {}) for code in codes])
    results = [tasks.result(ref) for ref in refs]
    assert threw(results[0]).evalue == "\\udcff"
    assert text(results[1]) == "\\udcff\n"
    assert tasks.expect(Reported)[0].values == {"value": "\\udcff"}


def test_an_engine_that_ends_in_a_call_is_seen_to_end(calling: Any, host: Any) -> None:
    calling.tasks.hello()
    calling.tasks.run(defined("def f():\n    import os\n    os._exit(5)"))
    assert host.exited("e").code == 5


def test_functions_are_sent_once_and_can_be_forgotten(tasks: Any) -> None:
    assert tasks.value(DOUBLE, 1) == 2
    digest = tasks.functions.dump(DOUBLE).digest
    assert tasks.value(DOUBLE, 2) == 4, "its bytes did not come again"
    tasks.send(RunCalls((), (), forget=(digest,)))
    outcome = threw(tasks.result(tasks.run(DOUBLE, 3)))
    assert outcome.ename == "ValueReleased"
    assert digest in outcome.evalue


def test_globals_of_a_function_are_those_of_the_engine(calling: Any) -> None:
    calling.tasks.hello()
    calling.cell("x = 5")
    assert calling.tasks.value(defined("x = 1\ny = 7\ndef f():\n    return x, y")) == (5, 7)
    assert calling.tasks.value(defined("def f():\n    global z\n    z = 3")) is None
    assert calling.cell("assert z == 3")["status"] == "ok"


def test_coroutine_functions_are_awaited(tasks: Any) -> None:
    code = "async def f(x):\n    import asyncio\n    await asyncio.sleep(0.01)\n    return x + 1"
    assert [
        value_of(r) for r in map(tasks.result, tasks.run_many([(defined(code), (n,), {}) for n in range(5)]))
    ] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert threw(tasks.result(tasks.run(defined("async def f():\n    await nowhere()")))).ename == "NameError"
    assert tasks.value(DOUBLE, 2) == 4


def test_a_call_that_runs_for_a_while_is_said_to_have_begun(tasks: Any) -> None:
    before = time.time()
    ref = tasks.run(SLEEP, 0.2)
    begun = tasks.expect(Begun)[0]
    assert (begun.task, begun.attempt) == (ref.task, ref.attempt)
    assert before - 0.001 <= begun.since <= time.time()
    result = tasks.result(ref)
    assert result.seconds >= 0.2
    assert result.started == begun.since
    tasks.nothing_else()


def test_a_result_does_not_wait_for_the_call_behind_it(tasks: Any, tmp_path: Path) -> None:
    quick, behind = tasks.run_many([(NOTHING, (), {}), (UNTIL, (str(tmp_path / "go"),), {})])
    tasks.result(quick)
    assert not any(isinstance(message, CallsReturned) and message.results for message, _ in tasks.unread)
    (tmp_path / "go").touch()
    tasks.result(behind)


# -- cells and calls --------------------------------------------------------------------------


def test_calls_wait_while_a_cell_awaits(calling: Any) -> None:
    calling.tasks.hello()
    cell = calling.start(
        "import asyncio\n"
        "log = ['cell']\n"
        "print('up', flush=True)\n"
        "for _ in range(20):\n"
        "    await asyncio.sleep(0.01)\n"
        "log.append('end')"
    )
    calling.wait_for_print(cell)
    ref = calling.tasks.run(defined("def f():\n    log.append('call')"))
    assert calling.reply(cell)["status"] == "ok"
    calling.tasks.result(ref)
    assert calling.tasks.value(defined("def f():\n    return log")) == ["cell", "end", "call"]


def test_a_cell_waits_while_a_call_awaits(calling: Any) -> None:
    calling.tasks.hello()
    code = (
        "async def f():\n"
        "    global log\n"
        "    import asyncio\n"
        "    log = ['call']\n"
        "    for _ in range(30):\n"
        "        await asyncio.sleep(0.01)\n"
        "    log.append('end')"
    )
    first, second = calling.tasks.run_many(
        [(defined(code), (), {}), (defined("def f():\n    log.append('second')"), (), {})]
    )
    calling.tasks.expect(Begun)
    assert calling.cell("log.append('cell')")["status"] == "ok"
    calling.tasks.result(first)
    calling.tasks.result(second)
    log = calling.tasks.value(defined("def f():\n    return log"))
    assert log[:2] == ["call", "end"]
    assert sorted(log[2:]) == ["cell", "second"]


def test_a_cell_gets_its_turn_among_many_calls(calling: Any) -> None:
    calling.tasks.hello()
    calling.tasks.run_many([(SLEEP, (0.002,), {})] * 1500)
    assert calling.cell("1")["status"] == "ok"
    calling.tasks.send(TakeBack(tuple(CallRef(f"t-{n}", 1) for n in range(1, 1501))))
    given = calling.tasks.expect(GaveBack)[0].calls
    assert len(given) > 100, "most calls were still waiting when the cell had ended"
    calling.tasks.results(1500 - len(given))


def test_calls_leave_the_count_of_cells_alone(calling: Any) -> None:
    calling.tasks.hello()
    first = calling.cell("1")["execution_count"]
    calling.tasks.value(NOTHING)
    assert calling.cell("2")["execution_count"] == first + 1


def test_debug_opens_the_last_frame_that_failed_of_a_call_too(calling: Any) -> None:
    calling.tasks.hello()
    calling.cell("1/0")
    calling.tasks.result(
        calling.tasks.run(
            defined("def f(depth):\n    marker = 'in the call'\n    raise ValueError(marker)"), 3
        )
    )
    hushed = defined("def f():\n    secret = 1\n    raise KeyError(secret)")
    calling.tasks.result(calling.tasks.run(hushed, options=RunOptions(quiet=True)))
    client = calling.client
    cell = calling.start("%debug", allow_stdin=True)
    client.get_stdin_msg(timeout=DEADLINE)
    client.input("p marker, depth")
    client.get_stdin_msg(timeout=DEADLINE)
    client.input("q")
    assert calling.reply(cell)["status"] == "ok"
    shown = "".join(
        m["content"].get("text", "") for m in calling.published(cell) if m["msg_type"] == "stream"
    )
    assert "('in the call', 3)" in shown


# -- taking back ------------------------------------------------------------------------------


def test_what_has_not_begun_is_given_back_while_a_call_computes(tasks: Any, tmp_path: Path) -> None:
    busy = tasks.run(UNTIL, str(tmp_path / "go"))
    tasks.expect(Begun)
    waiting = tasks.run_many([(NOTHING, (), {})] * 5)
    tasks.send(TakeBack((busy, *waiting[2:], CallRef("nobody", 1))))
    assert tasks.expect(GaveBack)[0].calls == tuple(waiting[2:])
    tasks.send(TakeBack(tuple(waiting[2:])))
    assert tasks.expect(GaveBack)[0].calls == ()
    (tmp_path / "go").touch()
    assert [result.task for result in tasks.results(3)] == [busy.task, *(ref.task for ref in waiting[:2])]
    tasks.nothing_else()


# -- values -----------------------------------------------------------------------------------


def make_array(size: int) -> Any:
    return defined("def f(n):\n    import numpy\n    return numpy.arange(n)"), size


def test_a_small_result_rides_home_and_a_large_one_stays_until_dropped(tasks: Any) -> None:
    small = tasks.result(tasks.run(*make_array(10)))
    assert value_of(small).tolist() == list(range(10))
    ref = tasks.run(*make_array(100_000))
    large = tasks.result(ref)
    assert large.payload is None
    assert isinstance(large.outcome, Returned)
    assert (large.outcome.home, large.outcome.nbytes > 800_000) == (False, True)
    for request in (1, 2):
        tasks.send(SendValue(request, ref.task))
        sent, buffers = tasks.expect(ValueSent)
        assert sent.request == request
        assert sent.sizes == tuple(len(buffer) for buffer in buffers) == (800_000,)
        array = load_value(sent.payload, buffers)
        assert array.sum() == 100_000 * 99_999 // 2
    tasks.send(DropValues((ref.task, "nobody")))
    tasks.send(SendValue(3, ref.task))
    assert "not kept" in tasks.expect(ValueSent)[0].missing


def test_a_value_that_is_kept_does_not_change_with_the_namespace(tasks: Any) -> None:
    code = "def f():\n    global kept\n    kept = [1]\n    return kept"
    ref = tasks.run(defined(code), options=RunOptions(keep=True))
    assert tasks.result(ref).payload is None
    tasks.value(defined("def f():\n    kept.append(2)"))
    tasks.send(SendValue(1, ref.task))
    assert load_value(tasks.expect(ValueSent)[0].payload) == [1]


class Promise:
    """Stands for a task in the arguments of another."""

    def __init__(self, task: str) -> None:
        self.task = task


def with_inputs(tasks: Any, function: Any, args: tuple[Any, ...], inputs: tuple[Input, ...]) -> CallRef:
    dumped = tasks.functions.dump(function)
    packed = ArgumentDumper(tasks.functions, (Promise,), lambda promise: promise.task).dump(args, {})
    tasks.count += 1
    order = CallOrder(f"t-{tasks.count}", 1, 0, dumped.digest, packed.payload, (), inputs)
    tasks.send(RunCalls((RunOptions(),), (order,), {dumped.digest: dumped.payload}))
    return CallRef(order.task, 1)


def test_inputs_come_with_the_call_from_the_store_or_from_another_engine(tasks: Any) -> None:
    here = tasks.run(*make_array(50_000))
    tasks.result(here)
    function = defined("def f(a, b, c):\n    c[0] = 7\n    return a + int(b.sum()) + len(c), c[0]")
    far = np.ones(70_000)
    ref = with_inputs(
        tasks,
        function,
        (Promise("inline"), Promise(here.task), Promise("far")),
        (Input("inline", dump_value(4).payload), Input(here.task, here=True), Input("far")),
    )
    behind = tasks.run(NOTHING)
    assert tasks.expect(SendMe)[0].task == "far"
    assert not tasks.pump(0.1), "the call waits for its input, and the one behind it for the call"
    dumped = dump_value(far)
    raw = [buffer.raw() for buffer in dumped.buffers]
    tasks.send(TakeValue("far", dumped.payload, tuple(len(each) for each in raw)), raw)
    assert value_of(tasks.result(ref)) == (4 + 50_000 * 49_999 // 2 + 70_000, 7.0)
    tasks.result(behind)
    tasks.nothing_else()


def test_two_calls_ask_once_for_a_value_and_each_gets_its_own_copy(tasks: Any) -> None:
    function = defined("def f(x):\n    x.append(1)\n    return x")
    refs = [with_inputs(tasks, function, (Promise("far"),), (Input("far"),)) for _ in range(2)]
    tasks.expect(SendMe)
    tasks.send(TakeValue("far", dump_value([0]).payload))
    assert [value_of(tasks.result(ref)) for ref in refs] == [[0, 1], [0, 1]]
    again = with_inputs(tasks, function, (Promise("far"),), (Input("far"),))
    tasks.expect(SendMe), "what nobody waits for is not kept"
    tasks.send(TakeValue("far", missing="its engine was lost"))
    assert tasks.result(again).outcome == Rejected("ValueReleased", "its engine was lost")
    tasks.nothing_else()


def test_an_input_that_is_not_in_the_store_is_released_and_no_error_of_the_call(tasks: Any) -> None:
    ref = with_inputs(tasks, DOUBLE, (Promise("gone"),), (Input("gone", here=True),))
    outcome = tasks.result(ref).outcome
    assert isinstance(outcome, Rejected)
    assert (outcome.error, "gone" in outcome.message) == ("ValueReleased", True)


def test_a_call_whose_input_is_on_its_way_can_be_taken_back(tasks: Any) -> None:
    ref = with_inputs(tasks, DOUBLE, (Promise("far"),), (Input("far"),))
    tasks.expect(SendMe)
    tasks.send(TakeBack((ref,)))
    assert tasks.expect(GaveBack)[0].calls == (ref,)
    tasks.send(TakeValue("far", dump_value(1).payload))
    assert tasks.value(DOUBLE, 3) == 6
    tasks.nothing_else()


# -- output -----------------------------------------------------------------------------------


def test_what_a_call_prints_and_shows_rides_with_its_end_in_order(calling: Any) -> None:
    calling.tasks.hello()
    code = (
        "def f():\n"
        "    import sys, threading\n"
        "    from IPython.display import display, HTML\n"
        "    print('one')\n"
        "    display(HTML('<b>x</b>'))\n    print('two')\n    print('err', file=sys.stderr)\n"
        "    t = threading.Thread(target=print, args=('from a thread',))\n    t.start()\n    t.join()\n"
        "    get_ipython().run_cell('40 + 2')"
    )
    result = calling.tasks.result(calling.tasks.run(defined(code)))
    early = [message for message, _ in calling.tasks.unread if isinstance(message, Printed)]
    found = [piece for message in [*early, result] for piece in pieces(message.output)]
    # A line may come in two pieces: what was printed until its call took long is sent ahead.
    shown = [
        (kind, "".join(piece.text for piece in row))
        for kind, row in groupby(found[:-1], lambda piece: piece.msg_type)
    ]
    assert shown == [
        ("stdout", "one\n"),
        ("display_data", ""),
        ("stdout", "two\n"),
        ("stderr", "err\n"),
        ("stdout", "from a thread\n"),
    ]
    assert any(b"<b>x</b>" in piece.content for piece in found if piece.msg_type == "display_data")
    assert found[-1].msg_type == "execute_result"
    assert b"42" in found[-1].content
    marker = calling.start("print('cell')")
    streams = [m["content"]["text"] for m in calling.published(marker) if m["msg_type"] == "stream"]
    assert "".join(streams) == "cell\n"
    assert [m for m in calling.stray if m["msg_type"] != "status"] == [], "nothing of the call was published"


def test_what_child_processes_print_belongs_to_the_call(tasks: Any) -> None:
    code = (
        "def f():\n    import os, subprocess, time\n    subprocess.run(['echo', 'from a program'])\n"
        "    pid = os.fork()\n    if pid == 0:\n        print('from a fork')\n        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n    time.sleep(0.1)"
    )
    shown = text(tasks.result(tasks.run(defined(code))))
    assert "from a program\n" in shown
    assert "from a fork\n" in shown


def test_what_is_written_to_the_descriptors_in_a_call_is_in_that_call_and_in_no_other(calling: Any) -> None:
    tasks = calling.tasks
    tasks.hello()
    write = defined(
        "def f(n):\n    import os\n    os.write(1, b'%d\\n' % n)\n    os.write(2, b'%d!\\n' % n)\n"
        "    return sum(range(30_000))"  # not so short that nobody looks: see runner.SHORT
    )
    program = defined("def f(n):\n    import subprocess\n    subprocess.run(['echo', f'{n}'])")
    coroutine = defined(
        "async def f(n):\n    import os\n    os.write(1, b'%d\\n' % n)\n    sum(range(30_000))"
    )
    given = [(work, (n,), {}) for n, work in enumerate([write] * 100 + [program, coroutine, NOTHING] * 5)]
    given = [(work, () if work is NOTHING else args, {}) for work, args, _ in given]
    tasks.run_many(given)
    results = tasks.results(len(given))
    for n, ((work, _, _), result) in enumerate(zip(given, results, strict=True)):
        assert text(result) == ("" if work is NOTHING else f"{n}\n"), n
        assert text(result, "stderr") == (f"{n}!\n" if work is write else ""), n
    tasks.nothing_else()


def test_what_is_written_to_a_descriptor_in_a_cell_is_in_that_cell(calling: Any) -> None:
    cells = [calling.start(f"import os; os.write(1, b'{n}\\n'); None") for n in range(30)]
    for n, cell in enumerate(cells):
        shown = [m["content"]["text"] for m in calling.published(cell) if m["msg_type"] == "stream"]
        assert "".join(shown) == f"{n}\n"


def test_more_than_a_pipe_holds_is_in_the_call_that_wrote_it(tasks: Any) -> None:
    code = "def f(n):\n    import subprocess\n    subprocess.run(['seq', f'{n}'])"
    many, few = tasks.run_many([(defined(code), (50_000,), {}), (defined(code), (1,), {})])
    results = {result.task: result for result in tasks.results(2)}
    printed = [m for m, _ in tasks.unread if isinstance(m, Printed) and m.task == many.task]
    whole = "".join(map(text, [*printed, results[many.task]]))
    assert whole == "".join(f"{n}\n" for n in range(1, 50_001))
    assert text(results[few.task]) == "1\n"


def test_a_program_that_never_stops_writing_holds_no_call_up(calling: Any) -> None:
    calling.start("import subprocess; writer = subprocess.Popen(['sh', '-c', 'while :; do echo x; done'])")
    tasks = calling.tasks
    tasks.hello()
    try:
        tasks.run_many([(DOUBLE, (1,), {})] * 50)
        assert [value_of(result) for result in tasks.results(50)] == [2] * 50
    finally:
        calling.start("writer.kill(); writer.wait()")


def test_a_long_call_is_heard_while_it_runs(tasks: Any, tmp_path: Path) -> None:
    code = (
        "def f(path):\n    import os, time\n    for n in range(4):\n        print(n)\n"
        "        while not os.path.exists(path + str(n)): time.sleep(0.005)"
    )
    ref = tasks.run(defined(code), str(tmp_path / "go"))
    heard = ""
    for n in range(4):
        while not heard.endswith(f"{n}\n"):
            printed = tasks.expect(Printed)[0]
            assert (printed.task, printed.attempt) == (ref.task, ref.attempt)
            heard += text(printed)
        (tmp_path / f"go{n}").touch()
    assert heard + text(tasks.result(ref)) == "0\n1\n2\n3\n"
    tasks.nothing_else()


def test_output_is_bounded_and_what_is_left_out_is_said(tasks: Any) -> None:
    code = "def f():\n    for _ in range(40):\n        print('x' * 999_999)"
    ref = tasks.run(defined(code))
    result = tasks.result(ref)
    printed = [message for message, _ in tasks.unread if isinstance(message, Printed)]
    shown = sum(text(message).count("x") for message in [*printed, result])
    left_out = sum("left out" in text(message, "stderr") for message in [*printed, result])
    assert shown == 40 * 999_999 or left_out > 0


def test_what_a_thread_prints_after_its_call_is_sent_too(tasks: Any) -> None:
    code = "def f():\n    import threading\n    threading.Timer(0.2, print, ('late',)).start()"
    ref = tasks.run(defined(code))
    assert tasks.result(ref).output == b""
    said = ""
    while said != "late\n":  # print writes the end of the line on its own
        printed = tasks.expect(Printed)[0]
        assert printed.task == ref.task
        said += text(printed)


def test_a_call_that_asks_for_input_fails_at_once(tasks: Any) -> None:
    for code in (
        "def f():\n    return input('name? ')",
        "def f():\n    import getpass\n    return getpass.getpass()",
    ):
        outcome = threw(tasks.result(tasks.run(defined(code), options=RunOptions(label="ask"))))
        assert outcome.ename == "StdinNotImplementedError"
        assert "'ask' asked for input" in outcome.evalue


# -- what a call can say and ask --------------------------------------------------------------


def test_reports_are_sent_at_most_five_a_second_and_the_last_one_always(tasks: Any) -> None:
    code = (
        "def f():\n"
        "    import time\n"
        "    from nbcluster import report\n"
        "    until = time.time() + 1\n"
        "    n = 0\n"
        "    while time.time() < until:\n"
        "        n += 1\n"
        "        report(0.5, n=n)\n"
        "        time.sleep(0.001)\n"
        "    return n"
    )
    ref = tasks.run(defined(code))
    n = value_of(tasks.result(ref))
    reported = [message for message, _ in tasks.unread if isinstance(message, Reported)]
    assert 2 <= len(reported) <= 8
    assert reported[-1].values == {"fraction": 0.5, "n": n}
    tasks.value(defined("def f():\n    from nbcluster import report\n    report(loss=0.25)"))
    assert tasks.expect(Reported, lambda message: message.task != ref.task)[0].values == {"loss": 0.25}


def test_a_call_knows_which_task_it_is(tasks: Any) -> None:
    code = (
        "def f():\n    from concurrent.futures import ThreadPoolExecutor\n"
        "    from nbcluster.engine.context import current_task\n    import dataclasses\n"
        "    with ThreadPoolExecutor(1) as pool:\n"
        "        return [dataclasses.astuple(t) for t in (current_task(), pool.submit(current_task).result())]"
    )
    ref = tasks.run(defined(code), options=RunOptions(label="who"))
    told = value_of(tasks.result(ref))
    assert told == [(ref.task, 1, "who", "", "")] * 2


# -- the connection ---------------------------------------------------------------------------


def test_an_agent_says_hello_again_when_the_controller_comes_back(calling: Any) -> None:
    tasks = calling.tasks
    first = tasks.hello()
    tasks.close()  # to its very end: the path must be free
    tasks.open()
    assert tasks.expect(AgentHello)[0] == first
    assert tasks.value(DOUBLE, 21) == 42


def test_messages_that_do_not_check_are_dropped_and_said(calling: Any, host: Any) -> None:
    tasks = calling.tasks
    tasks.hello()
    genuine = tasks.frames
    tasks.frames = type(genuine)(b"another key")
    tasks.send(TakeBack(()))
    tasks.frames = genuine
    tasks.socket.send_multipart([tasks.identity, b"nonsense"])
    _, frames = genuine.pack("RunCalls", b"\x81\xa4type\xa4Nope", idents=(tasks.identity,))
    tasks.socket.send_multipart(frames)
    assert tasks.value(DOUBLE, 1) == 2
    log = host.log("e")
    assert "not signed" in log
    assert "cannot read" in log


def test_an_idle_agent_sleeps(calling: Any) -> None:
    calling.tasks.hello()
    calling.tasks.value(SLEEP, 0.3)

    def switches() -> int:
        total = 0
        for thread in os.listdir(f"/proc/{calling.pid}/task"):
            status = Path(f"/proc/{calling.pid}/task/{thread}/status").read_text()
            total += int(status.split("voluntary_ctxt_switches:")[1].split()[0])
        return total

    before, then = switches(), time.monotonic()
    time.sleep(1.0)  # what is measured is that nothing happens
    assert (switches() - before) / (time.monotonic() - then) < 20
