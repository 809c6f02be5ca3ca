"""Says which names of an engine a whole cell reads and changes. Pure: knows text, no namespace.

Types are not known here, unlike in a graph cell, so what is asked is what the text says: a method changes its object
when its name is known to, or when its value is thrown away before the end of the cell.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from nbcluster.notebook.dataflow.effects import Surroundings
from nbcluster.notebook.dataflow.families import words
from nbcluster.notebook.dataflow.graph import graph_of
from nbcluster.notebook.reads import is_builtin, names_bound, names_read

_CHANGING = words(
    "append appendleft extend extendleft insert add update pop popitem popleft remove clear sort reverse setdefault "
    "discard fit partial_fit fill resize put shuffle step load_state_dict seed"
)
"""Methods that change their object, whatever it is."""


@dataclass(frozen=True)
class CellNames:
    """What a cell does with names.

    Attributes
    ----------
    reads : tuple of str
        Names that it takes from its namespace, in order of first use; without builtins.
    writes : frozenset of str
        Names that it binds or deletes, or whose object it changes.
    unknown : str
        Why it may touch any name, "" when it is known.
    """

    reads: tuple[str, ...] = ()
    writes: frozenset[str] = frozenset()
    unknown: str = ""


def cell_names(code: str) -> CellNames:
    """Return what a cell does with names.

    Parameters
    ----------
    code : str
        After IPython's transform. What is no Python reads and writes nothing.

    Examples
    --------
    >>> found = cell_names("x = y + 1\\nrows.append(x)")
    >>> found.reads, sorted(found.writes)
    (('y', 'rows'), ['rows', 'x'])
    """
    reads = tuple(name for name in names_read(code) if not is_builtin(name) and name != "get_ipython")
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return CellNames()
    changed = {*names_bound(code), *_changed_by_methods(tree)}
    graph = graph_of(code, Surroundings(names=frozenset(reads)))
    for statement in graph.statements:
        settled = statement.effects.writes.keys() - statement.effects.unsettled
        if settled:  # and what shares an object with it since before; what it takes up here is not changed
            taken_up = {name for link in statement.effects.links for name in link.old} - settled
            changed |= statement.outputs - taken_up
    return CellNames(reads, frozenset(changed), _unknown(tree))


def _changed_by_methods(tree: ast.Module) -> Iterator[str]:
    last = tree.body[-1] if tree.body else None
    thrown_away = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and node is not last
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr=method)):
                root = _root(owner)
                if root is not None and (method in _CHANGING or id(node) in thrown_away):
                    yield root


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _unknown(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(names=[ast.alias(name="*")], module=module):
                return f"line {node.lineno}: from {module} import * binds names that are not in the cell"
            case ast.Call(func=ast.Name(id="exec" | "eval" | "globals" as name)):
                return f"line {node.lineno}: {name}() may read and write every name"
    return ""
