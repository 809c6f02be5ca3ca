"""Cells and what stands between their statements: `1>2:a` is that 2 takes a from 1, `1+2` that both are one node."""

from __future__ import annotations

import pytest

from nbcluster.notebook.dataflow.effects import Surroundings
from nbcluster.notebook.dataflow.families import ARRAY, FRAME
from nbcluster.notebook.dataflow.graph import graph_of

AROUND = Surroundings(
    names=frozenset(["data", "frame", "array", "f", "g"]),
    families={"frame": FRAME, "array": ARRAY},
    modules={"f": "lib.f", "g": "lib.g"},
)

CELLS = [
    ("independent", "a = f(1)\nb = f(2)", ""),
    ("chain", "a = 1\nb = a + 1\nc = b + 1", "0>1:a 1>2:b"),
    ("diamond", "a = 1\nb = a + 1\nc = a + 2\nd = b + c", "0>1:a 0>2:a 1>3:b 2>3:c"),
    ("rebinding is a new version", "a = 1\nb = a\na = 2\nc = a", "0>1:a 2>3:a"),
    ("rebinding waits for nobody", "a = 1\nprint(a)\na = 2\nprint(a)", "0>1:a 2>3:a"),
    ("tuple swap", "a, b = 1, 2\na, b = b, a\nc = a", "0>1:a,b 1>2:a"),
    ("chained targets share", "a = b = []\na.append(1)\nc = b", "1>2:b | 0+1"),
    ("numbers share nothing", "a = 1\nb = a\nb += 1\nc = a", "0>1:a 0>3:a 1>2:b"),
    ("alias and append", "a = [1]\nb = a\nb.append(2)\nc = a", "0>1:a 0>2:a 2>3:a | 1+2"),
    (
        "alias read before the write",
        "a = [1]\nb = a\nc = len(b)\nb.append(2)\nd = b",
        "0>1:a 0>3:a 3>4:b | 1+2+3",
    ),
    ("view and item write", "a = f()\nb = a[1:]\nb[0] = 1\nc = a", "0>1:a 0>2:a 2>3:a | 1+2"),
    ("view that is only read", "a = f()\nb = a[1:]\nc = g(a)\nd = g(b)", "0>1:a 0>2:a 1>3:b"),
    ("attribute shares", "a = f()\nb = a.x\nb[0] = 1\nc = a", "0>1:a 0>2:a 2>3:a | 1+2"),
    ("method result shares", "a = f()\nb = a.m()\nb[0] = 1\nc = a", "0>1:a 2>3:a | 1+2"),
    ("list holds", "a = [1]\nb = [a]\nb[0].append(2)\nc = a", "0>1:a 0>2:a 2>3:a | 1+2"),
    ("tuple holds", "a = [1]\nb = (a, 2)\na.append(2)\nc = b", "0>1:a 0>2:a 2>3:b | 1+2"),
    ("dict holds", "a = [1]\nb = {'k': a}\nb['k'].append(2)\nc = a", "0>1:a 0>2:a 2>3:a | 1+2"),
    ("set item holds", "a = [1]\nb = {}\nb['k'] = a\na.append(2)\nc = b", "0>2:a 1>2:b 3>4:b | 2+3"),
    ("set attribute holds", "a = [1]\nb = f()\nb.x = a\na.append(2)\nc = b", "0>2:a 1>2:b 3>4:b | 2+3"),
    ("conditional alias", "a, b = [1], [2]\nc = a if f() else b\nc.append(3)\nd = b", "2>3:b | 0+1+2"),
    ("or gives one of both", "a, b = [1], [2]\nc = a or b\nc.append(3)\nd = b", "2>3:b | 0+1+2"),
    (
        "copies by an imported function are apart",
        "import copy\na = [1]\nb = copy.deepcopy(a)\nb.append(2)\nc = a",
        "1>2:a 1>4:a 2>3:b",
    ),
    (
        "asarray may share",
        "import numpy as np\na = f()\nb = np.asarray(a)\nb[0] = 1\nc = a",
        "1>2:a 1>3:a 3>4:a | 2+3",
    ),
    (
        "imported functions give new values",
        "from m import g\na = f()\nb = g(a)\nb[0] = 1\nc = a",
        "1>2:a 1>4:a 2>3:b",
    ),
    ("augmented number", "a = 1\na += 1\nb = a", "0>1:a 1>2:a"),
    ("augmented list is in place", "a = [1]\nb = a\na += [2]\nc = b", "0>1:a 0>2:a 2>3:b | 1+2"),
    (
        "an augmented array holds nothing of what is added",
        "import numpy as np\na = f()\nb = np.zeros(3)\nb += a\nb += a\nc = a\nd = b",
        "1>3:a 1>4:a 1>5:a 2>3:b 3>4:b 4>6:b",
    ),
    (
        "a report changes nothing and has no order",
        "from nbcluster import report\na = f()\nreport(0.5, loss=a)\nb = g(a)\nreport(0.7)",
        "1>2:a 1>3:a",
    ),
    ("augmented item", "a = [1]\nb = a\na[0] += 2\nc = b", "0>1:a 0>2:a 2>3:b | 1+2"),
    ("augmented attribute", "a = f()\nb = a\na.x += 2\nc = b", "0>1:a 0>2:a 2>3:b | 1+2"),
    ("augmented unknown", "a = f()\na += 1\nb = a", "0>1:a 1>2:a"),
    ("item write makes a version", "a = f()\na['x'] = 1\nb = a", "0>1:a 1>2:a"),
    ("item write beside a reader", "a = f()\nb = g(a)\na['x'] = 1\nc = a", "0>1:a 0>2:a 2>3:a"),
    ("attribute write", "a = f()\na.x = 1\nb = a", "0>1:a 1>2:a"),
    ("deep item write", "a = f()\na.x[0].y = 1\nb = a", "0>1:a 1>2:a"),
    ("slice write", "a = [1, 2]\na[:] = [3]\nb = a", "0>1:a 1>2:a"),
    ("discarded method", "a = f()\na.sort()\nb = a", "0>1:a 1>2:a"),
    ("used method changes too", "a = f()\nb = a.pop()\nc = a.pop()", "0>1:a | 1+2"),
    ("fit returns itself", "m = f()\nm2 = m.fit(1)\nc = m", "0>1:m 1>2:m"),
    ("fit twice", "m = f()\nm2 = m.fit(1)\nm3 = m2.fit(2)\nc = m", "0>1:m 2>3:m | 1+2"),
    ("known list method", "a = [1, 2]\nb = a.index(1)\nc = a.count(2)\nd = a", "0>1:a 0>2:a 0>3:a"),
    ("known text methods", "a = 'x y'\nb = a.split()\nc = a.upper()\nd = a", "0>1:a 0>2:a 0>3:a"),
    ("known dict methods", "a = {'k': 1}\nb = a.get('k')\nc = a.get('l')", "0>1:a 0>2:a"),
    ("setdefault changes", "a = {}\nb = a.setdefault('k', [])\nb.append(1)\nc = a", "0>1:a 2>3:a | 1+2"),
    ("method changes its receiver only", "a, b = f(), f()\nx = a.join(b)\nc = b", "1>2:b | 0+1"),
    ("out=", "import numpy as np\na = f()\nnp.add(a, 1, out=a)\nb = a", "1>2:a 2>3:a"),
    (
        "out= of a used value",
        "import numpy as np\na, o = f(), f()\nb = np.add(a, 1, out=o)\nc = o",
        "2>3:o | 1+2",
    ),
    ("inplace=", "d = f()\nd.drop('x', inplace=True)\ne = d", "0>1:d 1>2:d"),
    ("discarded call of an unknown function", "a = f()\ng(a)\nb = a", "1>2:a | 0+1"),
    ("discarded print", "a = f()\nprint(a)\nb = a", "0>1:a 0>2:a"),
    ("discarded len", "a = f()\nlen(a)\nb = a", "0>1:a 0>2:a"),
    ("used call of an imported function", "from m import g\na = f()\nb = g(a)\nc = g(a)", "1>2:a 1>3:a"),
    ("discarded call of an imported function", "from m import g\na = f()\ng(a)\nb = a", "1>2:a 2>3:a"),
    ("random.shuffle", "import random\na = [1, 2]\nrandom.shuffle(a)\nb = a", "1>2:a 2>3:a"),
    (
        "random.seed",
        "import random\nrandom.seed(1)\nx = random.random()\ny = f(x)\nz = random.random()",
        "2>3:x | 1+2+4",
    ),
    (
        "np.random.seed",
        "import numpy as np\nnp.random.seed(0)\na = np.random.rand(3)\nb = np.zeros(3)\nc = np.random.rand(3)",
        "| 1+2+4",
    ),
    ("numpy.random by another name", "from numpy import random as r\nx = r.rand()\ny = r.rand()", "| 1+2"),
    ("functions of random", "from random import seed, random\nseed(1)\nx = random()", "| 1+2"),
    (
        "one generator twice",
        "import numpy as np\nrng = np.random.default_rng(0)\na = rng.normal(size=3)\nb = rng.normal(size=3)",
        "1>2:rng 2>3:rng",
    ),
    (
        "two generators",
        "import numpy as np\nr, s = np.random.default_rng(0), np.random.default_rng(1)\na = r.normal()\nb = s.normal()",
        "| 1+2+3",
    ),
    (
        "a generator and its copy",
        "import numpy as np, copy\nr = np.random.default_rng(0)\ns = copy.deepcopy(r)\na = r.normal()\nb = s.normal()",
        "1>2:r 1>3:r 2>4:s",
    ),
    (
        "generators by statement",
        "from numpy.random import default_rng\nr = default_rng(0)\ns = default_rng(1)\na = r.normal()\nb = s.normal()",
        "1>3:r 2>4:s",
    ),
    (
        "plt in order",
        "import matplotlib.pyplot as plt\na = f()\nplt.figure()\nb = g(a)\nplt.plot(a)\nplt.title('t')",
        "1>3:a 1>4:a | 2+4+5",
    ),
    (
        "plt uses a value made between",
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nb = f()\nplt.plot(b)",
        "2>3:b | 1+3",
    ),
    ("os.environ", "import os\nos.environ['A'] = '1'\nx = os.environ['A']\ny = f()", "| 1+2"),
    ("os.environ is read", "import os\nx = os.environ.get('A')\ny = os.environ.get('B')", "| 1+2"),
    (
        "a bare call on a module",
        "import logging\nlogging.disable()\nx = logging.getLevelName(10)\ny = f()",
        "| 1+2",
    ),
    ("time.sleep is harmless", "import time\ntime.sleep(0)\na = time.time()\nb = 1", ""),
    ("an attribute of a module", "import json\njson.x = 1\na = json.loads('1')", "| 1+2"),
    ("used functions of a module", "import math\na = math.sqrt(2)\nb = math.sqrt(3)", ""),
    ("walrus", "b = (a := 1) + 1\nc = a", "0>1:a"),
    ("walrus in a condition", "if (a := f()):\n    b = 1\nc = a", "0>1:a"),
    ("walrus in a comprehension", "b = [x := i for i in range(3)]\nc = x", "0>1:x"),
    ("comprehension variables are local", "i = 1\na = [i for i in range(3)]\nb = i", "0>2:i"),
    ("comprehension reads outer names", "k = 2\na = [i * k for i in range(3)]\nk = 3", "0>1:k"),
    ("a generator is used up", "a = [1]\ng = (x for x in a)\nb = list(g)\nc = list(g)", "0>1:a | 1+2+3"),
    ("an iterator is used up", "it = iter([1, 2])\na = next(it)\nb = next(it)", "| 0+1+2"),
    ("map is lazy", "a = [1]\nm = map(str, a)\nb = list(m)\nc = a", "0>1:a 0>2:a 2>3:a | 1+2"),
    ("zip at once", "a, b = [1], [2]\nc = list(zip(a, b))\nd = a", "1>2:a | 0+1"),
    ("open file", "fh = open('x')\na = fh.read()\nb = f()", "| 0+1"),
    (
        "function reads a global",
        "k = 1\ndef f(x):\n    return x + k\na = f(1)\nk = 2\nb = f(1)",
        "0>2:k 3>4:k",
    ),
    (
        "functions call functions",
        "def f(x):\n    return g(x)\ndef g(x):\n    return x * k\nk = 1\na = f(1)\nb = f(2)",
        "2>3:k 2>4:k",
    ),
    (
        "function writes a global",
        "n = 0\ndef f():\n    global n\n    n += 1\nf()\nf()\na = n",
        "0>2:n 2>3:n 3>4:n",
    ),
    (
        "function changes a global",
        "log = []\ndef f(x):\n    log.append(x)\nf(1)\na = 2\nf(3)\nb = log",
        "0>2:log 2>4:log 4>5:log",
    ),
    ("function changes its argument", "def f(x):\n    x.append(1)\na = []\nf(a)\nb = a", "1>2:a 2>3:a"),
    (
        "used function changes its argument",
        "def f(x):\n    x.append(1)\n    return 2\na = []\nc = f(a)\nb = a",
        "1>2:a 2>3:a",
    ),
    (
        "function reads its argument",
        "def f(x):\n    return len(x)\na = []\nb = f(a)\nc = f(a)",
        "1>2:a 1>3:a",
    ),
    (
        "function returns its argument",
        "def f(x):\n    return x\na = []\nb = f(a)\nb.append(1)\nc = a",
        "1>2:a 1>3:a 3>4:a | 2+3",
    ),
    (
        "function returns a copy",
        "def f(x):\n    return list(x)\na = [1]\nb = f(a)\nb.append(1)\nc = a",
        "1>2:a 1>3:a 3>4:a | 2+3",
    ),
    (
        "function keeps its argument",
        "kept = []\ndef f(x):\n    kept.append(x)\na = []\nf(a)\na.append(1)\nb = kept",
        "0>3:kept 2>3:a 4>5:kept | 3+4",
    ),
    ("recursion", "def f(x):\n    return x if x < 1 else f(x - 1)\na = f(3)\nb = f(4)", ""),
    (
        "mutual recursion",
        "def f(x):\n    return g(x)\ndef g(x):\n    return f(x) if x else k\nk = 1\na = f(0)",
        "2>3:k",
    ),
    ("local names hide", "x = 1\ndef f():\n    x = 2\n    return x\na = f()", ""),
    (
        "closure",
        "def f(x):\n    def g():\n        return x\n    return g()\na = [1]\nb = f(a)\nb.append(1)\nc = a",
        "1>2:a 1>3:a 3>4:a | 2+3",
    ),
    (
        "nonlocal",
        "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    g()\n    return n\na = f()",
        "",
    ),
    (
        "closure that is kept",
        "def f(x):\n    return lambda: x\na = [1]\ng = f(a)\na = 2\nb = g()",
        "1>2:a | 2+4",
    ),
    ("lambda", "k = 1\nf = lambda x: x + k\na = f(1)\nk = 2\nb = f(1)", "0>2:k 3>4:k"),
    ("lambda as a key", "k = 1\na = [1]\nb = sorted(a, key=lambda x: x * k)\nk = 2", "0>2:k 1>2:a"),
    ("function as an argument", "k = 1\ndef f(x):\n    return x + k\na = list(map(f, [1]))\nk = 2", "0>2:k"),
    ("kept lambda, nothing changes", "k = 1\nfs = [lambda x: x + k]\na = fs[0](1)", "0>1:k 1>2:fs"),
    ("del", "a = 1\nb = a\ndel a\nc = b", "0>1:a 0>2:a 1>3:b"),
    ("del of an item", "a = {'k': 1}\ndel a['k']\nb = a", "0>1:a 1>2:a"),
    ("del and bind", "a = 1\ndel a\na = 2\nb = a", "0>1:a 2>3:a"),
    ("with", "with f() as x:\n    y = x\nz = y", "0>1:y"),
    ("try", "a = 1\ntry:\n    a = f()\nexcept ValueError as e:\n    b = e\nc = a", "0>1:a 1>2:a"),
    ("for", "t = 0\nfor i in range(3):\n    t += i\na = t", "0>1:t 1>2:t"),
    ("for changes elements", "a = [[1], [2]]\nfor x in a:\n    x.append(0)\nb = a", "0>1:a 1>2:a"),
    ("for else", "for i in []:\n    a = 1\nelse:\n    a = 2\nb = a", "0>1:a"),
    ("while", "n = 3\nwhile n:\n    n -= 1\na = n", "0>1:n 1>2:n"),
    ("if keeps the old", "a = 1\nif f():\n    a = 2\nb = a", "0>1:a 1>2:a"),
    ("if else", "if f():\n    a = 1\nelse:\n    a = 2\nb = a", "0>1:a"),
    (
        "match",
        "s = f()\nmatch s:\n    case [x, *rest]:\n        y = x\n    case {'k': v, **more}:\n        y = v\nz = y",
        "0>1:s 1>2:y",
    ),
    (
        "harmless decorator",
        "import functools\n@functools.cache\ndef f(x):\n    return x\na = f(1)\nb = f(1)",
        "",
    ),
    ("own decorator", "def d(f):\n    return f\n@d\ndef g(x):\n    return x\na = g(1)", "| 1+2"),
    ("default is a value", "k = [1]\ndef f(x=k):\n    return x\na = f()\nb = k", "0>1:k 0>2:k 2>3:k | 1+2"),
    ("class", "class P:\n    pass\np = P()\nq = P()", "0>1:P 0>2:P"),
    ("class body reads", "k = 1\nclass P:\n    x = k\na = P.x", "0>1:k 1>2:P"),
    (
        "method changes self",
        "class P:\n    def m(self):\n        self.n = 1\np = P()\np.m()\nq = p",
        "0>1:P 1>2:p 2>3:p",
    ),
    (
        "methods reach globals",
        "log = []\nclass P:\n    def m(self):\n        return len(log)\np = P()\na = p.m()",
        "0>1:log 0>3:log 1>2:P 2>3:p",
    ),
    ("subclass", "class A:\n    pass\nclass B(A):\n    pass\nb = B()", "0>1:A 1>2:B"),
    ("star unpacking", "a = [[1], [2], [3]]\nx, *y = a\ny[0].append(1)\nb = a", "0>1:a 0>2:a 2>3:a | 1+2"),
    ("nested unpacking", "(a, b), c = (1, 2), 3\nd = b", "0>1:b"),
    ("star in a call", "a = [1]\nb = f(*a)\nc = a", "0>1:a 0>2:a"),
    ("f-string", "a = 1\nw = 5\nb = f'{a:>{w}}'", "0>2:a 1>2:w"),
    ("f-string with a call", "a = [1]\nb = f'{a.pop()}'\nc = a", "0>1:a 1>2:a"),
    ("await", "a = await f()\nb = await g(a)\nc = 1", "0>1:a"),
    ("coroutine that waits", "async def f(x):\n    return x\nc = f(1)\na = await c", "| 1+2"),
    ("async for", "async for i in f():\n    a = i\nb = a", "0>1:a"),
    ("async with", "async with f() as x:\n    a = x\nb = a", "0>1:a"),
    ("commands", "get_ipython().system('ls')\na = f()\nb = get_ipython().getoutput('ls {a}')", "1>2:a | 0+2"),
    ("timed", "a = f()\nget_ipython().run_line_magic('time', 'b = a + 1')\nc = b", "0>1:a 1>2:b"),
    ("timed and bound", "a = f()\nb = get_ipython().run_line_magic('time', 'g(a)')\nc = b", "0>1:a 1>2:b"),
    ("timed often", "a = f()\nget_ipython().run_line_magic('timeit', '-n 3 len(a)')\nb = a", "0>1:a 0>2:a"),
    (
        "figures are set up where they are drawn",
        "import matplotlib.pyplot as plt\nget_ipython().run_line_magic('matplotlib', 'inline')\n"
        "get_ipython().run_line_magic('config', 'InlineBackend.dpi = 50')\nplt.plot([1])\na = 1",
        "| 1+2+3",
    ),
    ("print order needs no edge", "print(1)\nprint(2)\na = 3", ""),
    ("print of a name", "a = f()\nprint(a)\nprint(a)", "0>1:a 0>2:a"),
    ("names of the notebook", "a = data + 1\nb = data + 2", ""),
    ("names of the notebook that are changed", "data.append(1)\na = data", "0>1:data"),
    ("annotated", "a: int = 1\nb: 'str'\nc = a", "0>2:a"),
    ("identity", "a = [1]\nb = a\nc = a is b\nd = a is None", "0>1:a 0>2:a 0>3:a | 1+2"),
    ("imports are shared", "import math\nfrom json import loads\na = math.pi\nb = loads('1')", ""),
    ("an unused import runs", "import this_module\na = 1", ""),
    (
        "import in a block",
        "try:\n    import json\nexcept ImportError:\n    json = None\na = json",
        "0>1:json",
    ),
    ("assert and raise", "a = 1\nassert a\nb = 2", "0>1:a"),
    ("docstring", "'text'\na = 1", ""),
    ("nested items", "a = {'x': {'y': [1]}}\nb = a['x']\nb['y'].append(2)\nc = a", "0>1:a 0>2:a 2>3:a | 1+2"),
    ("circle", "a = [1]\nb = a\nc = f(b)\nb.append(c)\nd = a", "0>1:a 0>3:a 3>4:a | 1+2+3"),
    ("frames are known by family", "d = frame.mean()\ne = frame.std()\nf = frame", ""),
    (
        "arrays are known by family",
        "v = array[1:]\ns = array.sum()\nt = array + 1\nt[0] = 2\nu = array",
        "2>3:t",
    ),
    ("in place on a known frame", "frame.insert(0, 'x', 1)\na = frame", "0>1:frame"),
    ("view of a known array", "v = array.reshape(2, 2)\nv[0] = 1\na = array", "1>2:array | 0+1"),
]

STUCK = [
    ("from m import *\na = 1", 1, "from m import * binds names that are not in the cell"),
    ("a = 1\nexec('a = 2')", 2, "exec() runs code that is not in the cell"),
    ("a = eval('1')", 1, "eval() runs code that is not in the cell"),
    ("globals()['a'] = 1", 1, "globals() may read and write every name"),
    ("a = 1\nb = locals()", 2, "locals() may read and write every name"),
    ("get_ipython().run_line_magic('run', 'f.py')", 1, "%run may read and write every name"),
    ("get_ipython().run_line_magic('timeit', 'x = 1')", 1, "%timeit may read and write every name"),
    ("get_ipython().run_line_magic('time', 'import x')", 1, "%time may read and write every name"),
    (
        "get_ipython().run_line_magic('config', 'Application.x = 1')",
        1,
        "%config may read and write every name",
    ),
    ("get_ipython().run_cell_magic('time', '', 'a = 1')", 1, "%time may read and write every name"),
    ("k = 1\nfs = [lambda: k]\nk = 2\na = fs[0]()", 2, "keeps a function that reads k, which line 3 changes"),
    ("n = 0\ndef f():\n    global n\n    n += 1\ng = [f]", 4, "keeps a function that binds n"),
    ("a = f()\ndef f():\n    return 1", 1, "uses f, which is defined only later"),
    ("def f():\n    return 1\nf = g(f)", 1, "f is a function and is bound elsewhere too"),
    ("x = input('?')", 1, "input() asks for input, which nobody can answer on an engine"),
    ("def f():\n    return 1\ndel f", 1, "f is a function and is bound elsewhere too"),
    ("a = 1\nbreakpoint()", 2, "breakpoint() stops for the debugger"),
]


def drawn(graph):
    edges = [
        f"{one}>{other}:{','.join(sorted(names))}" for (one, other), names in sorted(graph.edges.items())
    ]
    nodes = ["+".join(map(str, node)) for node in graph.together]
    return " ".join([*edges, *(["|"] if nodes else []), *nodes])


@pytest.mark.parametrize(
    ("source", "expected"), [cell[1:] for cell in CELLS], ids=[cell[0] for cell in CELLS]
)
def test_the_edges_of_a_cell(source, expected):
    graph = graph_of(source, AROUND)
    assert graph.stuck is None
    assert drawn(graph) == expected


@pytest.mark.parametrize(("source", "line", "reason"), STUCK)
def test_what_cannot_be_analysed_is_said_and_is_one_node(source, line, reason):
    graph = graph_of(source, AROUND)
    assert graph.stuck == (line, reason)
    assert list(graph.nodes) == [0]
    assert len(graph.nodes[0].statements) == len(graph.statements)


def test_there_are_cells_enough():
    assert len(CELLS) >= 120
    assert len({name for name, _, _ in CELLS}) == len(CELLS)


def test_what_stays_together_has_a_reason():
    graph = graph_of("a = f()\nb = a[1:]\nb[0] = 1\nc = a", AROUND)
    assert graph.reasons == ((1, 2, "a and b may share an object; line 3 sets an item of it"),)


def test_pure_names_change_nothing():
    around = Surroundings(names=frozenset("m"), pure=frozenset(["predict", "show"]))
    graph = graph_of("a = m.predict(1)\nb = m.predict(2)\nshow(m)\nc = m", around)
    assert drawn(graph) == ""
    assert (
        drawn(graph_of("a = m.predict(1)\nb = m.predict(2)", Surroundings(names=frozenset("m")))) == "| 0+1"
    )


def test_what_becomes_known_relaxes_the_order():
    source = "d = load()\na = d.mean()\nb = d.std()\nc = d"
    around = Surroundings(modules={"load": "lib.load"}, names=frozenset(["load"]))
    before = graph_of(source, around)
    assert drawn(before) == "0>1:d 2>3:d | 1+2"
    assert {"d"} <= before.statements[1].effects.unsettled
    assert drawn(graph_of(source, around, {(0, "d"): FRAME})) == "0>1:d 0>2:d 0>3:d"


def test_what_makes_frames_and_arrays_is_known():
    source = "import pandas as pd\nd = pd.read_csv('x'{})\na = d.mean()\nb = d.std()"
    assert drawn(graph_of(source.format(""))) == "1>2:d 1>3:d"
    assert drawn(graph_of(source.format(", chunksize=5"))) == "1>2:d | 2+3"
    assert drawn(graph_of("import numpy as np\na = np.zeros(3)\nb = a.sum()\nc = a.max()")) == "1>2:a 1>3:a"


def test_names_of_the_notebook_that_share_an_object_are_written_together():
    around = Surroundings(names=frozenset("xy"), aliases=(frozenset("xy"),))
    assert drawn(graph_of("x.append(1)\na = y", around)) == "0>1:y"
    assert drawn(graph_of("x.append(1)\na = y", Surroundings(names=frozenset("xy")))) == ""


def test_functions_of_the_notebook_are_read_like_those_of_the_cell():
    around = Surroundings(
        names=frozenset(["grow", "k", "a"]), functions={"grow": "def grow(x):\n    x.append(k)\n"}
    )
    graph = graph_of("b = grow(a)\nc = a", around)
    assert drawn(graph) == "0>1:a"
    assert graph.nodes[0].inputs == {-1: frozenset(["a", "k"])}
    assert graph.nodes[0].definitions == (-1,)


def test_names_that_become_futures():
    graph = graph_of("import math\ndef f(): pass\na = _b = 1\nc = 2\ndel c\nfor i in []:\n    d = i", AROUND)
    assert set(graph.final) == {"a", "i", "d"}
