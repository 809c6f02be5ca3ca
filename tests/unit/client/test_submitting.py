"""Calls on their way out: batches, windows, options checked at once, warnings; against a controller in memory."""

from __future__ import annotations

import asyncio
import functools
import platform
import threading
import time
import warnings
from typing import Any

import pytest
from memory_peer import engine  # type: ignore[import-not-found]  # loaded by conftest

from nbcluster.client import outbox
from nbcluster.client.options import make_options
from nbcluster.errors import (
    NoEngines,
    NotSerializable,
    NotSupported,
    UnknownTarget,
    UsageError,
    VersionMismatch,
)
from nbcluster.payload import sizes
from nbcluster.protocol import calls as c

DEADLINE = 5.0


def of_a_notebook() -> None:
    """Stands for a function that cannot be imported elsewhere."""


of_a_notebook.__module__ = "__main__"


def submissions(memory: Any) -> list[c.SubmitCalls]:
    return [message for message in memory.peer.sent if isinstance(message, c.SubmitCalls)]


def until(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


# -- batches ----------------------------------------------------------------------------------


def test_many_calls_go_in_few_messages_and_a_function_once(memory: Any) -> None:
    submission = memory.peer.submission()
    futures = [submission.send(lambda x: x, (number,), {}) for number in range(500)]
    function = lambda x: -x  # noqa: E731
    futures += [submission.send(function, (number,), {}) for number in range(500)]
    assert [future.result(DEADLINE) for future in futures[500:]] == [-number for number in range(500)]
    messages = submissions(memory)
    assert len(messages) < 100
    assert sum(len(message.calls) for message in messages) == 1000
    digest = messages[-1].calls[-1].function
    assert sum(digest in message.functions for message in messages) == 1
    assert all(len(message.options) <= 2 for message in messages)


def test_functions_that_the_controller_may_have_forgotten_are_sent_again(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c, "FUNCTIONS_KEPT", 1)
    submission = memory.peer.submission()
    for fn in (abs, len, abs):
        submission.send(fn, ([] if fn is len else 1,), {}).result(DEADLINE)
    sent = [list(message.functions) for message in submissions(memory)]
    assert sent[0] == sent[2] != sent[1]


def test_who_submits_more_than_is_taken_has_to_wait_and_is_told(
    memory: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outbox, "WINDOW_CALLS", 5)
    monkeypatch.setattr(outbox, "UNSENT_CALLS", 10)
    monkeypatch.setattr("nbcluster.client.calls.SAY_AFTER", 0.01)
    memory.peer.accepting = False
    memory.peer.held = True
    submission = memory.peer.submission()
    futures: list[Any] = []

    def fill() -> None:
        for number in range(40):
            memory.peer.calls.wait_room()
            futures.append(submission.send(int, (number,), {}))

    thread = threading.Thread(target=fill)
    thread.start()
    said = ""
    deadline = time.monotonic() + DEADLINE
    while "waiting for the controller of 'memory' to take 10 calls" not in said:
        assert time.monotonic() < deadline
        time.sleep(0.005)
        said += capsys.readouterr().err
    assert len(futures) == 15  # 5 sent, 10 waiting
    memory.peer.accepting = True
    memory.do(memory.peer.accept)
    thread.join(DEADLINE)
    assert not thread.is_alive()
    until(lambda: memory.peer.waiting == 40)


def test_a_coroutine_that_submits_waits_without_blocking(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "WINDOW_CALLS", 5)
    monkeypatch.setattr(outbox, "UNSENT_CALLS", 10)
    submission = memory.peer.submission()

    async def fill() -> list[Any]:
        futures = []
        for number in range(100):
            await memory.peer.calls.room()
            futures.append(submission.send(int, (number,), {}))
        return [await future for future in futures]

    done = asyncio.run_coroutine_threadsafe(fill(), memory.loop)
    assert done.result(DEADLINE) == list(range(100))


def test_a_blocking_submit_on_the_loop_that_sends_is_refused_when_it_would_wait(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "UNSENT_CALLS", 0)
    with pytest.raises(UsageError, match="this is the thread that sends them"):
        memory.do(memory.peer.calls.wait_room)


def test_buffers_travel_as_they_are(memory: Any) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000)
    assert memory.peer.submission().send(lambda a: int(a.sum()), (array,), {}).result(DEADLINE) == array.sum()
    (message,) = submissions(memory)
    assert message.calls[0].sizes == (array.nbytes,)
    assert len(message.calls[0].payload) < 1000


def test_the_arguments_of_partials_and_methods_may_be_futures(memory: Any) -> None:
    submission = memory.peer.submission()
    first = submission.send(int, (5,), {})
    assert first.result(DEADLINE) == 5
    assert submission.send(functools.partial(pow, first), (2,), {}).result(DEADLINE) == 25


def test_coroutine_functions_are_awaited_there(memory: Any) -> None:
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    assert memory.peer.submission().send(later, (1,), {}).result(DEADLINE) == 2


# -- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retries": -1}, "retries=-1 cannot be: it is 0 or more"),
        ({"retries": 1.5}, "retries=1.5 cannot be: it is a whole number"),
        ({"retries": True}, "retries=True cannot be"),
        ({"timeout": 0}, "timeout=0 cannot be: it is a number of seconds above 0"),
        ({"timeout": float("nan")}, "timeout=nan cannot be"),
        ({"timeout": float("inf")}, "timeout=inf cannot be"),
        ({"timeout": "1"}, "timeout='1' cannot be"),
        ({"priority": "high"}, "priority='high' cannot be: it is a whole number"),
        ({"resources": {"gpu": -1}}, "give amounts by name"),
        ({"resources": {"gpu": "1"}}, "give amounts by name"),
        ({"key": ""}, "key='' cannot be: it is a text"),
        ({"key": 7}, "key=7 cannot be: it is a text"),
        ({"namespace": "a b"}, "'a b' cannot be the name of a namespace"),
        ({"namespace": "class"}, "'class' cannot be the name of a namespace"),
        ({"after": [3]}, "after= takes Futures of calls and cells, not int 3"),
        ({"on": "0-2"}, "'0-2' is no slice"),
        ({"on": []}, "an empty list of engines"),
    ],
)
def test_options_that_cannot_be_are_refused_at_once(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_options(**options)


def kind_of(memory: Any, **options: Any) -> c.CallOptions:
    future = memory.peer.submission(**options).send(int, (), {})
    options_of: c.CallOptions = future._kind.options
    return options_of


def test_options_travel(memory: Any) -> None:
    memory.peer.held = True
    plain = kind_of(memory)
    assert plain == c.CallOptions(label="int")
    assert plain.repeatable
    told = kind_of(memory, retries=2, timeout=60, priority=5, label="fit")
    assert (told.retries, told.timeout, told.priority, told.label) == (2, 60.0, 5, "fit")


def test_what_is_about_one_engine_or_namespace_is_not_repeated_unasked(memory: Any) -> None:
    memory.peer.held = True
    memory.do(memory.peer.fleet.replace, [engine(0), engine(3)])
    pinned = kind_of(memory, on=-1)
    assert (pinned.targets, pinned.pinned, pinned.repeatable) == ("3", True, False)
    assert not kind_of(memory, namespace="exp1").repeatable
    assert kind_of(memory, on=0, repeatable=True).repeatable
    several = kind_of(memory, on=[0, 3])
    assert (several.targets, several.pinned, several.repeatable) == ("0,3", False, True)


def test_where_no_engine_could_run_it_is_said_at_once_and_again_when_engines_change(memory: Any) -> None:
    def send(**options: Any) -> Any:
        return memory.peer.submission(**options).send(int, (), {})

    with pytest.raises(UnknownTarget, match="there is no engine 5"):
        send(on=5)
    with pytest.raises(UnknownTarget, match="no engine is called 'gpu'"):
        send(on="gpu")
    with pytest.raises(NoEngines, match=r"no engine has the resources gpu=1: engine 0 has none"):
        send(resources={"gpu": 1})
    submission = memory.peer.submission()
    assert submission.send(int, (), {}).result(DEADLINE) == 0
    memory.do(memory.peer.fleet.replace, [engine(0, kernel="bash", language="bash", can_call=False)])
    with pytest.raises(NoEngines, match="every engine whose language is python"):
        submission.send(int, (), {})
    with pytest.raises(
        NotSupported, match=r"engine 0 runs the kernel 'bash' \(bash\), which does not load nbcluster"
    ):
        send(on=0)
    memory.do(memory.peer.fleet.replace, [])
    with pytest.raises(NoEngines, match="the cluster has none"):
        submission.send(int, (), {})
    memory.do(memory.peer.fleet.replace, [engine(0, state="starting", can_call=False, resources={"gpu": 1})])
    assert send(resources={"gpu": 1}).result(DEADLINE) == 0  # one that starts will be able to


def test_functions_by_value_go_to_engines_of_our_python(memory: Any) -> None:
    other = engine(1, python="3.7.1")
    memory.peer.held = True
    memory.do(memory.peer.fleet.replace, [engine(0, python=platform.python_version()), other])
    submission = memory.peer.submission()
    assert submission.send(int, (), {})._kind.options.targets == ""
    assert submission.send(of_a_notebook, (), {})._kind.options.targets == "0,"
    memory.do(memory.peer.fleet.replace, [other])
    submission.send(int, (), {})
    with pytest.raises(VersionMismatch, match=r"engine 1 runs Python 3.7.1 and this notebook"):
        submission.send(of_a_notebook, (), {})


def test_busy_and_idle_do_not_have_targets_resolved_anew(memory: Any) -> None:
    version = memory.peer.fleet.version
    memory.do(lambda: memory.peer.fleet.changed(engine(0, state="busy"), gone=False))
    assert memory.peer.fleet.version == version
    memory.do(lambda: memory.peer.fleet.changed(engine(0, tags=("gpu",)), gone=False))
    assert memory.peer.fleet.version > version


def test_what_cannot_be_called_or_sent_is_refused_here(memory: Any) -> None:
    submission = memory.peer.submission()
    with pytest.raises(UsageError, match="3 cannot be called"):
        submission.send(3, (), {})

    def takes(items: Any) -> None: ...

    with pytest.raises(NotSerializable, match=r"argument 'items'.*generator.*pass a list"):
        submission.send(takes, ((number for number in range(3)),), {})
    with pytest.raises(NotSerializable, match="'lock'"):
        submission.send(takes, ({"lock": threading.Lock()},), {})
    assert submissions(memory) == []


# -- huge arguments ---------------------------------------------------------------------------


def test_a_huge_argument_is_named_once(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbcluster.client.packing.HUGE", 100_000)
    monkeypatch.setattr(sizes.huge, "__defaults__", (100_000,))
    submission = memory.peer.submission()
    big_table = bytes(200_000)
    with pytest.warns(
        UserWarning, match=r"big_table \(195 KiB\) is sent with this call of len.*cluster.put\(big_table\)"
    ) as caught:
        submission.send(len, (big_table,), {})
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        submission.send(len, (big_table,), {})
        submission.send(len, (bytes(10),), {})
