"""Tells what a notebook has for a graph cell: types, modules, its own functions, names of one object. Sends nothing."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

from nbcluster.engine.statements import describe
from nbcluster.errors import UsageError
from nbcluster.notebook.dataflow.effects import Surroundings
from nbcluster.notebook.dataflow.families import ATOM, Family, family_of
from nbcluster.notebook.dataflow.graph import Graph
from nbcluster.notebook.grammar import did_you_mean
from nbcluster.notebook.reads import is_builtin
from nbcluster.notebook.shipping import names_wanted

ELEMENTS = 1_000
"""Elements of a container that are looked at for objects which other names have too."""


def surroundings_of(
    code: str,
    user_ns: Mapping[str, Any],
    hidden: Mapping[str, Any],
    types: Mapping[Any, str],
    pure: tuple[str, ...] = (),
) -> tuple[Surroundings, dict[str, tuple[str, str]]]:
    """Return what a cell finds in the notebook, and source and file of the notebook's functions that it reaches.

    Parameters
    ----------
    code : str
        After IPython's transform.
    user_ns, hidden : mapping
        The notebook's names, and those that IPython has put among them.
    types : mapping
        What is known of the values of Futures.
    pure : tuple of str
        Names that change nothing.
    """
    functions: dict[str, tuple[str, str]] = {}
    names: dict[str, None] = {}
    pending = [code]
    while pending:
        for name in names_wanted(pending.pop(), user_ns, hidden):
            if name in names:
                continue
            names[name] = None
            found = source_of(name, user_ns[name])
            if found is not None:
                functions[name] = found
                pending.append(found[0])
    modules: dict[str, str] = {}
    families: dict[str, Family] = {}
    for name in names:
        value = user_ns[name]
        if (path := _path_of(value)) is not None:
            modules[name] = path
        elif (
            family := family_of(types.get(value, "") if _is_future(value) else describe(value))
        ) is not None:
            families[name] = family
    data = {
        name: user_ns[name]
        for name in names
        if name not in modules and name not in functions and families.get(name) != ATOM
    }
    surroundings = Surroundings(
        modules,
        families,
        _aliases(data),
        {name: source for name, (source, _) in functions.items()},
        frozenset(pure),
        frozenset(names),
    )
    return surroundings, functions


def source_of(name: str, value: Any) -> tuple[str, str] | None:
    """Return source and file of a function of the notebook that is nothing but its definition."""
    if type(value) is not FunctionType or value.__module__ != "__main__" or value.__closure__:
        return None
    try:
        source = textwrap.dedent(inspect.getsource(value))
        first = inspect.getsourcelines(value)[1]
        body = ast.parse(source).body
    except (OSError, TypeError, SyntaxError):
        return None
    match body:
        case [ast.FunctionDef(name=found) | ast.AsyncFunctionDef(name=found)] if found == name:
            # On its own lines, so that tracebacks name those of its cell.
            return "\n" * (first - 1) + source, value.__code__.co_filename
    return None


def check_names(graph: Graph) -> None:
    """Refuse a cell that surely needs a name which nobody has.

    Raises
    ------
    UsageError
    """
    known = graph.scene.surroundings.names if graph.scene is not None else frozenset()
    made = {name for statement in graph.statements for name in statement.outputs}
    for statement in graph.statements:
        if not statement.runs or not isinstance(ast.parse(statement.text).body[0], _SIMPLE):
            continue
        for name, line in statement.effects.reads.items():
            if name in statement.inputs or is_builtin(name) or name == "get_ipython":
                continue
            near = did_you_mean(name, known | made)
            raise UsageError(
                f"line {line} needs {name}, and neither the cell nor the notebook has it by then{near}; nothing was "
                f"run. What engines have is not read by --graph: bring it with {name} = cluster[0]['{name}']"
            )


_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Assert, ast.Delete)


def _is_future(value: Any) -> bool:
    from nbcluster.client.futures import Future

    return isinstance(value, Future)


def _path_of(value: Any) -> str | None:
    """Return the dotted path under which something can be imported, None for what is the notebook's own."""
    if isinstance(value, ModuleType):
        return value.__name__
    if not callable(value) or _is_future(value):
        return None
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or module == "__main__" or "<" in path:
        return None
    return f"{module}.{path}"


def _aliases(values: Mapping[str, Any]) -> tuple[frozenset[str], ...]:
    """Return the names that may share an object, as far as can be seen from outside."""
    holders: dict[int, set[str]] = {}
    for name, value in values.items():
        for part in _parts(value):
            holders.setdefault(part, set()).add(name)
    shared = {frozenset(names) for names in holders.values() if len(names) > 1}
    return tuple(sorted(shared, key=sorted))


def _parts(value: Any) -> set[int]:
    parts = {id(value)}
    base = value
    while type(base).__module__ == "numpy" and getattr(base, "base", None) is not None:
        base = base.base
        parts.add(id(base))
    several = value.values() if isinstance(value, dict) else value
    if isinstance(value, list | tuple | set | dict) and len(value) <= ELEMENTS:
        parts |= {id(each) for each in several if family_of(describe(each, 0)) != ATOM}
    elif hasattr(value, "__dict__") and not callable(value):
        parts |= {id(each) for each in vars(value).values() if family_of(describe(each, 0)) != ATOM}
    return parts
