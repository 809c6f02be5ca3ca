"""Futures of calls that are sent later: waited for, shown, cancelled and used before that; against one in memory."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from nbcluster.client.promised import promise
from nbcluster.errors import NBClusterError, TaskCancelled, UsageError
from nbcluster.protocol import calls as c

DEADLINE = 5.0


def sent(memory: Any) -> list[c.CallSpec]:
    memory.do(int)  # have the loop do what it was asked to before
    return [
        call for message in memory.peer.sent if isinstance(message, c.SubmitCalls) for call in message.calls
    ]


def test_it_is_a_call_like_others_once_it_is_sent(memory: Any) -> None:
    source = memory.peer.submission().send(pow, (2, 3), {})
    future = promise(memory.peer.submission(), abs, "later")
    told: list[Any] = []
    future.tell_when_done(told.append)
    assert (future.status, future.done(), future.what) == ("queued", False, "later")
    assert "waits for what comes before it" in future.explain()
    assert [call.task for call in sent(memory)] == [source.task]
    future.send_with(abs, source)
    assert future.result(DEADLINE) == 8
    assert (future.status, told) == ("done", [future])
    assert [call.inputs for call in sent(memory) if call.task == future.task] == [(source.task,)]


def test_as_an_argument_it_is_waited_for_until_it_is_sent(memory: Any) -> None:
    future = promise(memory.peer.submission(), abs, "later")
    used: list[Any] = []
    thread = threading.Thread(target=lambda: used.append(memory.peer.submission().send(pow, (future, 2), {})))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    assert sent(memory) == []
    future.send_with(abs, -3)
    thread.join(DEADLINE)
    assert used[0].result(DEADLINE) == 9
    assert [call.inputs for call in sent(memory)] == [(), (future.task,)]


def test_on_the_thread_that_sends_it_is_refused(memory: Any) -> None:
    future = promise(memory.peer.submission(), abs, "later")
    with pytest.raises(UsageError, match="this is the thread that sends"):
        memory.do(lambda: memory.peer.submission().send(abs, (future,), {}))
    future.give_up(NBClusterError("over"))


def test_one_that_is_given_up_raises_why(memory: Any) -> None:
    future = promise(memory.peer.submission(), abs, "later")
    future.give_up(TaskCancelled("nobody wants it"))
    assert (future.status, future.cancelled()) == ("cancelled", True)
    with pytest.raises(TaskCancelled, match="nobody wants it"):
        future.result(0)
    with pytest.raises(TaskCancelled, match="nobody wants it"):
        memory.peer.submission().send(abs, (future,), {})
    assert "never sent" in future.explain()
    del future
    assert sent(memory) == []
    assert not any(isinstance(message, c.ReleaseValues) for message in memory.peer.sent)


def test_a_wish_to_stop_it_is_remembered(memory: Any) -> None:
    future = promise(memory.peer.submission(), abs, "later")
    future.ask_to_stop("not wanted")
    assert future.status == "stopping"
    future.send_with(abs, -3)
    with pytest.raises(TaskCancelled, match="not wanted"):
        future.result(0)
    assert sent(memory) == []
