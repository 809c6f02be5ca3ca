"""What the controller keeps of calls, and that it keeps nothing when nobody needs it."""

from __future__ import annotations

import weakref

import pytest

from nbcluster.controller import functions as functions_module
from nbcluster.controller.functions import Functions, SentFunctions
from nbcluster.controller.orders import Refusal
from nbcluster.controller.payloads import HELD, OVERHEAD, Payloads, Values
from nbcluster.ids import ClientId, Incarnation, TaskId
from nbcluster.protocol.calls import CallOptions, CallSpec, SubmitCalls

ME, YOU = ClientId("me"), ClientId("you")


def spec(task: str, function: str = "f", payload: bytes = b"", sizes: tuple[int, ...] = ()) -> CallSpec:
    return CallSpec(TaskId(task), 0, function, payload, sizes)


def order(*calls: CallSpec, functions: dict[str, bytes] | None = None) -> SubmitCalls:
    return SubmitCalls((CallOptions(label="fit"),), calls, {"f": b"code"} if functions is None else functions)


def test_arguments_are_kept_until_forgotten_and_every_byte_is_counted() -> None:
    functions = Functions()
    payloads = Payloads(functions)
    taken, rejected = payloads.keep(
        ME,
        "mine",
        order(spec("a", payload=b"123"), spec("b", sizes=(2, 1)), spec("c", sizes=(4,))),
        [b"xx", b"y", b"zzzz"],
        now=7.0,
        tallies=[None],
    )
    assert ([call.task for call in taken], rejected) == (["a", "b", "c"], [])
    assert payloads.nbytes == 3 + 3 + 4 + 3 * OVERHEAD
    kept = payloads.get(TaskId("b"))
    assert kept is not None
    assert (list(kept.frames), kept.owner, kept.submitted, kept.run.label) == (
        [b"xx", b"y"],
        "mine",
        7.0,
        "fit",
    )
    payloads.forget([TaskId("a"), TaskId("b"), TaskId("never")])
    payloads.forget([TaskId("a"), TaskId("c")])
    assert (len(payloads), payloads.nbytes) == (0, 0)
    functions.forget_client(ME)
    assert functions.nbytes == 0


@pytest.mark.parametrize(
    ("calls", "buffers", "why"),
    [
        ([spec("a", sizes=(2,))], [], "cut off"),
        ([spec("a", sizes=(2,))], [b"x"], "cut off"),
        ([spec("a")], [b"x"], "cut off"),
        ([spec("a"), spec("a")], [], "not distinct"),
        ([spec("known")], [], "in use"),
        ([CallSpec(TaskId("a"), 1, "f")], [], "options that the message does not have"),
    ],
)
def test_a_message_that_contradicts_itself_leaves_nothing(
    calls: list[CallSpec], buffers: list[bytes], why: str
) -> None:
    functions = Functions()
    payloads = Payloads(functions)
    payloads.keep(ME, "", order(spec("known")), [], 0.0, [None])
    before = payloads.nbytes, functions.nbytes, len(payloads)
    with pytest.raises(Refusal, match=why):
        payloads.keep(ME, "", order(*calls, functions={"g": b"other"}), buffers, 0.0, [None])
    assert (payloads.nbytes, functions.nbytes, len(payloads)) == before


def test_a_function_that_is_not_known_rejects_its_call_alone() -> None:
    payloads = Payloads(Functions())
    taken, [(task, outcome)] = payloads.keep(ME, "", order(spec("a"), spec("b", "g")), [], 0.0, [None])
    assert ([call.task for call in taken], task) == (["a"], "b")
    assert "'fit'" in outcome.message


def test_a_function_lives_as_long_as_a_call_or_the_client_that_sent_it() -> None:
    functions = Functions()
    payloads = Payloads(functions)
    payloads.keep(ME, "", order(spec("a")), [], 0.0, [None])
    payloads.forget([TaskId("a")])
    assert functions["f"] == b"code"
    payloads.keep(YOU, "", order(spec("b")), [], 0.0, [None])
    functions.forget_client(ME)
    functions.forget_client(YOU)
    assert "f" in functions
    payloads.forget([TaskId("b")])
    assert "f" not in functions


def test_what_a_client_sent_long_ago_is_forgotten_by_size_but_never_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(functions_module, "FUNCTIONS_KEPT", 100)
    functions = Functions()
    payloads = Payloads(functions)
    for number in range(5):
        name = f"f{number}"
        payloads.keep(ME, "", order(spec(name, name), functions={name: b"x" * 40}), [], 0.0, [None])
        if number:
            payloads.forget([TaskId(name)])
    assert [f"f{number}" in functions for number in range(5)] == [True, False, True, True, True]
    payloads.keep(ME, "", order(spec("big", "big"), functions={"big": b"x" * 1000}), [], 0.0, [None])
    payloads.forget([TaskId("big")])
    assert "big" in functions
    assert functions.nbytes == 40 * 3 + 1000  # f0 runs, f3 and f4 are young


def test_an_engine_is_sent_a_function_once_and_told_to_forget_what_it_does_not_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(functions_module, "SENT_FUNCTIONS", 2)
    sent = SentFunctions()
    assert sent.begin("f", 1)
    assert not sent.begin("f", 1)
    sent.end("f")
    assert sent.begin("g", 1)
    sent.end("g")
    assert sent.surplus() == ()
    assert sent.begin("h", 1)
    assert sent.surplus() == ("g",)  # f still has a call there
    sent.end("f")
    assert sent.begin("g", 1)
    assert sent.surplus() == ("f",)


def test_an_engine_forgets_by_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions_module, "SENT_BYTES", 100)
    sent = SentFunctions()
    for name in ("f", "g", "h"):
        assert sent.begin(name, 60)
        sent.end(name)
    assert sent.surplus() == ("f", "g")
    assert sent.surplus() == ()


def test_small_values_are_here_and_large_ones_where_they_were_made() -> None:
    values = Values()
    here, there, lost = TaskId("here"), TaskId("there"), TaskId("lost")
    values.keep(here, b"value")
    values.leave(there, Incarnation(1))
    values.leave(lost, Incarnation(2))
    assert (values.here(here), values.here(there)) == (b"value", None)
    assert (values.where(here), values.where(there)) == (None, 1)
    values.lose(Incarnation(2))
    assert values.where(lost) is None
    values.leave(here, Incarnation(1))  # it ran again
    assert (values.here(here), values.nbytes) == (None, 0)
    values.forget([here, there, lost])
    assert (values.where(here), values.where(there)) == (None, None)


def test_what_says_where_a_value_is_shared_is_known_as_long_as_the_value_is_there() -> None:
    values = Values()
    one, other = TaskId("one"), TaskId("other")
    for task, engine in ((one, 1), (other, 2)):
        values.leave(task, Incarnation(engine), b"envelope")
    assert values.shared(one) == b"envelope"
    assert values.here(one) is None
    assert values.nbytes > 2 * len(b"envelope")
    values.lose(Incarnation(2))
    assert values.shared(other) is None
    values.leave(one, Incarnation(1))  # it ran again, and is not shared
    assert (values.shared(one), values.where(one), values.nbytes) == (None, 1, 0)
    values.leave(one, Incarnation(1), b"envelope")
    values.forget([one])
    assert (values.shared(one), values.nbytes) == (None, 0)


def test_a_recipe_is_counted_apart_and_goes_back_when_its_call_runs_again() -> None:
    functions = Functions()
    payloads = Payloads(functions)
    whole = bytearray(b"xxyy")
    payloads.keep(ME, "", order(spec("a", payload=b"123", sizes=(2,))), [memoryview(whole)[:2]], 0.0, [None])
    kept = payloads.get(TaskId("a"))
    assert kept is not None
    assert payloads.cost(kept) == (5, len(b"code"))
    payloads.retire([TaskId("a")])
    assert payloads.get(TaskId("a")) is None
    assert (payloads.nbytes, payloads.recipe_nbytes) == (0, 5 + OVERHEAD)
    assert [type(frame) for frame in kept.frames] == [bytes]  # not the message that it came in
    with pytest.raises(Refusal, match="in use"):
        payloads.keep(ME, "", order(spec("a")), [], 0.0, [None])
    payloads.revive([TaskId("a")])
    assert payloads.get(TaskId("a")) is kept
    assert (payloads.nbytes, payloads.recipe_nbytes) == (5 + OVERHEAD, 0)
    payloads.retire([TaskId("a")])
    payloads.forget([TaskId("a")])
    functions.forget_client(ME)
    assert (payloads.nbytes, payloads.recipe_nbytes, functions.nbytes) == (0, 0, 0)


def test_shared_arguments_are_held_from_when_they_are_counted_until_their_recipe_goes() -> None:
    held: weakref.WeakSet[Held] = weakref.WeakSet()
    gone = b"gone"

    def hold(envelope: bytes) -> Held | None:
        if envelope == gone:
            return None
        held.add(made := Held(envelope))
        return made

    payloads = Payloads(Functions(), hold)
    large = 10 << 20
    specs = (
        CallSpec(TaskId("arguments"), 0, "f", b"place", shared=large),
        CallSpec(TaskId("put"), 0, "f", b"pickle", shared=large, envelope=b"in it"),
        CallSpec(TaskId("late"), 0, "f", gone, shared=large),
    )
    payloads.keep(ME, "", order(*specs), [], 0.0, [None])
    costs = {
        name: payloads.cost(kept)
        for name in ("arguments", "put", "late")
        if (kept := payloads.get(TaskId(name)))
    }
    assert costs == {"arguments": (5 + large, 4), "put": (6 + HELD, 4), "late": (-1, 0)}
    assert {each.envelope for each in held} == {b"place", b"in it"}
    payloads.retire([TaskId("arguments"), TaskId("put")])
    payloads.forget([TaskId("put"), TaskId("late")])
    assert {each.envelope for each in held} == {b"place"}


class Held:
    """Stands for what is held."""

    def __init__(self, envelope: bytes) -> None:
        self.envelope = envelope


def test_why_a_value_was_lost_is_known_until_it_is_forgotten() -> None:
    values = Values()
    values.leave(TaskId("a"), Incarnation(1))
    values.mourn(TaskId("a"), "its engine was killed")
    assert values.where(TaskId("a")) is None
    assert values.why_lost(TaskId("a")) == "its engine was killed"
    values.forget([TaskId("a")])
    assert values.why_lost(TaskId("a")) == ""
