"""Exceptions keep their class, text, notes and chain where they can, and are carried where they cannot."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import linecache
import re
import threading
from typing import Any

import pytest

from nbcluster.errors import RemoteError, RemoteTraceback, TaskCancelled
from nbcluster.payload.errors import dump_exception, load_exception
from nbcluster.protocol.outcomes import Threw
from nbcluster.testing.frames import frames_of_ours


class NeedsTwo(Exception):
    """Its constructor does not take its args."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Keyword(ValueError):
    """Its constructor takes keywords alone."""

    def __init__(self, *, where: str) -> None:
        super().__init__()
        self.where = where

    def __str__(self) -> str:
        return f"at {self.where}"


class Mute(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError


def raised(error: BaseException) -> BaseException:
    """Return an exception as it is after it was raised."""
    try:
        raise error
    except BaseException as caught:
        return caught


def there_and_back(error: BaseException) -> BaseException:
    return load_exception(dump_exception(raised(error)), 2)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyError("k"),
        ZeroDivisionError(),
        NeedsTwo(4, "five"),
        Keyword(where="home"),
        FileNotFoundError(2, "No such file", "x.txt"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ModuleNotFoundError("No module", name="m"),
        ExceptionGroup("many", [ValueError(1), KeyError("k")]),
        SyntaxError("bad", ("f.py", 1, 2, "x y", 1, 3)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_class_and_all_it_says_come_home(error: Exception) -> None:
    error.add_note("a note")
    again = there_and_back(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.__notes__ == ["a note"]
    cause = again.__cause__
    assert isinstance(cause, RemoteTraceback)
    assert cause.engine == 2
    assert "in raised" in cause.text
    assert str(cause).startswith("on engine 2\n")


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt("stop"),
        SystemExit(3),
        GeneratorExit(),
        asyncio.CancelledError("gone"),
        concurrent.futures.CancelledError("gone"),
        TaskCancelled("gone"),
        StopIteration(4),
        StopAsyncIteration(),
        BaseExceptionGroup("many", [KeyboardInterrupt()]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_would_mean_something_else_here_is_carried(error: BaseException) -> None:
    again = there_and_back(error)
    assert type(again) is RemoteError
    assert again.ename == type(error).__name__
    assert again.evalue == str(error)
    assert again.engine == 2
    assert any("in raised" in line for line in again.traceback)


def test_a_chain_is_kept() -> None:
    try:
        try:
            try:
                raise KeyError("first")
            except KeyError as first:
                raise NeedsTwo(1, "second") from first
        except NeedsTwo:
            raise ValueError("third")  # noqa: B904  # the context is what is tested
    except ValueError as third:
        again = load_exception(dump_exception(third), 0)
    second = again.__context__
    assert isinstance(second, NeedsTwo)
    assert isinstance(second.__context__, KeyError)
    assert again.__suppress_context__  # the remote traceback has it already
    text = again.__cause__.text  # type: ignore[union-attr]  # it is a RemoteTraceback
    assert text.index("first") < text.index("second") < text.index("third")


def test_a_cause_that_cannot_be_sent_does_not_take_the_error_with_it() -> None:
    try:
        raise ValueError("outer") from KeyError(threading.Lock())
    except ValueError as error:
        threw = dump_exception(error)
    assert re.search("KeyError.*lock", threw.unsent)
    again = load_exception(threw)
    assert type(again) is ValueError
    assert isinstance(again.__context__, RemoteError)
    assert again.__context__.ename == "KeyError"


def test_from_none_is_kept() -> None:
    try:
        try:
            raise KeyError("hidden")
        except KeyError:
            raise ValueError("shown") from None
    except ValueError as error:
        again = load_exception(dump_exception(error))
    assert again.__context__ is None


def test_an_error_that_cannot_be_sent_is_a_remote_error_that_says_why() -> None:
    threw = dump_exception(raised(ValueError("held", threading.Lock())))
    assert threw.exception == b""
    again = load_exception(threw, 1)
    assert type(again) is RemoteError
    assert (again.ename, again.engine) == ("ValueError", 1)
    assert "cannot pickle '_thread.lock' object" in again.__notes__[0]
    assert "the exception ValueError" in again.__notes__[0]


def test_an_error_whose_class_is_missing_here() -> None:
    threw = dump_exception(raised(NeedsTwo(1, "two")))
    elsewhere = threw.exception.replace(b"NeedsTwo", b"NeedsTen")
    again = load_exception(Threw(threw.ename, threw.evalue, threw.traceback, elsewhere), 2)
    assert type(again) is RemoteError
    assert again.ename == "NeedsTwo"
    assert again.evalue == "1: two"
    assert again.traceback == threw.traceback
    assert "NeedsTen" in again.__notes__[0]


def test_an_error_without_a_text() -> None:
    threw = dump_exception(raised(Mute()))
    assert threw.evalue == "<its text could not be made: RuntimeError>"
    assert type(load_exception(threw)) is Mute


def test_what_the_kernel_drew_is_what_is_shown() -> None:
    threw = dump_exception(raised(ValueError("no")), drawn=["line 1", "line 2"])
    assert threw.traceback == ("line 1", "line 2")
    again = load_exception(threw, 3)
    assert str(again.__cause__) == "on engine 3\nline 1\nline 2"


def test_an_exception_of_the_notebook_is_its_own_class_again(notebook: Any) -> None:
    notebook.run(
        "class Mine(Exception):\n  def __init__(self, a, b):\n    super().__init__(a)\n    self.b = b\n"
        "def f(): raise Mine(1, 2)"
    )
    with pytest.raises(notebook["Mine"]) as caught:
        notebook.call(notebook["f"])
    assert (caught.value.args, caught.value.b) == ((1,), 2)
    assert "in f" in str(caught.value.__cause__)
    assert not frames_of_ours(str(caught.value.__cause__))


def test_a_traceback_shows_the_notebooks_lines(notebook: Any) -> None:
    cell = "def inner(x):\n    return 1 / x  # the culprit\ndef f():\n    return inner(0)\n"
    linecache.cache["/tmp/ipykernel_1/cell.py"] = (len(cell), None, cell.splitlines(keepends=True), "cell")
    exec(compile(cell, "/tmp/ipykernel_1/cell.py", "exec", dont_inherit=True), notebook.names)
    dumped = notebook.functions.dump(notebook["f"])
    assert dumped.payload.count(b"# the culprit") == 1
    with pytest.raises(ZeroDivisionError) as caught:
        notebook.call(notebook["f"])
    assert "return 1 / x  # the culprit" in str(caught.value.__cause__)


def test_an_exception_of_the_engine_comes_with_its_class(notebook: Any, engine: Any) -> None:
    engine.run("class Theirs(Exception): pass\ndef g(): raise Theirs('x')")
    notebook.run("def f(): g()")
    with pytest.raises(Exception, match="x") as caught:
        notebook.call(notebook["f"])
    assert type(caught.value).__name__ == "Theirs"


def test_exceptions_travel_as_before_where_dask_is_imported() -> None:
    pytest.importorskip("tblib")  # Dask has it pickle all exceptions in its own way, in the whole process
    importlib.import_module("dask.multiprocessing")
    for error in (
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        SyntaxError("bad", ("f.py", 1, 2, "x", 1, 3)),
    ):
        assert str(there_and_back(error)) == str(error)
    hidden = ValueError("shown")
    hidden.__context__ = KeyError("hidden")
    assert b"tblib" not in dump_exception(raised(hidden)).exception
