"""Queues of what waits: order, fairness, and what taking out of the middle leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

from nbcluster.core.kinds import Kind
from nbcluster.core.means import Means
from nbcluster.core.queues import FairLine, Line, Turns
from nbcluster.core.targets import parse


@dataclass(eq=False)
class Item:
    """Something that waits."""

    name: str
    queued: bool = False


def line_of(*entries):
    line = Line()
    items = {}
    for rank, sequence in entries:
        items[rank, sequence] = Item(f"{rank}/{sequence}")
        line.push(rank, sequence, items[rank, sequence])
    return line, items


def test_a_line_is_in_order_of_rank_and_then_of_age_whatever_the_order_of_arrival():
    entries = [(0, 3), (0, 5), (-5, 4), (0, 1), (1, 2), (-5, 6), (0, 4)]
    line, _ = line_of(*entries)
    expected = [f"{rank}/{sequence}" for rank, sequence in sorted(entries)]
    assert [item.name for item in line] == expected
    assert [line.pop().name for _ in entries] == expected
    assert not line


def test_what_is_taken_out_of_the_middle_does_not_get_its_turn():
    line, items = line_of(*[(0, n) for n in range(10)], (-1, 20), (-1, 19))
    for key in [(0, 0), (0, 5), (-1, 19)]:
        line.discard(items[key])
    assert len(line) == 9
    assert [line.pop().name for _ in range(9)] == ["-1/20", *(f"0/{n}" for n in (1, 2, 3, 4, 6, 7, 8, 9))]
    assert line.head() is None


def test_what_is_taken_out_is_not_kept_for_ever():
    line, items = line_of(*[(0, n) for n in range(2000)], *[(-1, -n) for n in range(2000)])
    for key in list(items)[100:]:
        line.discard(items[key])
    kept = len(line._fresh) + len(line._back)
    assert kept <= 2 * 100 + 64
    assert [item.name for item in line] == [f"0/{n}" for n in range(100)]


def fair(turns, **clients):
    line = FairLine(turns)
    for client, count in clients.items():
        for n in range(count):
            line.push(client, 0, n, Item(f"{client}{n}"))
    return line


def test_clients_take_turns():
    line = fair(Turns(), ann=4, bob=2)
    assert [line.pop().name for _ in range(6)] == ["ann0", "bob0", "ann1", "bob1", "ann2", "ann3"]


def test_priority_goes_before_fairness():
    line = fair(Turns(), ann=1, bob=1)
    for n in range(2):
        line.push("ann", -1, 10 + n, Item(f"urgent{n}"))
    assert [line.pop().name for _ in range(4)] == ["urgent0", "urgent1", "bob0", "ann0"]


def test_a_newcomer_gets_no_burst_for_its_absence():
    line = fair(Turns(), ann=100)
    for _ in range(50):
        line.pop()
    for n in range(3):
        line.push("bob", 0, 1000 + n, Item(f"bob{n}"))
    assert [line.pop().name[:3] for _ in range(6)] == ["ann", "bob"] * 3


def test_turns_count_over_several_lines_and_are_forgotten_with_the_last():
    turns = Turns()
    one, two = fair(turns, ann=3), fair(turns, ann=2, bob=2)
    one.pop()
    one.pop()
    assert [two.pop().name for _ in range(3)] == ["bob0", "bob1", "ann0"]
    two.pop()
    one.pop()
    assert turns.served == {}


def test_what_waits_alone_keeps_its_turn_when_others_come():
    turns = Turns()
    one, two = fair(turns, ann=1), fair(turns, bob=3)
    assert turns.served == {"bob": 0}
    one.push("ann", -1, 9, Item("urgent"))
    assert one.key() < two.key()
    assert one.goes_before("ann", 0, 5)
    assert one.by_client().keys() == {"ann"}
    assert [one.pop().name for _ in range(2)] == ["urgent", "ann0"]
    assert (len(one), set(turns.served)) == (0, {"bob"})


def test_what_waits_alone_can_be_taken_out():
    turns = Turns()
    line, item = FairLine(turns), Item("only")
    line.push("ann", 0, 1, item)
    line.discard("ann", item)
    assert (len(line), list(line), item.queued, turns.served) == (0, [], False, {})
    line.push("bob", 0, 2, item)
    assert line.pop() is item


def test_the_engine_with_least_before_it_is_offered_first_and_offers_do_not_pile_up():
    kind = Kind(("", frozenset(), False, 0), parse(""), {}, False, Turns())
    kind.engines = dict.fromkeys(range(3))
    for n in range(1000):
        kind.offer(float(n), n % 3)
    assert len(kind.offers()) <= 2 * 3 + 17
    assert [kind.next_offer() for _ in range(3)] == [(0.0, 0), (1.0, 1), (2.0, 2)]


def test_a_mean_follows_what_a_function_does_and_few_are_remembered():
    means = Means()
    mean = means.of("f")
    assert mean.seconds == 1.0
    mean.learn(0.2)
    means.of("f").learn(0.4)
    assert abs(mean.seconds - 0.3) < 1e-9
    for _ in range(200):
        mean.learn(5.0)
    assert mean.seconds > 4.9
    mean.learn_at_least(1.0)
    means.of("unknown").learn_at_least(0.05)
    assert mean.seconds > 4.9
    assert means.of("unknown").seconds == 1.0
    for n in range(5000):
        means.of(f"other{n}").learn(0.1)
    assert means.of("f").seconds == 1.0
    assert abs(means.of("other4999").seconds - 0.1) < 1e-9
