"""An interrupt reaches the attempt that it was meant for, and nothing else."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

import psutil
import pytest
from task_router import defined, threw, value_of

from nbcluster.protocol.outcomes import Withdrawn
from nbcluster.protocol.tasks import Begun, CallRef, CallsReturned, StopCalls, TakeBack

ADD = defined("def f(a, b=0):\n    return a + b")

KINDS = {
    "loop": "def f():\n    while True:\n        pass",
    "sleep": "def f():\n    import time\n    time.sleep(60)",
    "await": "async def f():\n    import asyncio\n    await asyncio.sleep(60)",
    "await and loop": (
        "async def f():\n    import asyncio\n    await asyncio.sleep(0)\n    while True:\n        pass"
    ),
    "await others": (
        "async def f():\n    import asyncio\n    await asyncio.gather(asyncio.sleep(60), asyncio.sleep(61))"
    ),
    "wait for a thread": "def f():\n    import threading\n    threading.Event().wait()",
    "program": "def f():\n    import subprocess\n    subprocess.run(['sleep', '61'])",
    "deaf program": (
        "def f():\n"
        "    import os\n"
        "    while os.system('sleep 61') == 0:\n"
        "        pass\n"
        "    raise KeyboardInterrupt"
    ),
    "lock": (
        "def f():\n    import threading\n    lock = threading.Lock()\n    lock.acquire()\n    lock.acquire()"
    ),
    "output": "def f():\n    while True:\n        print('x' * 1000)",
    "unpickling": (
        "class Slow:\n"
        "    def __reduce__(self):\n"
        "        import time\n"
        "        return time.sleep, (60,)\n"
        "def f():\n"
        "    return Slow"
    ),
    "pickling": (
        "class Slow:\n"
        "    def __reduce__(self):\n"
        "        import time\n"
        "        time.sleep(60)\n"
        "        return int, ()\n"
        "def f():\n    return Slow()"
    ),
}


@pytest.fixture
def host(shared_host: Any) -> Any:
    return shared_host


@pytest.fixture
def tasks(calling: Any) -> Any:
    calling.tasks.hello()
    return calling.tasks


def begun(tasks: Any, code: str) -> CallRef:
    """Start a call and wait until it is known to run."""
    ref = tasks.run(defined(code))
    tasks.expect(Begun, lambda message: message.task == ref.task)
    return ref


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unpickling"])
def test_a_stop_ends_the_call_that_runs(tasks: Any, kind: str) -> None:
    for number in range(3):
        ref = begun(tasks, KINDS[kind])
        before = time.monotonic()
        tasks.send(StopCalls((ref,)))
        assert tasks.result(ref).outcome == Withdrawn("it was interrupted")
        assert time.monotonic() - before < 10  # it would take a minute, or for ever
        assert tasks.value(ADD, number, 1) == number + 1


def test_arguments_that_take_long_to_make_can_be_stopped(tasks: Any) -> None:
    slow = defined(KINDS["unpickling"])()()
    ref = tasks.run(ADD, slow)
    tasks.expect(Begun)
    tasks.send(StopCalls((ref,)))
    assert tasks.result(ref).outcome == Withdrawn("it was interrupted")
    assert tasks.value(ADD, 2) == 2


def test_a_stop_withdraws_what_waits_at_once_and_leaves_the_rest(tasks: Any) -> None:
    busy = begun(tasks, "def f():\n    import time\n    time.sleep(60)")
    waiting = tasks.run_many([(ADD, (number,), {}) for number in range(4)])
    before = time.monotonic()
    tasks.send(StopCalls((waiting[1], waiting[2], CallRef(waiting[3].task, 2), CallRef("nobody", 1))))
    for ref in waiting[1:3]:
        assert tasks.result(ref).outcome == Withdrawn("it had not begun")
    assert time.monotonic() - before < 20  # while the call before them runs
    tasks.send(StopCalls((busy,)))
    assert [value_of(tasks.result(ref)) for ref in (waiting[0], waiting[3])] == [0, 3]
    assert tasks.result(busy).outcome == Withdrawn("it was interrupted")
    tasks.nothing_else()


def test_a_stop_that_comes_too_late_changes_nothing(tasks: Any) -> None:
    ref = tasks.run(ADD, 1)
    assert value_of(tasks.result(ref)) == 1
    tasks.send(StopCalls((ref,)))
    assert tasks.value(ADD, 2) == 2
    tasks.nothing_else()


@pytest.mark.parametrize(
    "code",
    [
        (
            "def f():\n"
            "    import time\n"
            "    try:\n"
            "        time.sleep(60)\n"
            "    except KeyboardInterrupt:\n"
            "        return 'caught'"
        ),
        (
            "async def f():\n"
            "    import asyncio\n"
            "    try:\n"
            "        await asyncio.sleep(60)\n"
            "    except asyncio.CancelledError:\n"
            "        return 'caught'"
        ),
    ],
)
def test_a_call_that_catches_its_interrupt_has_returned(tasks: Any, code: str) -> None:
    ref = begun(tasks, code)
    tasks.send(StopCalls((ref,)))
    assert value_of(tasks.result(ref)) == "caught"


def test_a_call_that_makes_another_error_of_its_interrupt_has_raised_that(tasks: Any) -> None:
    ref = begun(
        tasks,
        (
            "def f():\n"
            "    import time\n"
            "    try:\n"
            "        time.sleep(60)\n"
            "    except KeyboardInterrupt:\n"
            "        raise ValueError('mine')"
        ),
    )
    tasks.send(StopCalls((ref,)))
    assert threw(tasks.result(ref)).evalue == "mine"


@pytest.mark.parametrize("kind", ["loop", "sleep", "await"])
def test_an_interrupt_from_outside_hits_the_call_that_runs(calling: Any, kind: str) -> None:
    tasks = calling.tasks
    tasks.hello()
    for send in (
        lambda: calling.control("interrupt_request"),
        lambda: os.kill(calling.pid, signal.SIGINT),
    ):
        ref = begun(tasks, KINDS[kind])
        behind = tasks.run(ADD, 1)
        send()
        outcome = threw(tasks.result(ref))
        assert outcome.ename == "KeyboardInterrupt"
        assert not any(name in "".join(outcome.traceback) for name in ("on_sigint", "take_hit"))
        assert value_of(tasks.result(behind)) == 1


def test_interrupts_of_an_idle_engine_and_of_cells_leave_later_calls_alone(calling: Any) -> None:
    tasks = calling.tasks
    tasks.hello()
    for number in range(20):
        calling.control("interrupt_request")
        os.kill(calling.pid, signal.SIGINT)
        assert tasks.value(ADD, number) == number
    cell = calling.start("import time\nprint('up', flush=True)\ntime.sleep(60)")
    calling.wait_for_print(cell)
    assert calling.control("interrupt_task_request", msg_id=cell)["hit"]
    assert calling.reply(cell)["ename"] == "KeyboardInterrupt"
    assert tasks.value(ADD, 1) == 1


def test_a_cell_that_waits_for_a_call_can_be_interrupted_and_the_call_goes_on(calling: Any) -> None:
    tasks = calling.tasks
    tasks.hello()
    ref = begun(tasks, "async def f():\n    import asyncio\n    await asyncio.sleep(1)\n    return 5")
    cell = calling.start("import time\ntime.sleep(60)")
    calling.control("interrupt_task_request", msg_id=cell)
    assert value_of(tasks.result(ref)) == 5
    assert calling.reply(cell)["ename"] == "KeyboardInterrupt"


def test_a_handler_that_a_call_sets_is_not_left_to_the_next(tasks: Any) -> None:
    code = "def f():\n    import signal\n    signal.signal(signal.SIGINT, signal.SIG_IGN)"
    assert tasks.value(defined(code)) is None
    ref = begun(tasks, KINDS["sleep"])
    tasks.send(StopCalls((ref,)))
    assert tasks.result(ref).outcome == Withdrawn("it was interrupted")


def test_children_of_earlier_calls_go_on(calling: Any) -> None:
    tasks = calling.tasks
    tasks.hello()
    pid = tasks.value(
        defined(
            "def f():\n"
            "    global old\n"
            "    import subprocess\n"
            "    old = subprocess.Popen(['sleep', '63'])\n"
            "    return old.pid"
        )
    )
    time.sleep(0.1)  # start times of processes are told apart by 0.02 s
    ref = begun(tasks, KINDS["deaf program"])
    tasks.send(StopCalls((ref,)))
    assert tasks.result(ref).outcome == Withdrawn("it was interrupted")
    assert psutil.Process(pid).status() == "sleeping"
    tasks.value(defined("def f():\n    old.kill()\n    old.wait()"))


def test_stops_at_random_moments_hit_no_other_call(tasks: Any) -> None:
    """Thousands of stops among calls of all lengths; each call says if it was interrupted unasked."""
    generator = random.Random(5)  # moments, not secrets
    bodies = {
        "quick": "def f(n):\n    return n",
        "busy": "def f(n):\n    for i in range(3000):\n        n += 0\n    return n",
        "sleepy": "def f(n):\n    import time\n    time.sleep(0.0005)\n    return n",
        "awaiting": "async def f(n):\n    import asyncio\n    await asyncio.sleep(0.0003)\n    return n",
    }
    functions = [defined(code) for code in bodies.values()]
    stopped: set[str] = set()
    numbers: dict[str, int] = {}
    hit = ended = sent = 0
    total = 6000
    while ended < total:
        if sent < total and sent - ended < 6:
            count = generator.randint(1, 3)
            refs = tasks.run_many([(generator.choice(functions), (sent + n,), {}) for n in range(count)])
            for at, ref in enumerate(refs):
                numbers[ref.task] = sent + at
            sent += count
            total = max(total, sent)
            chosen = tuple(ref for ref in refs if generator.random() < 0.5)
            stopped.update(ref.task for ref in chosen)
            until = time.perf_counter() + generator.random() * 0.002
            while time.perf_counter() < until:
                pass  # a sleep would make the moments alike
            for ref in chosen:
                tasks.send(StopCalls((ref,)))
        tasks.pump(0 if sent < total else 1)
        fresh, tasks.unread = tasks.unread, []
        for message, _ in fresh:
            if not isinstance(message, CallsReturned):
                assert isinstance(message, Begun)
                continue
            for result in message.results:
                ended += 1
                number = numbers.pop(result.task)
                if isinstance(result.outcome, Withdrawn):
                    assert result.task in stopped, (result, "was not to be stopped")
                    hit += result.outcome.reason == "it was interrupted"
                else:
                    assert value_of(result) == number
    assert not numbers
    assert hit > total / 100, f"only {hit} of {len(stopped)} stops met a call that ran: this tests little"
    tasks.send(TakeBack(()))
    assert tasks.value(ADD, 1) == 1
