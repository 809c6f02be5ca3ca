"""Runs statements of a cell in a namespace of their own, on values that others made. Knows no graphs, no scheduler."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbcluster.errors import NotSerializable
from nbcluster.payload.sources import show
from nbcluster.payload.values import dump_value

MARK = "application/x-nbcluster-statement"
"""Media type of what is displayed between the output of one statement and that of the next."""

_SIMPLE = (int, float, complex, bool, str, bytes, type(None))
_ELEMENTS = 10_000
"""Elements of a container that are looked at to say what it holds."""


@dataclass(frozen=True)
class Step:
    """One statement.

    Attributes
    ----------
    number : int
        Its number in the source.
    inputs : mapping of str to int
        Names that it needs from elsewhere, with their maker.
    outputs : tuple of str
        Names that are kept as they are after it.
    shown : bool
        Whether the value of the expression is displayed.
    """

    number: int
    inputs: Mapping[str, int] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    shown: bool = False


@dataclass(frozen=True)
class Script:
    """Statements that run together.

    Attributes
    ----------
    source, file : str
        The cell, and what tracebacks call it.
    steps : tuple of Step
    definitions : tuple of int
        Statements that run first, without output of theirs.
    functions : tuple of (str, str)
        Sources and files of functions that are defined first.
    everything : bool
        Every name that the statements leave is an output.
    waits : bool
        Whether a statement awaits something.
    """

    source: str
    file: str
    steps: tuple[Step, ...]
    definitions: tuple[int, ...] = ()
    functions: tuple[tuple[str, str], ...] = ()
    everything: bool = False
    waits: bool = False


@dataclass(frozen=True)
class Unsendable:
    """Stands for a value that cannot be pickled."""

    name: str
    reason: str


Made = dict[str, Any]
"""What statements have made: values by name."""


class Run:
    """One run of a script.

    Parameters
    ----------
    script : Script
    given : mapping of int to Made
        Values by maker.
    """

    def __init__(self, script: Script, given: Mapping[int, Made]) -> None:
        self.script, self.given = script, given
        self.names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
        self.made: Made = {}
        show(script.file, script.source)
        self.body = ast.parse(script.source, script.file).body

    def begin(self) -> None:
        """Define what the statements share."""
        if (shell := _shell()) is not None:
            self.names["get_ipython"] = shell.get_ipython
        from_notebook = self.given.get(-1, {})
        for source, file in self.script.functions:
            show(file, source)
            exec(compile(source, file, "exec", dont_inherit=True), self.names)  # noqa: S102  # the user's own code
        for number in self.script.definitions:
            exec(self._code(self.body[number]), self.names)  # noqa: S102  # the user's own code
        if self.script.everything:
            self.names.update(from_notebook)

    def prepare(self, step: Step) -> None:
        """Bind what a step needs."""
        for name, maker in step.inputs.items():
            made = self.given[maker]
            if name not in made:
                self.names.pop(name, None)
                continue
            value = made[name]
            if isinstance(value, Unsendable):
                raise NotSerializable(
                    f"line {self.body[step.number].lineno} needs {name}, which could not be sent from the "
                    f"statement that made it: {value.reason}; make and use it in one statement, such as a function"
                )
            self.names[name] = value

    def code(self, step: Step) -> Any:
        """Return the compiled statement."""
        node = self.body[step.number]
        if step.shown and isinstance(node, ast.Expr):
            return compile(
                ast.Expression(node.value),
                self.script.file,
                "eval",
                ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                dont_inherit=True,
            )
        return self._code(node)

    def _code(self, node: ast.stmt) -> Any:
        return compile(
            ast.Module([node], []),
            self.script.file,
            "exec",
            ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )

    def keep(self, step: Step) -> None:
        """Keep what a step has made."""
        for name in step.outputs:
            if name in self.names:
                self.made[name] = self.names[name]
            else:
                self.made.pop(name, None)

    def end(self) -> Made:
        """Return what was made, with stand-ins for what cannot be sent."""
        if self.script.everything:
            given = self.given.get(-1, {})
            self.made = {
                name: value
                for name, value in self.names.items()
                if not name.startswith("_")
                and name != "get_ipython"
                and not inspect.ismodule(value)
                and given.get(name, self) is not value
            }
        return {name: _sendable(name, value) for name, value in self.made.items()}


def run_script(script: Script, given: Mapping[int, Made], mark: Callable[..., None] | None = None) -> Made:
    """Run a script; return what it made.

    Parameters
    ----------
    script : Script
    given : mapping of int to Made
        Values from elsewhere, by maker.
    mark : callable, optional
        Called before each step with its number, and at the end with None and what is known of the values.

    Examples
    --------
    >>> run_script(Script("a = b + 1", "<cell>", (Step(0, {"b": 7}, ("a",)),)), {7: {"b": 1}})
    {'a': 2}
    """
    note = mark or mark_step
    run = Run(script, given)
    with _own_names(run.names, script):
        run.begin()
        for step in script.steps:
            note(step.number)
            run.prepare(step)
            value = eval(run.code(step), run.names)  # noqa: S307  # the user's own code
            if step.shown:
                show_value(value)
            run.keep(step)
        _show_figures()
    return finish(run, note)


async def run_script_async(
    script: Script, given: Mapping[int, Made], mark: Callable[..., None] | None = None
) -> Made:
    """Run a script that awaits; see `run_script`."""
    note = mark or mark_step
    run = Run(script, given)
    run.begin()
    for step in script.steps:
        note(step.number)
        run.prepare(step)
        code = run.code(step)
        value = eval(code, run.names)  # noqa: S307  # the user's own code
        if code.co_flags & inspect.CO_COROUTINE:
            value = await value
        if step.shown:
            show_value(value)
        run.keep(step)
    _show_figures()
    return finish(run, note)


def pick(made: Made, name: str) -> Any:
    """Return one of the values that a script made.

    Raises
    ------
    NotSerializable
        When it could not be sent.
    NameError
        When the script did not bind it.
    """
    if name not in made:
        raise NameError(f"name {name!r} is not defined: no statement of the cell has bound it")
    if isinstance(made[name], Unsendable):
        raise NotSerializable(f"{name} cannot be brought here: {made[name].reason}")
    return made[name]


def describe(value: Any, deep: int = 2) -> str:
    """Return module and name of a value's type, and of what it holds when that is all of one type.

    Parameters
    ----------
    deep : int
        How many containers within one another are looked into.

    Examples
    --------
    >>> describe([1, 2])
    'builtins.list[builtins.int]'
    """
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if deep and kind in (list, tuple, set, frozenset, dict) and 0 < len(value) <= _ELEMENTS:
        kinds = {describe(each, deep - 1) for each in (value.values() if kind is dict else value)}
        if len(kinds) == 1:
            return f"{name}[{kinds.pop()}]"
    return name


def _sendable(name: str, value: Any) -> Any:
    if _is_plain(value):
        return value
    try:
        dump_value(value, what=name)
    except NotSerializable as error:
        return Unsendable(name, str(error).partition("\n")[0])
    return value


def _is_plain(value: Any) -> bool:
    """Whether a value can be pickled for sure, so that it need not be tried."""
    kind = type(value)
    if kind in _SIMPLE:
        return True
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        return bool(value.dtype != object)
    if kind in (list, tuple, set) and len(value) <= _ELEMENTS:
        return all(type(each) in _SIMPLE for each in value)
    return kind.__module__.startswith("pandas.core.")


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()


def finish(run: Run, note: Callable[..., None] | None = None) -> Made:
    """Return what a run has made, and tell of what types it is."""
    made = run.end()
    (note or mark_step)(None, {name: describe(value) for name, value in made.items()})
    return made


def mark_step(number: int | None, types: Mapping[str, str] | None = None) -> None:
    """Display which statement begins, so that its output can be told from that of others."""
    shell = _shell()
    if shell is not None:
        content = {"number": number} if types is None else {"number": number, "types": dict(types)}
        shell.display_pub.publish(data={MARK: content})


def show_value(value: Any) -> None:
    """Display the value of an expression, as the end of a cell does."""
    if value is not None:
        from IPython.display import display

        display(value)


def _show_figures() -> None:
    """Show matplotlib's figures, as the end of a cell does."""
    import sys

    inline = sys.modules.get("matplotlib_inline.backend_inline")
    if inline is not None and "matplotlib.pyplot" in sys.modules:
        inline.flush_figures()


class _own_names:  # it reads as what it does
    """Lets IPython's own lines see the names of a script while it runs."""

    def __init__(self, names: dict[str, Any], script: Script) -> None:
        self._names = names
        self._shell = _shell() if "get_ipython()" in script.source else None

    def __enter__(self) -> None:
        if self._shell is not None:
            self._before = self._shell.user_ns
            self._shell.user_ns = self._names

    def __exit__(self, *_: object) -> None:
        if self._shell is not None:
            self._shell.user_ns = self._before
