"""Graph cells in a real notebook kernel, on real engines."""

from __future__ import annotations

import re

import pytest
from published import COLOURS, error_of


def shown(published):
    """What a cell shows, in order, without colours."""
    parts = []
    for said in published:
        if said["msg_type"] == "stream":
            parts.append(said["content"]["text"])
        elif said["msg_type"] in ("display_data", "execute_result"):
            parts.append(said["content"]["data"].get("text/plain", "") + "\n")
    return COLOURS.sub("", "".join(parts))


def seen(page, cell):
    """What displays of a cell show now, also when they were changed while others ran."""
    ids = {said["content"].get("transient", {}).get("display_id") for said in page.of(cell)} - {None}
    texts = {}
    for said in page.said:
        shown_as = said["content"].get("transient", {}).get("display_id")
        if shown_as in ids:
            texts[shown_as] = said["content"]["data"].get("text/plain", "")
    return COLOURS.sub("", "\n".join(texts.values()))


@pytest.fixture
def page(shared_page):
    return shared_page


def test_statements_run_apart_and_show_their_output_in_the_cells_order(page, world):
    go = str(world.top / "go")
    page.run(f"go = {go!r}")
    published = page.run(
        "%%distributed --graph\n"
        "import os, time\n"
        "def wait():\n"
        "    end = time.time() + 20\n"
        "    while not os.path.exists(go) and time.time() < end: time.sleep(0.005)\n"
        "    return os.path.exists(go)\n"
        "a = wait()\n"
        "print('a', a)\n"
        "b = print('b', open(go, 'w').close())\n"
        "c = (a, b)\n"
        "c"
    )
    assert shown(published) == (
        "a True\nb None\n(True, None)\na, b and c are Futures now: a.result() brings the value here\n"
    )
    assert page.text("print(type(a).__name__, c.result(10))") == "CallFuture (True, None)\n"
    assert page.text("print(os.sep, wait.__name__)") == "/ wait\n", "what nodes share is here too"


def test_namespaces_of_engines_are_neither_read_nor_changed(page):
    page.run("%%distributed\nx = 'of the engine'; here = sorted(globals())")
    page.run("x = 'of the notebook'")
    page.run("%%distributed --graph\ny = x + '!'\nx = 3\nf = [lambda: y]\nz = f[0]()")
    assert (
        page.text("print(y.result(10), x.result(10), z.result(10))")
        == "of the notebook! 3 of the notebook!\n"
    )
    page.run(
        "%%distributed\nassert x == 'of the engine', x\nassert 'y' not in globals() and 'z' not in globals()"
    )


def test_values_and_futures_of_the_notebook_and_pull(page):
    page.run(
        "import numpy as np\nbig = np.arange(100_000)\none = cluster.submit(pow, 2, 5)\n"
        "def twice(v): return v * k\nk = 2"
    )
    published = page.run(
        "%%distributed --graph --pull total,more\ntotal = int(big.sum())\nmore = twice(one)\nother = big[:3]"
    )
    assert shown(published) == "other is a Future now: other.result() brings the value here\n"
    assert page.text("print(total, more, other.result(10).tolist())") == "4999950000 64 [0, 1, 2]\n"
    page.run("%%distributed --graph --pull all\nw = other + 1\nv = 2")
    assert page.text("print(w, v)") == "[1 2 3] 2\n"


def test_an_error_names_its_line_and_the_rest_completes(page):
    published = page.run(
        "%%distributed --graph\na = 1\nb = a / 0\nprint('never', b)\nc = b + 1\nd = a + 1\nprint('d', d)",
        fails=True,
    )
    text = error_of(published)
    assert re.search(r"In ?\[\d+\], line 3", text), text
    assert "b = a / 0" in text
    assert "ZeroDivisionError: division by zero" in text
    assert "--graph: line 3 of the cell failed; so did line 4 and line 5" in text
    assert shown(published).startswith("d 2\n")
    assert page.text(
        "print(d.result(10), type(c.exception(10)).__name__, type(c.exception(10).__cause__).__name__)"
    ) == ("2 DependencyFailed ZeroDivisionError\n")


def test_views_and_states_stay_together(page):
    page.run(
        "%%distributed --graph --pull all\nimport numpy as np, random\na = np.zeros(4)\n"
        "b = a[1:]\nb[0] = 7\n"
        "random.seed(5)\nx = random.random()\ny = random.random()\nc = a.sum()"
    )
    assert page.text("random.seed(5); print(a, b, c, (x, y) == (random.random(), random.random()))") == (
        "[0. 7. 0. 0.] [7. 0. 0.] 7.0 True\n"
    )


def test_comprehensions_fan_out(page):
    published = page.run(
        "%%distributed --graph --pull all\nimport os, time\n"
        "def slow(i):\n    time.sleep(0.02)\n    if i % 10 == 0: print('at', i)\n"
        "    return i * k, os.getpid()\n"
        "k = 3\npairs = [slow(i) for i in range(40) if i != 7]\n"
        "best = max((slow(i) for i in range(5)), key=lambda pair: pair[0])\n"
        "names = {str(i): slow(i)[0] for i in range(3)}\ntext = '-'.join(str(i) for i in range(4))\n"
        "none = [slow(i) for i in []]"
    )
    assert shown(published) == "at 0\nat 10\nat 20\nat 30\nat 0\nat 0\n"
    assert (
        page.text(
            "print([v for v, _ in pairs] == [i * 3 for i in range(40) if i != 7], len({p for _, p in pairs}))\n"
            "print(best[0], names, text, none)"
        )
        == "True 2\n12 {'0': 0, '1': 3, '2': 6} 0-1-2-3 []\n"
    )
    published = page.run(
        "%%distributed --graph\nvalues = [1 / (3 - i) for i in map(int, range(8))]\nsize = len(values)",
        fails=True,
    )
    assert "line 2" in error_of(published)
    assert page.text("print(type(size.exception(10)).__name__)") == "DependencyFailed\n"


def test_a_plan_runs_nothing(page):
    page.run("import numpy as np\nbig = np.zeros(1_000_000)\nout = []")
    published = page.run(
        "%%distributed --graph --plan\na = big[1:]\na[0] = 1\nfor i in range(3):\n"
        "    out.append(str(i))\nb = [str(i) for i in range(3)]\nprint('ran')"
    )
    text = shown(published)
    assert "4 nodes, each on one of 2 engines:" in text
    assert "big (7.629 MiB), because line 2 reads it" in text, text
    assert "line 2 and line 3: a and big may share an object; line 3 sets an item of it" in text
    assert "out += [str(i) for i in range(3)]" in text
    assert "one task for each element" in text
    assert "ran\n" not in text.replace("print('ran')", "")
    assert page.text("print('a' in globals(), out)") == "False []\n"


def test_what_cannot_be_analysed_runs_in_order_and_says_so(page):
    published = page.run("%%distributed --graph\nn = 2\nexec('m = n + 1')\nprint(m)")
    assert shown(published).startswith(
        "line 3 exec() runs code that is not in the cell: the cell runs as one node, in its order\n3\n"
    )
    assert page.text("print(m.result(10), n.result(10))") == "3 2\n"


def test_names_that_nobody_has_and_what_cannot_be_sent(page):
    text = error_of(page.run("%%distributed --graph\nran = open('/tmp/never')\nx = nobody + 1", fails=True))
    assert "line 3 needs nobody, and neither the cell nor the notebook has it" in text
    page.run("import threading\nlock = threading.Lock()")
    assert "'lock'" in error_of(page.run("%%distributed --graph\nx = str(lock)", fails=True))
    text = error_of(
        page.run(
            "%%distributed --graph\nimport threading\nheld = threading.Lock()\n"
            "f = [lambda: held]\nx = f[0]()",
            fails=True,
        )
    )
    assert "line 4 needs held, which could not be sent" in text, text
    for bad, said in {
        "--graph --live": "--live is not for --graph",
        "--graph --pull zz": "--pull zz: the cell does not assign that name",
    }.items():
        assert said in error_of(page.run(f"%%distributed {bad}\nx = 1", fails=True))


def test_awaits_commands_and_figures(page):
    published = page.run(
        "%%distributed --graph\nimport asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n"
        "    return x\na = await f(3)\nb = !echo {a}\nb"
    )
    assert shown(published).startswith("['3']\n")


def test_types_become_known_and_relax_the_order(page, world):
    """A method of an unknown object may change it; of a DataFrame, it is known not to."""
    page.run(f"import pandas\ngo = {str(world.top / 'go')!r}")
    page.run(
        "%%distributed --graph --pull all\n"
        "import os, time\n"
        "d = pandas.DataFrame({'x': [1, 2, 3]})\n"
        "def waits(frame):\n"
        "    end = time.time() + 20\n"
        "    while not os.path.exists(go) and time.time() < end: time.sleep(0.01)\n"
        "    return float(frame.mean()['x']), os.path.exists(go)\n"
        "def goes(frame):\n"
        "    open(go, 'w').close()\n"
        "    return float(frame.max()['x'])\n"
        "a = waits(d)\n"
        "b = goes(d)"
    )
    assert page.text("print(a, b)") == "(2.0, True) 3.0\n"


def test_an_interrupt_ends_what_runs(page):
    page.run("import threading, os, signal, time")
    cell = page.start(
        "timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)); timer.start()\n"
        "get_ipython().run_cell_magic('distributed', '--graph', 'import time\\nx = time.sleep(60)\\ny = x')"
    )
    page.wait_for(lambda: page.is_idle(cell), "the end of the interrupted cell")
    assert "the cell was interrupted" in error_of(page.of(cell))
    assert page.text("print('x' in globals(), len(cluster.tasks(state='running')))") == "False 0\n"


WAIT = (
    "import os, time\n"
    "def wait():\n"
    "    end = time.time() + 20\n"
    "    while not os.path.exists(go) and time.time() < end: time.sleep(0.005)\n"
    "    return os.path.exists(go)\n"
)


def test_a_graph_that_is_not_waited_for(page, world):
    page.run(f"go = {str(world.top / 'go')!r}\nrows = [1, 2]\nalias = rows\nk = 10")
    cell = page.start(
        f"%%distributed --async --graph\n{WAIT}a = wait()\nprint('a', a)\nb = [n * k for n in rows]\n"
        "print('b', b)\nc = (a, b, alias is rows)"
    )
    page.wait_for(lambda: page.is_idle(cell), "its return")
    assert "a, b and c are Futures now: a.result() brings the value here" in shown(page.of(cell))
    assert "a.result" in shown(page.of(cell))
    assert "a True" not in seen(page, cell), "nothing was printed yet"
    assert page.text("print(a.done(), c.done(), c.status)") == "False False queued\n"
    page.run("rows.append(3); k = 0")
    page.run("later = cluster.submit(lambda c: len(c), c)")
    assert page.text("print(b.result(20))") == "[10, 20]\n", "values are those of the moment when it was sent"
    page.run("open(go, 'w').close()")
    assert page.text("print(c.result(20), later.result(20), os.sep)") == "(True, [10, 20], True) 3 /\n"
    page.wait_for(lambda: "b [10, 20]" in seen(page, cell), "all its output")
    assert "a True\nb [10, 20]" in seen(page, cell), "in the cell's order, though b was first"


def test_errors_and_cancels_of_a_graph_that_is_not_waited_for(page, world):
    cell = page.start("%%distributed --async --graph\na = 1\nb = a / 0\nc = b + 1\nd = a + 1")
    page.wait_for(lambda: page.is_idle(cell), "its return")
    assert page.text(
        "print(repr(b.exception(20).__cause__), repr(c.exception(20).__cause__), d.result(20))"
    ) == ("ZeroDivisionError('division by zero') ZeroDivisionError('division by zero') 2\n")
    page.wait_for(lambda: "ZeroDivisionError: division by zero" in seen(page, cell), "what failed")
    assert "line 3 of the cell failed; so did line 4" in seen(page, cell)
    page.run(f"go = {str(world.top / 'stop')!r}")
    page.run(f"%%distributed --async --graph\n{WAIT}a = wait()\nb = [a]\nb.extend([2])\nc = len(b)")
    page.run("work = _")
    assert page.text("print(type(work).__name__, work.status)") == "GraphFuture running\n"
    assert page.text("print(work.cancel(20), work.status)") == "True cancelled\n"
    kinds = page.text(
        "print({type(f.exception(20)).__name__ for f in (a, c)} - {'TaskCancelled', 'DependencyFailed'})"
    )
    assert kinds == "set()\n"
    assert page.text("print(os.path.exists(go), cluster.submit(pow, 2, 3).result(20))") == "False 8\n"


def test_magics_that_time_are_nodes_and_figures_are_set_up(page):
    published = page.run(
        "%%distributed --graph --pull all\nimport matplotlib.pyplot as plt\n%matplotlib inline\na = 2\n"
        "%time b = a + 1\nc = %time b * 2\n%timeit -n 1 -r 1 len(str(c))\nplt.plot([a, b])\n%time c + 1"
    )
    text = shown(published)
    assert "the cell runs as one node" not in text
    assert text.count("Wall time:") == 3
    assert "1 loop each" in text
    assert "\n7\n" in text
    assert any("image/png" in said["content"].get("data", {}) for said in published)
    assert page.text("print(b, c)") == "3 6\n"
