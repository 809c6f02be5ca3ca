"""Programs with all that a cell may hold run as graphs in random orders, and give what they give when run in order."""

from __future__ import annotations

import ast
import types

from graph_runs import as_graph, serially
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbcluster.engine.statements import Unsendable

HEAD = """
import random, os, copy, functools, itertools
from collections import defaultdict
class Box:
    def __init__(self, items):
        self.items = items
    def add(self, item):
        self.items.append(item)
        return self
    def __repr__(self):
        return f"Box({self.items!r})"
    def total(self):
        return len(self.items)
def first(x):
    return x[0]
def grown(x):
    x.append(len(x))
    return x
def same(x):
    return x
def counted(x):
    global n
    n = n + 1
    return x
def fresh(x):
    y = list(x)
    y.append(n)
    return y
def seen(x):
    log.append(len(x))
    print("seen", len(log))
    return len(log)
def maker(x):
    def inner(y):
        return [*x, y]
    return inner
def counter():
    count = 0
    def up():
        nonlocal count
        count += 1
        return count
    return [up() for _ in range(2)]
def either(x, y=None):
    if n % 2:
        return x
    return y
async def later(x):
    return x
def twice(f):
    @functools.wraps(f)
    def both(x):
        return [f(x), f(x)]
    return both
a = [1, 2]
b = [3]
c = [[4], [5, 6]]
d = {"k": [7], "n": 0}
n = 1
m = 2
log = []
random.seed(0)
box = Box([8])
"""

LISTS, NUMBERS = st.sampled_from("ab"), st.sampled_from("nm")
ANY = st.sampled_from(["a", "b", "c", "d", "n", "m", "x", "y", "box", "c[0]", "d['k']", "box.items"])
LIST = st.sampled_from(
    ["a", "b", "c", "x", "y", "c[0]", "d['k']", "box.items", "a[:]", "c[-1]", "[n]", "list(a)"]
)
TARGET = st.sampled_from(["a", "b", "c", "x", "y", "z"])

SHAPES = [
    "{t} = {v}",
    "{t} = {l}[1:]",
    "{t} = [{v}, {v}]",
    "{t} = ({v}, {l})",
    "{t}, *z = {l}, {v}, n",
    "{t} = y = {v}",
    "d[{k!r}] = {v}",
    "box.items = {l}",
    "{l}.append(n)",
    "{l}.append({v})",
    "{l}[0] = n",
    "{l} += [n]",
    "{t} += [{v}]",
    "n += 1",
    "n = m * 2",
    "m = len({l})",
    "m = n if m > 2 else m + 1",
    "x = {l}.pop()",
    "x = d.get('k')",
    "x = d.setdefault({k!r}, {v})",
    "{t} = first({l})",
    "{t} = grown({l})",
    "{t} = same({v})",
    "{t} = counted({v})",
    "{t} = fresh({l})",
    "{t} = either({v}, {l})",
    "m = seen({l})",
    "grown({l})",
    "{t} = maker({l})(n)",
    "{t} = counter()",
    "{t} = copy.copy({l})",
    "{t} = copy.deepcopy({v})",
    "random.seed(n)\nm = random.randint(0, 9)",
    "m = random.randint(0, 9)",
    "random.seed(3)",
    "random.shuffle({l})",
    "os.environ['NBCLUSTER_TEST'] = str(n)",
    "x = os.environ.get('NBCLUSTER_TEST')",
    "print({v})",
    "print(f'{{n}} {{len({l})}} {{m!r:>4}}')",
    "x = [len(str(i)) + n for i in {l}]",
    "x = {{i: {l} for i in range(2)}}",
    "x = sum(1 for i in {l})",
    "x = [y for y in {l}]",
    "x = sorted({l}, key=lambda i: str(i) + str(n))",
    "x = [w := n, w + 1]",
    "x = [last := i for i in range(3)]",
    "if (size := len({l})) > 1:\n    x = size\nelse:\n    x = {v}",
    "if n % 2:\n    {t} = {v}",
    "for i in {l}:\n    n += 1\n    print(i)",
    "for i in {l}:\n    x = i",
    "for i in c:\n    if isinstance(i, list):\n        i.append(n)",
    "while m > 3:\n    m -= 1\n    {l}.append(m)",
    "try:\n    x = {l}[7]\nexcept IndexError as error:\n    {t} = {v}\nfinally:\n    m = 1",
    "match {l}:\n    case [i]:\n        x = i\n    case [i, *rest]:\n        y = rest\n    case _:\n        z = n",
    "import contextlib\nwith contextlib.suppress(IndexError):\n    x = {l}[9]\n    y = 3",
    "it = iter({l})\nx = next(it, n)\ny = list(it)",
    "g = (i for i in {l})\nx = list(g)\ny = list(g)",
    "e = enumerate({l})\nx = list(e)",
    "z = list(map(same, {l}))",
    "box.add({v})",
    "m = box.total()",
    "x = Box({l}).add(n).items",
    "box2 = Box({l})\nbox2.add(n)\nx = box2.items",
    "x = isinstance(box, Box)",
    "x = {v} is {v}",
    "h = lambda q: [q, n]\nx = h({v})",
    "h = lambda q: (q, m)",
    "def local(q, r=n):\n    return [q, r]\nx = local({v})",
    "@twice\ndef doubled(q):\n    return len(str(q))\nx = doubled({v})",
    "p = functools.partial(fresh, {l})\nx = p()",
    "x = [f({l}) for f in (first, len)]",
    "x = await later({v})",
    "del d[{k!r}]",
    "x = 1\ndel x",
    "class Local:\n    size = n\n    def get(self):\n        return self.size\nx = Local().get()",
    "dd = defaultdict(list)\ndd[n].append({v})\nx = dict(dd)",
    "t = ({l}, {v})\nx = t[0]",
    "assert n is not None",
    "{l}.sort(key=str)",
    "{l}.extend({l}[:2])",
    "d.update(w={v})",
    "x = d | {{'q': {l}}}",
    "x = {l} + {l}",
    "x = {l} * 2",
    "x = {l} == {l}",
    "z = [*{l}, *{l}]",
    "x = str({v})",
    "try:\n    grown({l})[50]\nexcept (IndexError, TypeError):\n    print('no', n)",
]


@st.composite
def programs(draw):
    """A program, which may raise somewhere."""
    lines = []
    for shape in draw(st.lists(st.sampled_from(SHAPES), min_size=3, max_size=12)):
        parts = shape
        while "{l}" in parts:
            parts = parts.replace("{l}", draw(LIST), 1)
        while "{v}" in parts:
            parts = parts.replace("{v}", draw(ANY), 1)
        parts = parts.replace("{t}", draw(TARGET)).replace("{k!r}", repr(draw(st.sampled_from("kpq"))))
        lines.append(parts.replace("{{", "{").replace("}}", "}"))
    return HEAD + "\n".join(lines) + "\n"


def cut(source):
    """The program up to where it would raise."""
    tree = ast.parse(source)
    _, _, error = serially(source)
    if error is None:
        return ast.unparse(tree)
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<cell>" and trace.tb_frame.f_code.co_name == "<module>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return ast.unparse(ast.Module([node for node in tree.body if node.end_lineno < line], []))


def plain(value, depth=0):
    """A value in a form that can be compared."""
    if depth > 8:
        return "deep"
    if isinstance(value, list | tuple):
        return type(value).__name__, [plain(each, depth + 1) for each in value]
    if isinstance(value, dict):
        return "dict", [(plain(key), plain(each, depth + 1)) for key, each in value.items()]
    if type(value).__module__ == "__main__":
        return type(value).__name__, plain(vars(value), depth + 1)
    if callable(value) or hasattr(value, "__next__") or isinstance(value, BaseException):
        return "not compared"
    return repr(value)


def is_data(name, value):
    return not name.startswith("__") and not isinstance(value, types.ModuleType | types.FunctionType | type)


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(programs(), st.integers(0, 2**16), st.booleans())
def test_a_graph_and_the_serial_run_agree(source, seed, gradually):
    source = cut(source)
    names, printed, error = serially(source)
    assert error is None
    graph, values, said = as_graph(source, seed=seed, gradually=gradually)
    expected = {name: plain(value) for name, value in names.items() if is_data(name, value)}
    found = {
        name: plain(value)
        for name, value in values.items()
        if is_data(name, value) and not isinstance(value, Unsendable)
    }
    lost = {name for name, value in values.items() if isinstance(value, Unsendable)}
    assert found == {name: value for name, value in expected.items() if name not in lost}, graph.reasons
    assert said == printed
