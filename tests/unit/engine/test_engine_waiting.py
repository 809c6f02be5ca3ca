"""Calls that wait: their order, who is taken back, and what their inputs still lack."""

from __future__ import annotations

from nbcluster.engine.store import Kept, Store
from nbcluster.engine.waiting import CallQueue, Waiting
from nbcluster.payload.envelopes import SegmentRef, seal
from nbcluster.protocol.tasks import CallOrder, CallRef, Input, RunOptions


def waiting(task: str, *inputs: Input, attempt: int = 1) -> Waiting:
    return Waiting(CallOrder(task, attempt, 0, "f", inputs=inputs), RunOptions(), ())


def taken(queue: CallQueue) -> list[str]:
    found = []
    while (call := queue.take()) is not None:
        found.append(call.name)
    return found


def test_calls_begin_in_order_in_the_same_step_as_they_are_taken() -> None:
    begun: list[str] = []
    queue = CallQueue(begun.append)
    queue.add([waiting("a"), waiting("b")])
    queue.add([waiting("a", attempt=2)])
    assert queue.is_ready()
    assert taken(queue) == begun == ["a/1", "b/1", "a/2"]
    assert not queue.is_ready()
    assert len(queue) == 0


def test_only_the_named_attempts_are_withdrawn() -> None:
    queue = CallQueue(lambda name: None)
    queue.add([waiting("a"), waiting("b"), waiting("c")])
    refs = [CallRef("b", 1), CallRef("c", 2), CallRef("nobody", 1)]
    assert queue.withdraw(refs) == [CallRef("b", 1)]
    assert queue.withdraw(refs) == []
    assert taken(queue) == ["a/1", "c/1"]


def test_a_call_and_those_behind_it_wait_for_its_inputs() -> None:
    queue = CallQueue(lambda name: None)
    first = waiting("a", Input("x"), Input("y"), Input("z", b"inline"), Input("w", here=True))
    assert queue.add([first, waiting("b")]) == ["x", "y"]
    queue.came("x", Kept(b"1"))
    assert taken(queue) == []
    assert not queue.is_ready()
    queue.came("y", "lost")
    queue.came("y", Kept(b"too late"))
    assert queue.take() is first
    assert queue.inputs_of(first) == {"x": Kept(b"1"), "y": "lost"}
    assert queue.inputs_of(first) == {}
    assert taken(queue) == ["b/1"]


def test_a_value_is_asked_for_once_and_kept_while_somebody_waits_for_it() -> None:
    queue = CallQueue(lambda name: None)
    first, second, third = (waiting(task, Input("x")) for task in "abc")
    assert queue.add([first, second]) == ["x"]
    queue.came("x", Kept(b"1"))
    assert queue.add([third]) == []
    assert third.lacks == 0
    for call in (first, second, third):
        assert queue.take() is call
        assert queue.inputs_of(call) == {"x": Kept(b"1")}
    assert queue.add([waiting("d", Input("x"))]) == ["x"]


def test_a_call_that_names_an_input_twice_lacks_it_once() -> None:
    queue = CallQueue(lambda name: None)
    call = waiting("a", Input("x"), Input("x"))
    assert queue.add([call]) == ["x"]
    queue.came("x", Kept(b"1"))
    assert queue.take() is call


def test_what_is_withdrawn_frees_its_inputs() -> None:
    queue = CallQueue(lambda name: None)
    queue.add([waiting("a", Input("x"))])
    queue.withdraw([CallRef("a", 1)])
    queue.came("x", Kept(b"1"))
    assert queue.add([waiting("b", Input("x"))]) == ["x"]


def test_a_call_sent_ahead_begins_when_its_input_was_made() -> None:
    queue = CallQueue(lambda name: None)
    second = waiting("b", Input("a", made=1))
    assert queue.add([waiting("a"), second, waiting("c", Input("b", made=1))]) == []
    assert taken(queue) == ["a/1"]
    queue.ended("a/1", Kept(b"1"))
    assert taken(queue) == ["b/1"]
    assert queue.inputs_of(second) == {"a": Kept(b"1")}
    queue.ended("b/1", Kept(b"2"))
    assert taken(queue) == ["c/1"]
    assert queue.take_hopeless() == ()


def test_what_was_sent_ahead_of_one_that_makes_nothing_is_given_back_and_never_begins() -> None:
    queue = CallQueue(lambda name: None)
    queue.add(
        [waiting("a"), waiting("b", Input("a", made=1)), waiting("c", Input("b", made=1)), waiting("d")]
    )
    assert taken(queue) == ["a/1"]
    queue.ended("a/1", None)
    assert queue.take_hopeless() == (CallRef("b", 1), CallRef("c", 1))
    assert taken(queue) == ["d/1"]
    assert queue.take_hopeless() == ()


def test_what_was_sent_ahead_leaves_with_what_is_taken_back() -> None:
    queue = CallQueue(lambda name: None)
    queue.add([waiting("a"), waiting("b", Input("a", made=1)), waiting("c", Input("b", made=1))])
    assert queue.withdraw([CallRef("a", 1), CallRef("b", 1)]) == [CallRef("a", 1)]
    assert queue.take_hopeless() == (CallRef("b", 1), CallRef("c", 1))
    assert len(queue) == 0


def test_a_call_that_was_on_its_way_when_its_input_was_made_finds_it() -> None:
    store = Store()
    queue = CallQueue(lambda name: None, store.get)
    queue.add([waiting("a"), waiting("big"), waiting("failed")])
    assert taken(queue) == ["a/1", "big/1", "failed/1"]
    queue.ended("a/1", Kept(b"1"))
    large = Kept(b"2" * 10_000)
    store.keep("big", large)
    queue.ended("big/1", large)
    queue.ended("failed/1", None)
    late = [
        waiting("b", Input("a", made=1), Input("big", made=1)),
        waiting("c", Input("failed", made=1)),
        waiting("d", Input("a", made=2)),
    ]
    assert queue.add(late) == []
    assert queue.take_hopeless() == (CallRef("c", 1), CallRef("d", 1))
    assert taken(queue) == ["b/1"]
    assert queue.inputs_of(late[0]) == {"a": Kept(b"1"), "big": large}


def test_the_store_counts_what_it_keeps() -> None:
    store = Store()
    store.keep("a", Kept(b"12345", (b"678", memoryview(b"90"))))
    store.keep("b", Kept(b"1"))
    assert (len(store), store.nbytes) == (2, 11)
    value = store.get("a")
    assert value is not None
    assert (value.nbytes, value.sizes) == (10, (3, 2))
    store.keep("a", Kept(b"1"))
    assert store.nbytes == 2
    store.drop(["a", "nobody", "a"])
    assert (store.get("a"), len(store), store.nbytes) == (None, 1, 1)


def test_a_value_that_lies_in_shared_memory_is_held_and_one_that_does_not_any_more_is_asked_for() -> None:
    here, gone = (seal(SegmentRef(name, b"", ((0, 1),), b"")) for name in ("e1-0", "e1-1"))
    held = Kept(here, lease=object(), shared=1)
    queue = CallQueue(lambda name: None, shared={here: held, gone: None}.get)
    call = waiting("a", Input("x", here), Input("y", gone))
    assert queue.add([call]) == ["y"]
    assert queue.take() is None
    queue.came("y", Kept(b"1"))
    assert queue.take() is call
    assert queue.inputs_of(call) == {"x": held, "y": Kept(b"1")}


def test_shared_memory_is_not_kept_for_calls_that_may_come() -> None:
    queue = CallQueue(lambda name: None)
    queue.add([waiting("a"), waiting("b")])
    for call, value in (("a", Kept(b"envelope", lease=object(), shared=1 << 20)), ("b", Kept(b"small"))):
        queue.take()
        queue.ended(f"{call}/1", value)
    queue.add([waiting("c", Input("b", made=1)), waiting("d", Input("a", made=1))])
    assert queue.take_hopeless() == (CallRef("d", 1),)
    assert taken(queue) == ["c/1"]


def test_of_those_that_take_a_value_the_last_has_it_for_itself() -> None:
    queue = CallQueue(lambda name: None)
    calls = [waiting(task, Input("x")) for task in "abc"]
    queue.add(calls)
    assert queue.is_awaited("x")
    queue.came("x", Kept(b"1", (memoryview(bytearray(b"buffer")),)))
    assert not queue.is_awaited("x")
    readonly = []
    for call in calls:
        assert queue.take() is call
        kept = queue.inputs_of(call)["x"]
        assert isinstance(kept, Kept)
        assert kept.payload == b"1"
        (buffer,) = map(memoryview, kept.buffers)
        assert buffer == b"buffer"
        readonly.append(buffer.readonly)
    assert readonly == [True, True, False]


def test_calls_whose_input_is_lost_are_given_back_with_what_was_sent_ahead_of_them() -> None:
    queue = CallQueue(lambda name: None)
    queue.add(
        [waiting("a", Input("x")), waiting("b", Input("a", made=1)), waiting("c"), waiting("d", Input("x"))]
    )
    queue.lost("x")
    queue.lost("never asked for")
    assert set(queue.take_hopeless()) == {CallRef("a", 1), CallRef("b", 1), CallRef("d", 1)}
    assert taken(queue) == ["c/1"]
    assert queue.add([waiting("a", Input("x"), attempt=2)]) == ["x"]  # it is asked for anew
    queue.came("x", Kept(b"1"))
    queue.lost("x")
    assert taken(queue) == ["a/2"]


def test_while_memory_is_short_only_calls_of_our_own_begin() -> None:
    queue = CallQueue(lambda name: None)
    quiet = Waiting(CallOrder("q", 1, 0, "f"), RunOptions(quiet=True), ())
    queue.add([quiet, waiting("a"), waiting("b", Input("x"))])
    queue.paused = True
    assert queue.take() is quiet
    assert queue.take() is None
    assert not queue.is_ready()
    assert queue.take_deeper(-1) is None
    assert queue.stalled() == [CallRef("a", 1)], "the other has not what it needs"

    queue.paused = False
    assert queue.stalled() == []
    assert taken(queue) == ["a/1"]
