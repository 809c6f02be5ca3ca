"""Which names a cell reads that it has not bound itself, and which it binds. Pure: knows text, no namespace."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator

from nbcluster.notebook.magictexts import texts_of

_BUILTIN = frozenset(dir(builtins))


def names_read(code: str) -> tuple[str, ...]:
    """Return the names that a cell takes from its namespace, in order of first use.

    A name that the cell binds first is not among them; one that it reads in a function is, unless the cell
    binds it at its top level anywhere. Names of builtins are, only where something shadows them can tell.

    Parameters
    ----------
    code : str
        Python, after IPython has turned magics into calls. Code in the text of a magic counts; text that is no
        Python reads nothing.

    Examples
    --------
    >>> names_read("y = x + 1\\nprint(y, z)")
    ('x', 'print', 'z')
    """
    try:
        tree = ast.parse(code)
        table = symtable.symtable(code, "<cell>", "exec")
    except (SyntaxError, ValueError):
        return ()
    bound_at = _first_bindings(tree)
    in_functions = {name for nested in table.get_children() for name in _globals_of(nested)}
    read: dict[str, None] = {}
    in_texts = ((name, _end_of(call), False) for call, text in texts_of(tree) for name in names_read(text))
    for name, at, inner in sorted([*_loads(tree), *in_texts], key=lambda load: load[1]):
        if inner:
            if name in in_functions and name not in bound_at:
                read[name] = None
        elif at < bound_at.get(name, (float("inf"), 0)):
            read[name] = None
    return tuple(read)


def names_bound(code: str) -> frozenset[str]:
    """Return the names that a cell binds at its top level, also by import, def and class, and with ``global``."""
    try:
        tree = ast.parse(code)
        table = symtable.symtable(code, "<cell>", "exec")
    except (SyntaxError, ValueError):
        return frozenset()
    found = {name for _, text in texts_of(tree) for name in names_bound(text)}
    found |= {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()
    }
    found |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_namespace()}
    pending = list(table.get_children())
    while pending:
        nested = pending.pop()
        pending += nested.get_children()
        found |= {
            symbol.get_name()
            for symbol in nested.get_symbols()
            if symbol.is_declared_global() and symbol.is_assigned()
        }
    return frozenset(found)


def is_builtin(name: str) -> bool:
    """Whether Python itself has the name."""
    return name in _BUILTIN


def _globals_of(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_global() and symbol.is_referenced():
            yield symbol.get_name()
    for nested in table.get_children():
        yield from _globals_of(nested)


_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

_Position = tuple[float, int]


def _first_bindings(tree: ast.Module) -> dict[str, _Position]:
    """Where each name is first bound at the top level. A value is computed before its name is bound."""
    found: dict[str, _Position] = {}

    def bind(name: str, node: ast.AST) -> None:
        at = (float(getattr(node, "end_lineno", 0)), int(getattr(node, "end_col_offset", 0)))
        if name not in found or at < found[name]:
            found[name] = at

    def begin(name: str, body: ast.stmt) -> None:
        at = (float(body.lineno), body.col_offset - 1)
        if name not in found or at < found[name]:
            found[name] = at

    def visit(node: ast.AST, statement: ast.AST) -> None:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bind(name, node)
                return  # what is inside belongs to another scope
            case ast.Lambda():
                return
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                for inner in ast.walk(node):
                    if isinstance(inner, ast.NamedExpr):
                        bind(inner.target.id, inner)  # a walrus binds outside of the comprehension
                return
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                for alias in names:
                    bind((alias.asname or alias.name).split(".")[0], node)
            case ast.ExceptHandler(name=str(name)):
                begin(name, node.body[0])
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bind(name, node)
            case ast.MatchMapping(rest=str(name)):
                bind(name, node)
            case ast.Name(id=name, ctx=ast.Store()):
                bind(name, node if isinstance(statement, _BINDS_AT_ONCE) else statement)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                visit(child, child)
            else:
                visit(child, statement)

    for statement in tree.body:
        visit(statement, statement)
    for call, text in texts_of(tree):
        for name in names_bound(text):
            line, column = _end_of(call)
            found[name] = min(found.get(name, (line, column + 1)), (line, column + 1))
    return found


def _end_of(node: ast.expr) -> _Position:
    return float(node.end_lineno or node.lineno), node.end_col_offset or 0


_BINDS_AT_ONCE = (ast.For, ast.AsyncFor, ast.With, ast.AsyncWith, ast.If, ast.While, ast.Match, ast.Try)
"""Compound statements: a name in their head is bound before their body runs."""


def _loads(tree: ast.Module) -> Iterator[tuple[str, _Position, bool]]:
    """Every use of a name, with its position and whether it is in an inner scope."""

    def visit(node: ast.AST, inner: bool) -> Iterator[tuple[str, _Position, bool]]:
        match node:
            case ast.Name(id=name, ctx=ast.Load() | ast.Del()):
                yield name, (float(node.lineno), node.col_offset), inner
            case ast.AugAssign(target=ast.Name(id=name)):
                yield name, (float(node.lineno), node.col_offset), inner
        if isinstance(node, _COMPREHENSIONS):
            first = node.generators[0].iter  # computed outside of the comprehension
            yield from visit(first, inner)
            for child in ast.iter_child_nodes(node):
                yield from (load for load in visit(child, True) if not _is_within(load[1], first))
            return
        for field, value in ast.iter_fields(node):
            deeper = inner or _opens_scope(node, field)
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from visit(child, deeper)

    yield from visit(tree, False)


def _is_within(at: _Position, node: ast.expr) -> bool:
    begin = (float(node.lineno), node.col_offset)
    end = (float(node.end_lineno or node.lineno), node.end_col_offset or 0)
    return begin <= at < end


def _opens_scope(node: ast.AST, field: str) -> bool:
    """Whether a field of a node is evaluated in a scope of its own, when the node runs or later."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return field == "body"
    return isinstance(node, ast.ClassDef) and field == "body"
