"""Tracebacks from engines name the notebook's cells; files that are files keep their paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from nbcluster.client.cellfutures import error_of
from nbcluster.client.outcomes import exception_of
from nbcluster.errors import RemoteError, RemoteTraceback
from nbcluster.ids import EngineNumber
from nbcluster.payload.errors import dump_exception
from nbcluster.protocol import messages as m

ENGINE = EngineNumber(0)


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    made = InteractiveShell.instance()
    yield made
    InteractiveShell.clear_instance()


def raised_by(shell: InteractiveShell, code: str) -> BaseException:
    names: dict[str, Any] = {}
    exec(compile(code, shell.compile.cache(code, 4), "exec"), names)
    try:
        names["fail"]()
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


def test_the_traceback_of_a_call_names_its_cell(shell: InteractiveShell) -> None:
    error = raised_by(shell, "import json\ndef fail():\n    json.loads('{')\n")
    told = exception_of(dump_exception(error), "fail", ENGINE)
    assert told is not None
    assert isinstance(told.__cause__, RemoteTraceback)
    lines = told.__cause__.text.splitlines()
    assert "  Cell In[4], line 3, in fail" in lines
    assert f'File "{json_file()}", line ' in told.__cause__.text


def json_file() -> str:
    import json

    return json.__file__


def test_every_error_of_a_group_names_its_cell(shell: InteractiveShell) -> None:
    error = raised_by(shell, "def fail():\n    raise ExceptionGroup('two', [ValueError(1)])\n")
    told = exception_of(dump_exception(error), "fail", ENGINE)
    assert told is not None
    assert "  |   Cell In[4], line 2, in fail" in str(told.__cause__)


def test_what_a_kernel_has_drawn_names_the_cells_of_shipped_functions(shell: InteractiveShell) -> None:
    file = shell.compile.cache("def half(x):\n    return x / 0\n", 7)
    drawn = (
        "Cell \x1b[32mIn[9], line 2\x1b[0m",
        f"\x1b[36mFile \x1b[39m\x1b[32m{file}:2\x1b[39m, in half(x)\n      1 def half(x):",
        "\x1b[36mFile \x1b[39m\x1b[32m/home/me/lib.py:8\x1b[39m, in deeper()",
    )
    told = error_of(m.Raised("ZeroDivisionError", "division by zero", drawn), ENGINE)
    assert isinstance(told, RemoteError)
    assert told.traceback == (
        drawn[0],
        "\x1b[36m\x1b[39m\x1b[32mCell In[7], line 2\x1b[39m, in half(x)\n      1 def half(x):",
        drawn[2],
    )


def test_without_a_notebook_nothing_is_renamed() -> None:
    drawn = ('  File "/tmp/ipykernel_1/2.py", line 2, in half',)
    told = error_of(m.Raised("E", "v", drawn), ENGINE)
    assert isinstance(told, RemoteError)
    assert told.traceback == drawn
