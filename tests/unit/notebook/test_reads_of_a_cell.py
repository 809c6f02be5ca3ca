"""Which names a cell takes from its namespace, and which it binds."""

import pytest

from nbcluster.notebook.reads import names_bound, names_read


@pytest.mark.parametrize(
    ("code", "read"),
    [
        ("x", "x"),
        ("x = 1\nx", ""),
        ("x = x + 1", "x"),
        ("x += 1", "x"),
        ("del x", "x"),
        ("x[0] = 1", "x"),
        ("x.a = y.b", "x y"),
        ("import numpy as np\nnp.sum(x)", "x"),
        ("from a import b as c\nc(d)", "d"),
        ("def f(a): return a + k\nf(1)", "k"),
        ("def f(a=d): return a", "d"),
        ("@deco\ndef f(): pass", "deco"),
        ("def f(): return k\nk = 1\nf()", ""),
        ("def f():\n    global g\n    g = h", "h"),
        ("class A(B):\n    c = d\n    def m(self): return e", "B d e"),
        ("[i * n for i in rows]", "n rows"),
        ("[i for i in i]", "i"),
        ("(lambda a: a + b)(c)", "b c"),
        ("for i in rows:\n    s = i + t", "rows t"),
        ("with open(p) as f:\n    f.read()", "open p"),
        ("try:\n    a\nexcept E as e:\n    e", "a E"),
        ("if (n := size()) > 1:\n    n", "size"),
        ("match v:\n    case [a, *rest]:\n        a, rest\n    case {'k': w, **more}:\n        w, more", "v"),
        ("f'{x:{w}} {y!r}'", "x w y"),
        ("a, *b = c\nb", "c"),
        ("await fetch(url)", "fetch url"),
        ("async for i in s:\n    i", "s"),
        ("x: int = y", "int y"),
        ("this is no python", ""),
        ("get_ipython().system('ls')", "get_ipython"),
        ("print(x)\nx = 2", "print x"),
    ],
)
def test_names_that_a_cell_reads(code, read):
    assert set(names_read(code)) == set(read.split())


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("%time f(y)", "f y"),
        ("%timeit -n 3 -r2 f(y)", "f y"),
        ("%prun -l 5 -s time f(y)", "f y"),
        ("%time x = f(y)\nx", "f y"),
        ("y = 1\n%time f(y)", "f"),
        ("found = %time f(y)", "f y"),
        ("%%time\n%time f(y)\nz", "f y z"),
        ("%%timeit a = b\nf(c)", "b f c"),
        ("%%capture out\nf(y)", "f y"),
        ("%%bash\nf $y", ""),
        ("!ls {folder + '/x'} $other", "folder other"),
        ("names = !ls {folder}", "folder"),
        ("%cd {folder}", "folder"),
        ("for i in rows:\n    !echo {i} {j}", "rows j"),
        ("%time this is no python", ""),
    ],
)
def test_names_in_the_text_of_magics_are_read(cell, read):
    from IPython.core.inputtransformer2 import TransformerManager

    found = set(names_read(TransformerManager().transform_cell(cell)))
    assert found - {"get_ipython"} == set(read.split())


def test_names_in_the_text_of_magics_are_bound():
    from IPython.core.inputtransformer2 import TransformerManager

    cell = TransformerManager().transform_cell("%time x = f(y)\n%%time\nz = 1")
    assert "x" in names_bound(cell)


def test_names_come_in_the_order_of_their_first_use():
    assert names_read("b\na\nb") == ("b", "a")


@pytest.mark.parametrize(
    ("code", "bound"),
    [
        ("x = 1", "x"),
        ("x, (y, *z) = t", "x y z"),
        ("import a.b\nfrom c import d as e", "a e"),
        ("def f():\n    local = 1\n    global g\n    g = 1\nclass C: attribute = 1", "f g C"),
        ("for i in t: j = i", "i j"),
        ("with o as f: pass", "f"),
        ("(n := 1)", "n"),
        ("[(m := k) for k in t]", "m"),
        ("x[0] = 1\ny.a = 2", ""),
        ("x += 1", "x"),
        ("no python at all", ""),
    ],
)
def test_names_that_a_cell_binds(code, bound):
    assert names_bound(code) == set(bound.split())
