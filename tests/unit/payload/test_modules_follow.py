"""Engines load a user's module again when the notebook has a newer version of it, and only then."""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbcluster.payload.modules import MODULES, Modules

_clock = iter(range(1_700_000_000, 1_800_000_000, 10))

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules into a folder that both sides import from; each is seconds younger than the one before."""
    engine.ask("path", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    names = []

    def write(name: str, text: str) -> None:
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        now = next(_clock)
        os.utime(path, (now, now))
        names.append(name)
        importlib.invalidate_caches()

    yield write
    for name in names:
        sys.modules.pop(name, None)


def reload(name: str) -> None:
    importlib.reload(sys.modules[name])


def test_an_edited_module_that_is_imported_again_is_followed(notebook: Any, write: Write) -> None:
    write("followed_a", "def g(): return 1")
    notebook.run("import followed_a\ndef f(): return followed_a.g()")
    assert notebook.call(notebook["f"]) == 1
    assert notebook.call(notebook["followed_a.g"]) == 1
    write("followed_a", "def g(): return 22")
    # The notebook still has the old one, and so the engine.
    assert notebook.call(notebook["f"]) == 1
    assert notebook.call(notebook["followed_a.g"]) == 1
    reload("followed_a")
    assert notebook.call(notebook["f"]) == 22
    assert notebook.call(notebook["followed_a.g"]) == 22


def test_a_module_that_a_cell_of_the_engine_imported_is_followed(
    notebook: Any, engine: Any, write: Write
) -> None:
    write("followed_b", "def g(): return 1")
    engine.run("import followed_b")
    write("followed_b", "def g(): return 22")
    notebook.run("import followed_b\ndef f(): return followed_b.g()")
    assert notebook.call(notebook["f"]) == 22


def test_a_notebook_with_an_older_version_does_not_take_the_engine_back(
    notebook: Any, engine: Any, write: Write
) -> None:
    write("followed_c", "def g(): return 1")
    notebook.run("import followed_c\ndef f(): return followed_c.g()")
    notebook.functions.dump(notebook["f"])
    write("followed_c", "loads = 0\ndef g(): return 22")
    engine.run("import followed_c\nfollowed_c.loads += 1")
    assert notebook.call(notebook["f"]) == 22
    engine.run("assert followed_c.loads == 1")


def test_a_module_that_is_used_by_the_one_that_is_named_is_followed(notebook: Any, write: Write) -> None:
    write("followed_d", "def g(): return 1")
    write("followed_e", "import followed_d\ndef h(): return followed_d.g()")
    notebook.run("import followed_e\ndef f(): return followed_e.h()")
    assert notebook.call(notebook["f"]) == 1
    write("followed_d", "def g(): return 22")
    reload("followed_d")
    assert notebook.call(notebook["f"]) == 22


def test_instances_of_a_module_are_of_its_new_class(notebook: Any, write: Write) -> None:
    write("followed_f", "class C:\n  def m(self): return 1")
    notebook.run("import followed_f\ndef f(c): return c.m()")
    assert notebook.call(notebook["f"], notebook["followed_f.C()"]) == 1
    write("followed_f", "class C:\n  def m(self): return 22")
    reload("followed_f")
    assert notebook.call(notebook["f"], notebook["followed_f.C()"]) == 22


def test_a_module_with_an_error_says_so(notebook: Any, write: Write) -> None:
    write("followed_g", "def g(): return 1")
    notebook.run("import followed_g\ndef f(): return followed_g.g()")
    assert notebook.call(notebook["f"]) == 1
    write(
        "followed_g",
        "import os\ndef g(): return os.getpid()\nif os.environ.get('FAR'): raise OSError('disk')\nX = 1",
    )
    reload("followed_g")
    assert notebook.call(notebook["f"]) > 1


@pytest.mark.parametrize(
    ("theirs", "edited", "loads"),
    [(+1, False, 1), (+1, True, 2), (-1, True, 1), (0, True, 1)],
    ids=["another file there", "a newer version", "an older version", "the same version"],
)
def test_only_a_newer_version_of_the_file_here_is_loaded(
    write: Write, theirs: int, edited: bool, loads: int
) -> None:
    text = "import builtins\nbuiltins.loads_for_test = getattr(builtins, 'loads_for_test', 0) + 1\n"
    write("followed_j", text)
    module = importlib.import_module("followed_j")
    mine = Modules()
    stamp = mine.stamp(module)
    assert stamp is not None
    if edited:
        write("followed_j", f"{text}X = 1\n")
    mine.follow((stamp._replace(mtime_ns=stamp.mtime_ns + theirs),))
    assert vars(builtins).pop("loads_for_test") == loads


def test_what_is_installed_is_not_followed(write: Write) -> None:
    import json

    import numpy as np

    import nbcluster

    assert [MODULES.stamps(module) for module in (json, np, nbcluster, sys)] == [(), (), (), ()]
    write("followed_h", "import json\nX = 1")
    (stamp,) = MODULES.stamps(importlib.import_module("followed_h"))
    assert stamp.module == "followed_h"


def test_a_module_edited_before_it_was_first_seen_is_not_taken_for_the_new_one(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # the compiled file tells
    write("followed_i", "X = 1")
    module = importlib.import_module("followed_i")
    write("followed_i", "X = 22")
    edited = os.stat(module.__file__).st_mtime_ns  # type: ignore[type-var]  # it has a file
    stamp = MODULES.stamp(module)
    assert stamp is not None
    assert stamp.mtime_ns < edited
    importlib.reload(module)
    stamp = MODULES.stamp(module)
    assert stamp is not None
    assert stamp.mtime_ns == edited
