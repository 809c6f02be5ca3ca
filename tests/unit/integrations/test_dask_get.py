"""Dask graphs on their way through a cluster: what is sent, let go, cancelled; against one in memory."""

from __future__ import annotations

import asyncio
import gc
import io
import operator
import sys
import threading
from typing import Any

import pytest
from dask._task_spec import DataNode
from dask.callbacks import Callback
from dask.diagnostics import ProgressBar
from dask.local import get_sync as dask_get

from nbcluster.errors import NoEngines, NotSerializable, UnknownKey, UsageError
from nbcluster.integrations.dask import get, get_async
from nbcluster.protocol import calls as c
from nbcluster.protocol import messages as m
from nbcluster.testing.waiting import wait_until

DEADLINE = 5.0


def compute(memory: Any, graph: Any, keys: Any, **options: Any) -> Any:
    return get(memory.peer.submission(), graph, keys, options)


def engine(number: int = 0, **fields: Any) -> Any:
    return sys.modules["memory_peer"].engine(number, **fields)


def sent(memory: Any) -> list[tuple[c.CallSpec, c.CallOptions]]:
    return [
        (call, message.options[call.options])
        for message in memory.peer.sent
        if isinstance(message, c.SubmitCalls)
        for call in message.calls
    ]


def inc(number: int) -> int:
    return number + 1


def fail(number: int) -> int:
    raise ArithmeticError(f"no luck with {number}")


FORK = {
    "a": (inc, 1),
    ("b", 0): (inc, "a"),
    ("b", 1): (operator.neg, "a"),
    "c": (operator.sub, ("b", 0), ("b", 1)),
}


def test_a_graph_is_computed_and_answers_in_the_nest_of_its_keys(memory: Any) -> None:
    assert compute(memory, FORK, "c") == 5
    assert compute(memory, FORK, ["c", [("b", 1), "a"], []]) == (5, (-2, 2), ())
    assert compute(memory, {"x": 1, "y": "x"}, ["y", "x", "x"]) == (1, 1, 1)
    assert compute(memory, FORK, []) == ()


def test_tasks_are_named_by_the_kind_of_their_key_and_have_the_options(memory: Any) -> None:
    compute(memory, FORK, "c", retries=2, priority=4, num_workers=9, bogus=True)
    assert [options.label for _, options in sent(memory)] == ["a", "b", "b", "c"]
    assert {(options.retries, options.priority) for _, options in sent(memory)} == {(2, 4)}
    with pytest.raises(UsageError, match="retries=-1"):
        compute(memory, FORK, "c", retries=-1)


def test_values_between_are_let_go(memory: Any) -> None:
    assert compute(memory, FORK, [("b", 1), "c"]) == (-2, 5)
    gc.collect()
    tasks = {call.task for call, _ in sent(memory)}
    wait_until(lambda: set(memory.peer.released) == tasks, DEADLINE, "every value to be released")


def test_a_value_that_many_need_is_sent_once(memory: Any) -> None:
    large = list(range(10_000))
    graph: dict[Any, Any] = {"x": large, "small": 3}
    graph |= {("y", number): (operator.getitem, "x", number) for number in range(5)}
    graph |= {("z", number): (operator.mul, ("y", number), "small") for number in range(5)}
    assert compute(memory, graph, [("z", number) for number in range(5)]) == (0, 3, 6, 9, 12)
    sizes = sorted(len(call.payload) for call, _ in sent(memory))
    assert sizes[-1] > 10_000
    assert sizes[-2] < 2_000
    memory.peer.sent.clear()
    assert compute(memory, {"x": large, "y": (len, "x")}, "y") == 10_000
    assert len(sent(memory)) == 1


def test_what_the_first_task_raised_is_raised_and_the_rest_is_cancelled(memory: Any) -> None:
    memory.do(setattr, memory.peer, "held", True)
    graph = {
        "bad": (fail, 3),
        "good": (inc, 1),
        "other": (inc, "good"),
        "sum": (operator.add, "bad", "other"),
    }
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            compute(memory, graph, ["bad", "sum"])
        except ArithmeticError as error:
            caught.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: memory.peer.waiting == 3, DEADLINE, "all tasks at the controller")
    memory.do(memory.peer.run, [options.label for _, options in sent(memory)].index("bad") + 1)
    asking.join(DEADLINE)
    [error] = caught
    assert str(error) == "no luck with 3"
    wait_until(lambda: memory.peer.waiting == 0, DEADLINE, "the rest to be withdrawn")
    assert any(isinstance(sent, m.CancelTasks) for sent in memory.peer.sent)


def test_what_cannot_be_computed_sends_nothing(memory: Any) -> None:
    with pytest.raises(UnknownKey):
        compute(memory, FORK, ["a", "nope"])
    with pytest.raises(NotSerializable, match="lock"):
        compute(memory, {"x": (len, [threading.Lock()])}, "x")
    assert sent(memory) == []


def test_futures_are_values_of_a_graph_but_not_those_of_another_cluster(memory: Any) -> None:
    made = memory.peer.submission().send(inc, (4,), {})
    graph = {"x": made, "y": (inc, "x"), "z": (sum, ["y", made])}
    assert compute(memory, graph, ["y", "z"]) == (6, 11)
    there = sys.modules["memory_peer"].Loop()
    try:
        there.peer.calls.cluster = "elsewhere"
        stranger = there.peer.submission().send(inc, (1,), {})
        before = len(sent(memory))
        with pytest.raises(UsageError, match=r"belongs to the cluster 'elsewhere' .* 'memory'"):
            compute(memory, {"x": stranger, "y": (inc, "x")}, "y")
        assert len(sent(memory)) == before
    finally:
        there.close()


def test_an_asynchronous_program_awaits_it(memory: Any) -> None:
    async def ask() -> Any:
        with pytest.raises(ArithmeticError, match="no luck with 1"):
            await get_async(memory.peer.submission(), {"x": (fail, 1)}, "x", {})
        return await get_async(memory.peer.submission(), FORK, ["c"], {})

    assert asyncio.run_coroutine_threadsafe(ask(), memory.loop).result(DEADLINE) == (5,)


# -- dask.annotate ----------------------------------------------------------------------------


def test_annotations_are_options_of_the_tasks_that_they_are_of(memory: Any) -> None:
    import dask

    with dask.annotate(priority=5, retries=2, custom="passed over"):
        first = dask.delayed(inc)(1, dask_key_name="first")
    with dask.annotate(resources={"gpu": 1}, retries=1):
        second = dask.delayed(inc)(first, dask_key_name="second")
    third = dask.delayed(inc)(second, dask_key_name="third")
    memory.peer.fleet.replace([engine(resources={"gpu": 1.0})])
    assert compute(memory, third.__dask_graph__(), "third", priority=1) == 4
    assert [(o.label, o.priority, o.retries, o.resources) for _, o in sent(memory)] == [
        ("first", 5, 2, {}),
        ("second", 1, 1, {"gpu": 1.0}),
        ("third", 1, 0, {}),
    ]


def test_annotations_reach_the_scheduler_through_compute(memory: Any) -> None:
    import dask

    def get(dsk: Any, keys: Any, **options: Any) -> Any:
        return compute(memory, dsk, keys, **options)

    with dask.annotate(priority=7):
        total = dask.delayed(sum)([dask.delayed(inc)(n) for n in range(3)])
    assert total.compute(scheduler=get) == 6
    assert {options.priority for _, options in sent(memory)} == {7}


@pytest.mark.parametrize(
    ("said", "on"),
    [
        ({"workers": ["1"]}, "1"),
        ({"workers": [0, 1]}, "0,1"),
        ({"workers": ["gpu", "here"]}, "gpu,here"),
        ({"workers": "gpu", "allow_other_workers": True}, ""),
    ],
)
def test_workers_are_targets(memory: Any, said: dict[str, Any], on: str) -> None:
    import dask

    memory.peer.fleet.replace([engine(number, tags=("gpu", "here")) for number in (0, 1)])
    with dask.annotate(**said):
        task = dask.delayed(inc)(1, dask_key_name="x")
    assert compute(memory, task.__dask_graph__(), "x") == 2
    assert [options.targets for _, options in sent(memory)] == [on]


def test_an_annotation_that_cannot_be_is_an_error_that_says_why(memory: Any) -> None:
    import dask

    with dask.annotate(resources={"gpu": 8}):
        task = dask.delayed(inc)(1, dask_key_name="x")
    with pytest.raises(NoEngines, match="no engine has the resources gpu=8"):
        compute(memory, task.__dask_graph__(), "x")
    with dask.annotate(retries=-1):
        task = dask.delayed(inc)(1, dask_key_name="x")
    with pytest.raises(UsageError, match="retries=-1"):
        compute(memory, task.__dask_graph__(), "x")


# -- callbacks of Dask ------------------------------------------------------------------------


class Diary(Callback):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def _start(self, dsk: Any) -> None:
        self.told.append(("start", set(dsk)))

    def _start_state(self, dsk: Any, state: Any) -> None:
        self.told.append(("start state", set(state["waiting"]) | set(state["ready"])))

    def _pretask(self, key: Any, dsk: Any, state: Any) -> None:
        assert key in state["running"]
        assert state["dependencies"][key] <= state["finished"] | {"one"}
        self.told.append(("pretask", key))

    def _posttask(self, key: Any, value: Any, dsk: Any, state: Any, worker: Any) -> None:
        assert key in state["finished"]
        self.told.append(("posttask", key, value))

    def _finish(self, dsk: Any, state: Any, failed: bool) -> None:
        self.told.append(("finish", failed, len(state["finished"])))


CHAIN = {
    "one": 1,
    "a": (inc, "one"),
    "b": (inc, "a"),
    "same": "b",
    "c": (operator.add, "same", "a"),
    "other": (inc, 9),
}


def test_callbacks_are_told_what_dasks_own_scheduler_tells(memory: Any) -> None:
    with Diary() as diary:
        assert compute(memory, CHAIN, ["c", "same"]) == (5, 3)
    with Diary() as theirs:
        assert dask_get(CHAIN, ["c", "same"]) == (5, 3)
    told, wanted = diary.told, [each for each in theirs.told if "other" not in each]
    assert told[0] == ("start", {"one", "a", "b", "same", "c"})
    assert told[1:] == wanted[1:]
    # Outside of its block it is told nothing, and chains are one call again.
    before = len(sent(memory))
    compute(memory, {"x": (inc, 1), "y": (inc, "x")}, "y")
    assert diary.told == told
    assert len(sent(memory)) == before + 1


def test_callbacks_are_told_of_a_failure_and_what_a_callback_raises_ends_it(memory: Any) -> None:
    with Diary() as diary, pytest.raises(ArithmeticError, match="no luck"):
        compute(memory, {"a": (inc, 1), "b": (fail, "a"), "c": (inc, "b")}, "c")
    assert diary.told[-1] == ("finish", True, 1)

    def refuse(key: Any, *_: Any) -> None:
        raise LookupError(f"not {key}")

    with Callback(pretask=refuse), pytest.raises(LookupError, match="not a"):
        compute(memory, {"a": (inc, 1)}, "a")
    assert Callback.active == set()


def test_callbacks_can_be_given_with_the_graph(memory: Any) -> None:
    diary = Diary()
    assert compute(memory, {"a": (inc, 1)}, "a", callbacks=[diary]) == 2
    assert [event[0] for event in diary.told] == ["start", "start state", "pretask", "posttask", "finish"]


def test_a_progress_bar_shows_the_end(memory: Any) -> None:
    shown = io.StringIO()
    with ProgressBar(out=shown):
        assert compute(memory, FORK, "c") == 5
    assert "[########################################] | 100% Completed" in shown.getvalue()


def test_dasks_cache_gives_what_it_has(memory: Any) -> None:
    kept: dict[Any, Any] = {}

    class Cache(Callback):
        def _start(self, dsk: Any) -> None:
            dsk.update({key: DataNode(key, kept[key]) for key in dsk.keys() & kept.keys()})

        def _posttask(self, key: Any, value: Any, dsk: Any, state: Any, worker: Any) -> None:
            kept[key] = value

    with Cache():
        assert compute(memory, FORK, "c") == 5
        assert kept == {"a": 2, ("b", 0): 3, ("b", 1): -2, "c": 5}
        del kept["c"]
        before = len(sent(memory))
        assert compute(memory, FORK, "c") == 5
    assert len(sent(memory)) == before + 1


def test_an_asynchronous_program_has_callbacks_too(memory: Any) -> None:
    diary = Diary()

    async def program() -> Any:
        return await get_async(memory.peer.submission(), CHAIN, "c", {"callbacks": [diary]})

    assert asyncio.run_coroutine_threadsafe(program(), memory.loop).result(DEADLINE) == 5
    assert [event[1] for event in diary.told if event[0] == "posttask"] == ["a", "b", "same", "c"]
    assert diary.told[-1] == ("finish", False, 4)
