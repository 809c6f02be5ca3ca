"""What functions of a notebook see when they run on an engine: a table of all that API.md promises of names."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import pytest

from nbcluster.payload.values import dump_value


@dataclass(frozen=True)
class Case:
    """One row: cells of the notebook and of the engine, a call, what comes back, what the engine then has."""

    title: str
    notebook: str
    call: str
    expected: Any
    engine: str = ""
    left: frozenset[str] = frozenset()


TABLE = [
    Case("a name on the engine", "def f(): return x", "f", 2, engine="x = 2", left=frozenset({"x"})),
    Case("a name in the notebook", "x = 1\ndef f(): return x", "f", 1),
    Case("a name in both", "x = 1\ndef f(): return x", "f", 2, engine="x = 2", left=frozenset({"x"})),
    Case("a name that hides a builtin", "def len(x): return 42\ndef f(): return len([])", "f", 42),
    Case("a builtin", "def f(): return len([1, 2])", "f", 2),
    Case(
        "global x is written in the namespace",
        "def f():\n  global x\n  x = 5",
        "f",
        None,
        left=frozenset({"x"}),
    ),
    Case(
        "global x is read from the notebook, then written in the namespace",
        "x = 1\ndef f():\n  global x\n  x += 1\n  return x",
        "f",
        2,
        left=frozenset({"x"}),
    ),
    Case("an attribute is no name", "path = 1\nimport os\ndef f(): return os.path.sep", "f", "/"),
    Case("a module that only the notebook imported", "import math\ndef f(): return math.floor(1.5)", "f", 1),
    Case(
        "a submodule reached by its package",
        "import xml.dom.minidom\ndef f(): return xml.dom.minidom.__name__",
        "f",
        "xml.dom.minidom",
    ),
    Case("a closure", "def make(n):\n  def f(): return n\n  return f", "make(7)", 7),
    Case(
        "closures that share a variable",
        "def make():\n  n = 0\n  def add():\n    nonlocal n\n    n += 1\n  def f():\n    add()\n    return n\n"
        "  return f",
        "make()",
        1,
    ),
    Case(
        "a closure that is itself",
        "def make():\n  def f(i=4): return 1 if i == 0 else i * f(i - 1)\n  return f",
        "make()",
        24,
    ),
    Case(
        "an empty closure",
        "def make():\n  def f():\n    return n if 0 else 3\n  return f\n  n = 1",
        "make()",
        3,
    ),
    Case("a default", "x = 1\ndef f(y=x): return y\nx = 2", "f", 1),
    Case("a keyword default", "def f(*, y=3): return y", "f", 3),
    Case("a default of the notebook's class", "class C: v = 4\ndef f(c=C()): return c.v", "f", 4),
    Case(
        "annotations",
        "class C: v = 4\ndef f(c: C = None) -> 'C': return f.__annotations__['return']",
        "f",
        "C",
    ),
    Case("attributes", "def f(): return f.kept\nf.kept = 8", "f", 8),
    Case("a helper of the notebook", "k = 3\ndef h(x): return k * x\ndef f(): return h(2)", "f", 6),
    Case(
        "a helper whose names are on the engine",
        "k = 3\ndef h(x): return k * x\ndef f(): return h(2)",
        "f",
        20,
        engine="k = 10",
        left=frozenset({"k"}),
    ),
    Case(
        "a helper that the engine has too",
        "def h(x): return 'here'\ndef f(): return h(2)",
        "f",
        "there",
        engine="def h(x): return 'there'",
        left=frozenset({"h"}),
    ),
    Case("recursion", "def f(n=5): return 1 if n == 0 else n * f(n - 1)", "f", 120),
    Case(
        "recursion of two",
        "def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)\n"
        "def f(): return even(6)",
        "f",
        True,
    ),
    Case(
        "a decorator",
        "import functools\ntimes = 2\ndef twice(g):\n  @functools.wraps(g)\n  def inner(*a): return times * g(*a)\n"
        "  return inner\n@twice\ndef f(): return 4",
        "f",
        8,
    ),
    Case(
        "a cached function",
        "import functools\n@functools.cache\ndef f(n=6): return n if n < 2 else f(n-1) + f(n-2)",
        "f",
        8,
    ),
    Case(
        "a partial",
        "import functools\nk = 2\ndef g(a, b): return k * a + b\nf = functools.partial(g, 3, b=1)",
        "f",
        7,
    ),
    Case("a lambda", "k = 2\nf = lambda: k", "f", 2),
    Case("a lambda of a loop that reads the loop's name", "fs = [lambda: i for i in range(3)]", "fs[0]", 2),
    Case("a lambda of a loop with a default", "fs = [lambda i=i: i for i in range(3)]", "fs[1]", 1),
    Case("a lambda of a loop at the top", "fs = []\nfor i in range(3): fs.append(lambda: i)", "fs[0]", 2),
    Case(
        "a comprehension",
        "k = 2\ndef h(x): return k * x\ndef f(): return list(h(x) for x in (1, 2))",
        "f",
        [2, 4],
    ),
    Case("a generator expression", "k = 2\ndef f(): return sum(k * x for x in (1, 2))", "f", 6),
    Case("an inner function", "k = 2\ndef f():\n  def g(): return k\n  return g()", "f", 2),
    Case(
        "an inner function of an inner function",
        "k = 2\ndef f():\n  def g():\n    return [(lambda: k + x)() for x in (1, 2)]\n  return g()",
        "f",
        [3, 4],
    ),
    Case(
        "an inner function, and the engine's name wins",
        "k = 2\ndef f():\n  def g(): return k\n  return g()",
        "f",
        9,
        engine="k = 9",
        left=frozenset({"k"}),
    ),
    Case(
        "a class in a function",
        "k = 2\ndef f():\n  class C:\n    j = k + 1\n    def m(self): return [k + self.j + x for x in (0,)]\n"
        "  return C().m()",
        "f",
        [5],
    ),
    Case(
        "a method",
        "k = 2\nclass C:\n  def __init__(self, n): self.n = n\n  def m(self): return k * self.n",
        "C(4).m",
        8,
    ),
    Case("a static method", "k = 2\nclass C:\n  @staticmethod\n  def m(): return k", "C.m", 2),
    Case("a class method", "class C:\n  k = 2\n  @classmethod\n  def m(cls): return cls.k", "C.m", 2),
    Case(
        "super",
        "class A:\n  def m(self): return 1\nclass B(A):\n  def m(self): return super().m() + 1",
        "B().m",
        2,
    ),
    Case(
        "a class of the notebook",
        "k = 2\nclass C:\n  def m(self): return [k for _ in '12']\ndef f(): return C().m()",
        "f",
        [2, 2],
    ),
    Case(
        "a dataclass of the notebook",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n  x: int = 3\ndef f(): return P(4).x + P().x",
        "f",
        7,
    ),
    Case(
        "an enum of the notebook",
        "from enum import Enum\nclass E(Enum):\n  A = 1\ndef f(): return E(1) is E.A",
        "f",
        True,
    ),
    Case(
        "a named tuple of the notebook",
        "from typing import NamedTuple\nclass P(NamedTuple):\n  x: int\ndef f(): return P(4)._replace(x=5).x",
        "f",
        5,
    ),
    Case("a coroutine function", "k = 2\nasync def f(): return [k for _ in '12']", "f", [2, 2]),
    Case("a generator function", "k = 2\ndef g():\n  yield k\ndef f(): return list(g())", "f", [2]),
    Case("the body of a class in a function", "k = 2\ndef f():\n  class C: j = k + 1\n  return C.j", "f", 3),
    Case(
        "a name that the body of a class assigns first",
        "import threading\nk = threading.Lock()\ndef f():\n  class C:\n    k = 1\n    j = k\n  return C.j",
        "f",
        1,
    ),
    Case("names that are the kernel's own", "In = [1]\ndef f(): return 'In' in globals()", "f", False),
]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.title)
def test_names(notebook: Any, engine: Any, case: Case) -> None:
    notebook.run(case.notebook)
    engine.run(case.engine)
    for _ in range(2):  # the second time from what both sides remember
        engine.run(case.engine)
        assert notebook.call(notebook[case.call]) == case.expected
        assert engine.names() == case.left
        assert engine.has_plain_builtins()
        for name in case.left:
            engine.run(f"del {name}")


def test_names_that_only_the_kernel_has_are_not_taken_along(notebook: Any) -> None:
    notebook.run("Out = {1: 2}\ndef f(): return Out")
    with pytest.raises(NameError, match="Out"):
        notebook.call(notebook["f"])


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("x = 1", "x = 2", 2),
        ("x = [1]", "x.append(2)", [1, 2]),
        ("def x_of(): return 1\nx = x_of", "def x_of(): return 2", 1),
        ("x = (1, [2])", "x[1].append(3)", (1, [2, 3])),
        ("", "x = 3", 3),
    ],
)
def test_names_changed_between_submits(notebook: Any, before: str, change: str, after: Any) -> None:
    notebook.run(f"def f(): return x() if callable(x) else x\n{before}")
    if before:
        notebook.call(notebook["f"])
    else:
        with pytest.raises(NameError):
            notebook.call(notebook["f"])
    notebook.run(change)
    assert notebook.call(notebook["f"]) == after


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ("def h(): return 2", 2),
        ("h.__defaults__ = (5,)", 5),
        ("h.__code__ = (lambda: 7).__code__", 7),
        ("C.v = 3", 3),
        ("C.m = lambda self: 4", 4),
        ("h.extra = 6", 6),
        ("n = 8\nset_n(8)", 8),
    ],
)
def test_what_a_function_reaches_is_sent_again_when_it_changes(
    notebook: Any, change: str, after: int
) -> None:
    notebook.run(
        "class C:\n  v = 0\n  def m(self): return 0\n"
        "def h(x=0): return x or getattr(h, 'extra', 0)\n"
        "def make():\n  n = 0\n  def f(): return h() or C.v or C().m() or n\n"
        "  def set_n(v):\n    nonlocal n\n    n = v\n  return f, set_n\n"
        "f, set_n = make()"
    )
    assert notebook.call(notebook["f"]) == 0
    first = notebook.functions.dump(notebook["f"])
    assert notebook.functions.dump(notebook["f"]) is first
    notebook.run(change)
    assert notebook.call(notebook["f"]) == after


def test_a_function_defined_again_alike_is_not_sent_again(notebook: Any) -> None:
    notebook.run("def f(): return 1")
    first = notebook.functions.dump(notebook["f"])
    notebook.run("def f(): return 1")
    assert notebook.functions.dump(notebook["f"]).digest == first.digest
    notebook.run("def f(): return 2")
    assert notebook.functions.dump(notebook["f"]).digest != first.digest


def test_each_call_sees_captured_values_as_they_were_at_submit(notebook: Any) -> None:
    notebook.run("seen = []\ndef f(x):\n  seen.append(x)\n  return seen")
    assert notebook.call(notebook["f"], 1) == [1]
    assert notebook.call(notebook["f"], 2) == [2]
    assert notebook["seen"] == []


def test_a_cache_is_kept_on_the_engine(notebook: Any) -> None:
    notebook.run("import functools\n@functools.cache\ndef f(): return object()\ndef g(): return id(f())")
    assert notebook.call(notebook["g"]) == notebook.call(notebook["g"])


def test_captured_names_are_told_with_their_sizes(notebook: Any) -> None:
    notebook.run(
        "import numpy\nbig = numpy.zeros(1000)\nsmall = 1\ndef h(): return big\ndef f(): return h(), small"
    )
    captured = notebook.functions.dump(notebook["f"]).captured
    assert set(captured) == {"h", "big", "small"}
    assert captured["big"] == 8000


# -- what stays when its call is over ------------------------------------------------------------


@pytest.mark.parametrize("how", ["push", "write"])
def test_a_pushed_object_finds_its_names_whenever_a_cell_uses_it(
    notebook: Any, engine: Any, how: str
) -> None:
    notebook.run("def h(x): return 2 * x\nclass C:\n  def m(self, xs): return list(h(x) for x in xs)")
    notebook.push(how, c=notebook["C()"])
    engine.run("out = c.m([1, 2])\ndef g(): return [h for _ in '1']")
    assert engine.names() == {"c", "out", "g"}
    engine.run("assert out == [2, 4], out")
    # The engine's own code does not see what the object brought.
    engine.run("try:\n  g()\nexcept NameError: pass\nelse: raise AssertionError('h is visible')")
    engine.run("h = lambda x: 5\nassert c.m([1]) == [5]")


def test_two_pushed_objects_keep_each_its_own_names(notebook: Any, engine: Any) -> None:
    notebook.run("k = 1\ndef make():\n  def f(): return list(k for _ in '1')\n  return f")
    notebook.push(f=notebook["make()"])
    notebook.run("k = 2")
    notebook.push(g=notebook["make()"])
    engine.run("assert (f(), g()) == ([1], [2]), (f(), g())")


def test_a_pushed_object_that_hides_a_builtin_hides_it_from_itself_alone(notebook: Any, engine: Any) -> None:
    notebook.run("def len(x): return 42\ndef f(): return list(len(x) for x in ('', ''))")
    notebook.push(f=notebook["f"])
    engine.run("assert f() == [42, 42]\ndef g(): return [len(x) for x in ('', '')]\nassert g() == [0, 0]")


@pytest.mark.parametrize(
    "keep",
    [
        "def f():\n  global kept\n  kept = lambda: list(h(x) for x in (1, 2))",
        "def g(): return list(h(x) for x in (1, 2))\ndef f():\n  global kept\n  kept = g",
        "class C:\n  def m(self): return list(h(x) for x in (1, 2))\ndef f():\n  global kept\n  kept = C().m",
        "def f():\n  class C:\n    def m(self): return list(h(x) for x in (1, 2))\n  global kept\n  kept = C().m",
    ],
    ids=["a lambda", "a helper", "an instance", "an instance of an inner class"],
)
def test_what_a_call_leaves_behind_finds_its_names_later(notebook: Any, engine: Any, keep: str) -> None:
    notebook.run(f"def h(x): return 2 * x\n{keep}")
    notebook.call(notebook["f"])
    engine.run("assert kept() == [2, 4]")
    assert engine.names() == {"kept"}


def test_the_slow_lookup_goes_with_what_needed_it(notebook: Any, engine: Any) -> None:
    notebook.run(
        "def h(x): return 2 * x\ndef f():\n  global kept\n  kept = lambda: list(h(x) for x in (1, 2))"
    )
    notebook.call(notebook["f"])
    assert not engine.has_plain_builtins()
    notebook.run("def g(i): return i")
    engine.run("del kept")
    for i in range(600):  # more functions than the loader keeps
        notebook.run(f"def g(): return {i}")
        notebook.call(notebook["g"])
    engine.run("import gc; gc.collect()")
    assert engine.has_plain_builtins()


def test_a_call_beside_a_pushed_object_finds_both_their_names(notebook: Any, engine: Any) -> None:
    notebook.run("def h(x): return 2 * x\nclass C:\n  def m(self): return list(h(x) for x in (1, 2))")
    notebook.push(c=notebook["C()"])
    notebook.run("k = 7\ndef f(): return [k for _ in '1'] + c.m()")
    assert notebook.call(notebook["f"]) == [7, 2, 4]


def test_a_function_as_argument_finds_its_names(notebook: Any, engine: Any) -> None:
    notebook.run(
        "k = 3\ndef apply(g, xs): return [g(x) for x in xs]\ndef user(x): return sum(k * x for _ in '12')"
    )
    assert notebook.call(notebook["apply"], notebook["user"], [1, 2]) == [6, 12]
    assert engine.has_plain_builtins()


def test_functions_that_brought_different_values_under_one_name_have_each_its_own(notebook: Any) -> None:
    notebook.run("k = 1\ndef g(): return list(k for _ in '1')")
    notebook.names["old"] = notebook["g"]
    sent = notebook.arguments.dump((notebook["g"],), {}).payload
    notebook.run("k = 2\ndef f(h): return list(k for _ in '1') + h() + list(k for _ in '1')")
    assert (
        notebook.engine.ask("call", *_parts(notebook, "f"), sent, [], {})[0] == dump_value([2, 1, 2]).payload
    )


def test_a_function_that_a_call_was_given_and_kept_finds_its_names(notebook: Any, engine: Any) -> None:
    notebook.run("k = 3\ndef user(): return list(k for _ in '12')\ndef f(g):\n  global kept\n  kept = g")
    notebook.call(notebook["f"], notebook["user"])
    engine.run("assert kept() == [3, 3]")
    notebook.run("class C:\n  def m(self): return list(k for _ in '12')")
    notebook.call(notebook["f"], notebook["C()"])
    engine.run("assert kept.m() == [3, 3]")


def _parts(notebook: Any, name: str) -> tuple[str, bytes]:
    dumped = notebook.functions.dump(notebook[name])
    return dumped.digest, dumped.payload


# -- classes -------------------------------------------------------------------------------------


def test_an_instance_comes_home_as_an_instance_of_the_notebooks_own_class(notebook: Any) -> None:
    notebook.run(
        "k = 1\nclass C:\n  count = 0\n  def m(self): return k\ndef f(c):\n  C.count += 1\n  return c, C()"
    )
    own = notebook["C"]
    method = own.m
    sent, made = notebook.call(notebook["f"], own())
    assert type(sent) is own
    assert type(made) is own
    assert own.m is method
    assert own.count == 0


def test_a_function_that_comes_home_has_the_notebooks_own_class(notebook: Any) -> None:
    notebook.run("class C:\n  def m(self): return 1\ndef f():\n  def g(): return C\n  return g")
    own = notebook["C"]
    method = own.m
    got = notebook.call(notebook["f"])
    del notebook.names["C"]  # what it brought is looked at
    assert got() is own
    assert own.m is method


def test_a_class_of_the_engine_comes_here_and_goes_back_as_itself(notebook: Any, engine: Any) -> None:
    engine.run("class D:\n  def m(self): return [unit for _ in '1']\nunit = 5\nd = D()")
    notebook.run("def get(): return d\ndef check(x): return type(x) is D, x.m()")
    here = notebook.call(notebook["get"])
    assert here.m() == [5]
    notebook.run("unit = 6")
    assert here.m() == [6]
    assert notebook.call(notebook["check"], here) == (True, [5])


def test_a_class_is_one_class_however_it_came(notebook: Any) -> None:
    notebook.run("class C: pass\ndef f(c, kind): return type(c) is kind is C")
    assert notebook.call(notebook["f"], notebook["C()"], notebook["C"]) is True


def test_a_class_is_another_in_another_namespace(notebook: Any, engine: Any) -> None:
    notebook.run("class C:\n  def m(self): return 1")
    assert engine.ask("in two namespaces", *_parts(notebook, "C")) == [True, True]


def test_a_function_that_refers_to_itself_is_one_function(notebook: Any) -> None:
    notebook.run("def make():\n  def g(): return g\n  return g\ndef f(g): return g() is g")
    assert notebook.call(notebook["f"], notebook["make()"]) is True


def test_a_function_of_the_engine_runs_here(notebook: Any, engine: Any) -> None:
    engine.run("k = 2\ndef g(x): return [k * x for _ in '12']")
    notebook.run("def get(): return g")
    got = notebook.call(notebook["get"])
    assert got(2) == [4, 4]
    notebook.run("k = 3")
    assert got(2) == [6, 6]


# -- partials ------------------------------------------------------------------------------------


def test_a_partial_has_the_digest_of_its_function(notebook: Any) -> None:
    from nbcluster.payload.functions import plain_call

    notebook.run("def g(a, b, c=0): return a, b, c")
    function, args, kwargs = plain_call(functools.partial(functools.partial(notebook["g"], 1), c=3), (2,), {})
    assert function is notebook["g"]
    assert (args, kwargs) == ((1, 2), {"c": 3})


def test_blocks_that_end_in_another_order_leave_nothing_behind(notebook: Any, engine: Any) -> None:
    import builtins

    from nbcluster.payload.functions import FunctionLoader, captured_visible

    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    loader = FunctionLoader()
    blocks = []
    for k in (1, 2):
        notebook.run(f"k = {k}\ndef f():\n  while True: yield list(k for _ in '1')")
        loaded = loader.load(*_parts(notebook, "f"), names)
        block = captured_visible(loaded.scope)
        block.__enter__()
        blocks.append((block, loaded.function()))
    (first, a), (second, b) = blocks
    assert next(b) == [2]
    del a, blocks
    first.__exit__()
    assert next(b) == [2]
    del b
    second.__exit__()
    assert names["__builtins__"] is builtins
