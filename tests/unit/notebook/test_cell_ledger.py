"""Which cells come after which, by the names that they read and write, and which are stale: tables and a property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcluster.errors import CycleError
from nbcluster.notebook.cellledger import CellLedger, CellSent, Place
from nbcluster.notebook.dataflow.cellnames import CellNames, cell_names

EVERYWHERE = (0, 1)


class Notebook:
    """Sends cells; nothing of them ends unless told."""

    def __init__(self):
        self.ledger = CellLedger()
        self.entries = {}
        self.ended = set()
        self.count = 0

    def edges(self, code, name="", on=EVERYWHERE, task=True, namespace=""):
        return self.ledger.edges(*self.asked(code, name, on, task, namespace))

    def asked(self, code, name, on, task, namespace):
        self.count += 1
        place = Place("c", namespace, on)
        cell = CellSent(f"cell [{self.count}]", name, name, place, cell_names(code), code, task)
        is_open = {entry: entry not in self.ended for entry in self.entries.values()}
        return cell, EVERYWHERE, is_open

    def send(self, code, name="", on=EVERYWHERE, task=True, namespace="", ran=None):
        asked = self.asked(code, name, on, task, namespace)
        edges = self.ledger.edges(*asked)
        entry = self.ledger.add(asked[0], edges, on if ran is None else ran, 0.0)
        self.entries[name or code] = entry
        return edges

    def names(self, found):
        return {entry.cell.name: names for entry, names in found.items()}


@pytest.fixture
def book():
    return Notebook()


@pytest.mark.parametrize(
    ("code", "reads", "writes"),
    [
        ("y = x + 1", "x", "y"),
        ("x += 1", "x", "x"),
        ("x[0] = y", "x y", "x"),
        ("x.a.b = y", "x y", "x"),
        ("del x", "x", "x"),
        ("rows.append(1)", "rows", "rows"),
        ("model.fit(rows)", "model rows", "model"),
        ("best = model.fit(rows)", "model rows", "best model"),
        ("last = rows.pop()", "rows", "last rows"),
        ("df.head()", "df", ""),
        ("df.load()\ndf.head()", "df", "df"),
        ("total = df.sum()", "df", "total"),
        ("b = a[1:]\nb[0] = 1", "a", "a b"),
        ("import numpy as np\nnp.random.shuffle(a)", "a", "a np"),
        ("def f(v):\n    return v + k\nz = f(1)", "k", "f z"),
        ("print(x)", "x", ""),
        ("[i for i in rows]", "rows", ""),
        ("get_ipython().run_line_magic('time', 'y = x + 1')", "x", "y"),
        ("not python at all", "", ""),
    ],
)
def test_what_a_cell_reads_and_writes(code, reads, writes):
    found = cell_names(code)
    assert (set(found.reads), found.writes) == (set(reads.split()), set(writes.split()))
    assert not found.unknown


@pytest.mark.parametrize("code", ["from m import *", "exec('x = 1')", "if y:\n    globals()['x'] = 1"])
def test_what_may_touch_any_name(code):
    assert cell_names(code).unknown.startswith("line ")


def test_a_reader_comes_after_the_writer(book):
    book.send("x = 1", "a")
    book.send("z = 1", "other")
    assert book.names(book.edges("y = x").after) == {"a": {"x"}}


def test_the_last_writer_counts(book):
    book.send("x = 1", "a")
    book.send("x = 2", "b")
    assert book.names(book.edges("x").after) == {"b": {"x"}}


def test_a_plain_cell_in_between_takes_its_place(book):
    book.send("x = 1", "a")
    book.send("x = 2", "plain", task=False)
    edges = book.edges("x")
    assert not edges.after
    assert [entry.cell.name for entry in edges.uses.values()] == ["plain"]


def test_a_plain_cell_needs_no_success_of_others(book):
    book.send("x = 1", "a")
    assert not book.edges("x", task=False).after


def test_other_engines_and_namespaces_are_other_names(book):
    book.send("x = 1", "a", on=(0,))
    assert not book.edges("x", on=(1,)).after
    assert not book.edges("x", namespace="exp", on=(0,)).after
    assert book.names(book.edges("x").after) == {"a": {"x"}}


def test_each_engine_has_its_own_writer(book):
    book.send("x = 1", "a", on=(0,))
    book.send("x = 2", "b", on=(1,))
    assert book.names(book.edges("x").after) == {"a": {"x"}, "b": {"x"}}


def test_what_waits_is_not_overtaken(book):
    book.send("x = 1", "a", on=(0,))
    book.send("y = x", "b", on=(0,))
    assert book.names(book.edges("x = 3", on=(0,)).behind) == {"b": {"x"}}
    assert book.names(book.edges("y = 3", on=(0,), task=False).behind) == {"b": {"y"}}
    assert book.names(book.edges("print(y)", on=(0,), task=False).behind) == {"b": {"y"}}
    assert not book.edges("z = 3", on=(0,)).behind
    assert not book.edges("x = 3", on=(1,)).behind
    assert book.names(book.edges("exec(z)", on=(0,)).behind) == {"b": {"any name"}}
    book.ended.add(book.entries["b"])
    assert not book.edges("x = 3", on=(0,)).behind


def test_one_for_any_goes_where_its_name_is(book):
    book.send("x = 1", "a", on=None, ran=())
    book.entries["a"].engines = None
    edges = book.edges("y = x", on=None)
    assert edges.near is book.entries["a"]
    assert not edges.sent
    book.ledger.began(book.entries["a"], 1)
    edges = book.edges("y = x", on=None)
    assert (edges.near, edges.engine, edges.sent) == (None, 1, {})


def test_names_of_two_places_come_together(book):
    book.send("x = 1", "a", on=None)
    book.send("y = 1", "b", on=None)
    book.ledger.began(book.entries["a"], 0)
    book.ledger.began(book.entries["b"], 1)
    edges = book.edges("x + y", on=None)
    assert (edges.engine, edges.sent) == (1, {"x": book.entries["a"]})
    assert book.names(edges.after) == {"a": {"x"}, "b": {"y"}}


def test_what_is_everywhere_binds_no_one(book):
    book.send("x = 1", "a")
    edges = book.edges("x", on=None)
    assert (edges.near, edges.engine, edges.sent) == (None, None, {})
    book.send("x = 2", "b", on=(0,))
    edges = book.edges("x", on=None)
    assert (edges.engine, edges.sent) == (0, {})


def test_names_are_sent_to_engines_that_lack_them(book):
    book.send("x = 1", "a", on=None)
    assert book.edges("x").sent == {"x": book.entries["a"]}
    assert not book.edges("x", task=False).sent
    book.send("x = 5", "own")
    assert not book.edges("x").sent, "an engine's own name is its own"


def test_a_cell_that_runs_again_makes_its_users_stale(book):
    book.send("x = 1", "a")
    book.send("y = x", "b")
    book.send("z = y", "c")
    book.send("w = 1", "d")
    stale = {name: book.ledger.stale_text(entry, "14:02") for name, entry in book.entries.items()}
    assert not any(stale.values())
    old = book.entries["a"]
    book.send("x = 2", "a")
    text = "stale: cell [5] `a` ran again since (14:02)"
    stale = {name: book.ledger.stale_text(entry, "14:02") for name, entry in book.entries.items()}
    assert stale == {"a": "", "b": text, "c": text, "d": ""}
    assert book.ledger.users(old) == [book.entries["b"], book.entries["c"]]
    old_c = book.entries["c"]
    book.send("y = x", "b")
    assert book.ledger.stale(old_c) is not None
    book.send("z = y", "c")
    assert not any(book.ledger.stale(entry) for entry in book.entries.values())


def test_cells_that_feed_each_other_may_be_run_in_turn(book):
    book.send("y = 0", "start")
    book.send("x = y", "a")
    book.send("y = x", "b")
    assert book.names(book.send("x = y", "a").after) == {"b": {"y"}}
    assert book.ledger.stale(book.entries["a"]) is None
    assert book.ledger.stale(book.entries["b"]) is book.entries["a"]


def test_cycles_of_after_are_named(book):
    book.ledger.declare("b", ["a"])
    book.ledger.declare("c", ["b"])
    with pytest.raises(CycleError, match="a comes after c comes after b comes after a"):
        book.ledger.declare("a", ["c"])
    book.ledger.declare("a", ["other"])


def test_many_cells_are_forgotten_but_not_who_wrote_a_name(book, monkeypatch):
    monkeypatch.setattr("nbcluster.notebook.cellledger.KEPT", 10)
    book.send("kept = 1", "keeper")
    for number in range(100):
        book.send("x = 1", f"n{number}" if number == 3 else "")
    assert len(book.ledger._entries) <= 21 + 2
    assert book.names(book.edges("kept").after) == {"keeper": {"kept"}}


NAMES = st.sampled_from("xyz")
CELLS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.frozensets(NAMES, max_size=2),
        st.frozensets(NAMES, max_size=2),
        st.sampled_from([(0,), (1,), (0, 1)]),
    ),
    max_size=12,
)


@given(CELLS)
def test_edges_are_those_of_a_run_in_order(cells):
    """An engine that runs the cells in their order tells who wrote what each reads; stale is who read an old one."""
    ledger = CellLedger()
    values = {}
    sent, read = [], {}
    for name, reads, writes, on in cells:
        names = CellNames(tuple(sorted(reads)), writes)
        cell = CellSent(name, name, name, Place("c", "", on), names, "", True)
        edges = ledger.edges(cell, EVERYWHERE, {})
        wanted = {values[engine, each] for engine in on for each in reads if (engine, each) in values}
        assert set(edges.after) == wanted
        entry = ledger.add(cell, edges, on, 0.0)
        sent.append(entry)
        read[entry] = wanted
        values |= {(engine, each): entry for engine in on for each in writes}
    for entry, used in read.items():
        reached, pending = set(), list(used)
        while pending:
            each = pending.pop()
            if each not in reached:
                reached.add(each)
                pending += read[each]
        again = {
            next((e for e in sent[sent.index(r) + 1 :] if e.cell.name == r.cell.name), entry) for r in reached
        }
        # Of each name one writer is remembered, which is all of them but when its engines have different ones.
        if all(len(used) <= 1 for used in read.values()):
            assert (ledger.stale(entry) is not None) == bool(again - reached - {entry})
