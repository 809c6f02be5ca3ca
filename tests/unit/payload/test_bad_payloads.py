"""What cannot be pickled or unpickled is named, with the place where it sits and what to do."""

from __future__ import annotations

import json
import pickle
import re
import threading
from typing import Any

import pytest

from nbcluster.errors import NotSerializable, UsageError
from nbcluster.payload.functions import FunctionDumper, FunctionLoader
from nbcluster.payload.sizes import approximate_size, huge, readable
from nbcluster.payload.values import ArgumentDumper, Ref, dump_value, load_args, load_value
from nbcluster.payload.versions import check_python


class Layer:
    """Something of a model."""

    def __init__(self, lock: Any = None) -> None:
        self.lock = lock


class Model:
    """Has layers."""

    def __init__(self, *layers: Layer) -> None:
        self.layers = list(layers)


class Refuses:
    """Cannot be pickled, by its own words."""

    def __getstate__(self) -> Any:
        raise RuntimeError("not today")


class Slotted:
    """Has slots."""

    __slots__ = ("inner",)

    def __init__(self, inner: Any) -> None:
        self.inner = inner


def fit(model: Any, *rest: Any, rate: Any = None) -> None:
    """Take what is pickled here."""


def deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


LOCK = threading.Lock()

ARGUMENTS = [
    ((Model(Layer(), Layer(LOCK)),), {}, "argument 'model' -> .layers[1] -> .lock: cannot pickle '_thread.lock'"),
    ((LOCK,), {}, "argument 'model': cannot pickle '_thread.lock' object; make it in the function"),
    ((1,), {"rate": {"a": [0, 1, 2, LOCK]}}, "argument 'rate' -> ['a'][3]: cannot pickle '_thread.lock'"),
    (([{LOCK: 1}],), {}, "argument 'model' -> [0][the key <unlocked _thread.lock"),
    (((i for i in ()),), {}, "argument 'model': a generator cannot be pickled; pass a list, or make it in"),
    ((1, 2, {3: Slotted([LOCK])}), {}, "argument 3 -> [3] -> .inner[0]: cannot pickle '_thread.lock'"),
    (([0] * 100_000 + [LOCK],), {}, "argument 'model' -> [100000]: cannot pickle"),
    ((Refuses(),), {}, "argument 'model': a Refuses cannot be pickled: RuntimeError: not today"),
    ((deep(100_000),), {}, "argument 'model': a list is nested too deeply to be pickled; flatten it"),
    (({1, LOCK},), {}, "argument 'model' -> [an element]: cannot pickle"),
    ((open(__file__, "rb"),), {}, "argument 'model': cannot pickle .*BufferedReader.*; pass the file's path"),  # noqa: SIM115
]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "kwargs", "message"), ARGUMENTS, ids=lambda each: each if isinstance(each, str) else ""
)
def test_an_argument_that_cannot_be_pickled(args: Any, kwargs: Any, message: str) -> None:
    dumper = ArgumentDumper(FunctionDumper())
    with pytest.raises(NotSerializable, match="^" + re.escape(message).replace(r"\.\*", ".*")):
        dumper.dump(args, kwargs, fit)


def test_the_last_argument_is_closed() -> None:
    for args, _, message in ARGUMENTS:
        if "file's path" in message:
            args[0].close()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [0, 1, 2, LOCK]}, "the result -> ['a'][3]: cannot pickle '_thread.lock' object"),
        ((i for i in ()), "the result: a generator cannot be pickled"),
        (Model(Layer(LOCK)), "the result -> .layers[0] -> .lock: cannot pickle"),
    ],
)
def test_a_result_that_cannot_be_pickled(value: Any, message: str) -> None:
    with pytest.raises(NotSerializable, match="^" + re.escape(message)):
        dump_value(value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(): return lock", "function f captures the name 'lock': cannot pickle '_thread.lock' object"),
        (
            "def h(): return lock\ndef f(): return h()",
            "function f captures the name 'h', which captures the name 'lock': cannot pickle",
        ),
        (
            "things = {'a': [lock]}\ndef f(): return things",
            "function f captures the name 'things' -> ['a'][0]: cannot pickle",
        ),
        (
            "def make(x):\n  def f(): return x\n  return f\nf = make(lock)",
            "function f captures the variable 'x': cannot pickle",
        ),
        ("def f(x=lock): return x", "function f has a default value -> [0]: cannot pickle"),
        ("def f(): pass\nf.kept = lock", "function f -> .kept: cannot pickle"),
        (
            "class C:\n  kept = lock\ndef f(): return C",
            "function f captures the name 'C' -> .kept: cannot pickle",
        ),
        (
            "class f:\n  def m(self): return lock",
            "class f -> .m, which captures the name 'lock': cannot pickle",
        ),
    ],
)
def test_a_function_that_cannot_be_pickled(notebook: Any, source: str, message: str) -> None:
    notebook.run(f"import threading\nlock = threading.Lock()\n{source}")
    with pytest.raises(NotSerializable, match="^" + re.escape(message)):
        notebook.functions.dump(notebook["f"])


def test_a_function_inside_an_argument_is_named(notebook: Any) -> None:
    notebook.run("import threading\nlock = threading.Lock()\ndef f(): return lock")
    with pytest.raises(
        NotSerializable, match=r"^argument 'model' -> \[0\], which captures the name 'lock': cannot"
    ):
        notebook.arguments.dump(([notebook["f"]],), {}, fit)


def test_what_a_future_says_is_said() -> None:
    def refuse(_: Any) -> str:
        raise UsageError("this Future is of another cluster")

    with pytest.raises(UsageError, match="another cluster"):
        ArgumentDumper(FunctionDumper(), (Layer,), refuse).dump(([Layer()],), {}, fit)


# -- reading -------------------------------------------------------------------------------------


def named(module: str, name: str) -> bytes:
    """Return a pickle that names something of a module."""
    return (
        pickle.PROTO
        + b"\x05"
        + b"\x8c"
        + bytes([len(module)])
        + module.encode()
        + b"\x94\x8c"
        + bytes([len(name)])
        + name.encode()
        + b"\x94\x93."
    )


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (
            named("nowhere_to_be_found", "f"),
            "the result needs the module 'nowhere_to_be_found', which engine 2 does not have; install it there",
        ),
        (named("json", "Nope"), "the result needs something that engine 2 does not have: .*'Nope'.*json"),
        (pickle.dumps(1)[:-1], "the result cannot be unpickled by engine 2: EOFError"),
        (
            named("json", "loads")[:-1] + b"]R.",
            "the result cannot be unpickled by engine 2: TypeError: argument list",
        ),
    ],
)
def test_a_value_that_cannot_be_unpickled(payload: bytes, message: str) -> None:
    with pytest.raises(NotSerializable, match=message):
        load_value(payload, loader=FunctionLoader(where="engine 2"))


def test_a_module_that_the_engine_lacks(
    notebook: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_in_the_notebook.py").write_text("def g(): return 1\nclass C: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    notebook.run(
        "import only_in_the_notebook as m\nfrom only_in_the_notebook import C\ndef f(x=None): return m.g()"
    )
    message = r"needs the module 'only_in_the_notebook', which engine 2 does not have; install it there"
    for call in (("f",), ("m.g",), ("f", "C()")):
        with pytest.raises(NotSerializable, match=message):
            notebook.call(*(notebook[each] for each in call))


def test_a_ref_is_the_engines_own_value(notebook: Any, engine: Any) -> None:
    engine.run("part = [1, 2, 3]")
    notebook.run("def f(x): return x[0], x[0] is part")
    assert notebook.call(notebook["f"], (Ref("part"),)) == ([1, 2, 3], True)
    with pytest.raises(
        NameError, match=r"name 'nope' is not defined on engine 2: Ref\('nope'\) asked for it"
    ):
        notebook.call(notebook["f"], Ref("nope"))


@pytest.mark.parametrize("name", ["", "a b", "1x", "a.b", 3])
def test_a_ref_is_a_name(name: Any) -> None:
    with pytest.raises(ValueError, match="a name like 'x' is needed"):
        Ref(name)


def test_a_ref_tells_the_namespace_that_lacks_it() -> None:
    payload = ArgumentDumper(FunctionDumper()).dump((Ref("x"),), {}).payload
    with pytest.raises(NameError, match="not defined in the namespace 'exp1' on engine 2"):
        load_args(
            payload, namespace={"__name__": "nbcluster.ns.exp1"}, loader=FunctionLoader(where="engine 2")
        )


def test_our_bytes_read_by_pickle_say_so(notebook: Any) -> None:
    notebook.run("def f(): return 1")
    with pytest.raises(RuntimeError, match=r"read them with nbcluster\.payload"):
        pickle.loads(dump_value(notebook["f"]).payload)


# -- sizes and versions --------------------------------------------------------------------------


def test_huge_values_are_named() -> None:
    import numpy as np
    import pandas as pd

    values = {
        "array": np.zeros(4 << 20),
        "table": pd.DataFrame({"a": np.zeros(3 << 20)}),
        "text": "x" * (17 << 20),
        "rows": [b"x" * 1000] * 20_000,
        "small": [1, 2],
        "held": Layer({"k": np.zeros(3 << 20)}),
    }
    assert {name for name, _ in huge(values)} == {"array", "table", "text", "rows", "held"}
    assert huge(values)[0] == ("array", 32 << 20)
    assert huge({"array": values["array"]}, limit=64 << 20) == []


def test_a_size_that_raises_is_unknown() -> None:
    class Odd:
        @property
        def nbytes(self) -> int:
            raise RuntimeError

    assert approximate_size(Odd()) < 100


def test_a_module_goes_by_its_name() -> None:
    assert approximate_size(json) == 64
    assert readable(approximate_size(json)) == "64 bytes"


def test_minor_versions_must_be_equal() -> None:
    assert check_python("3.11.7", "3.11.2") is None
    said = check_python("3.11.7", "3.12.1", "engine 2")
    assert said is not None
    assert said.startswith("engine 2 runs Python 3.12.1 and this notebook 3.11.7: functions")
