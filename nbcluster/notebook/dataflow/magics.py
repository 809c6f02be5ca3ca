"""Puts in place of a harmless magic the statement that it runs, for reading alone. Pure: knows text.

``%time y = f(x)`` does what ``y = f(x)`` does, and so it is read; engines run the magic itself. ``%timeit f(x)`` binds
nothing. Other magics stay, and may do anything.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from nbcluster.notebook.magictexts import texts_of

_DEFINING = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def unfolded(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Return statements with harmless magics replaced by what they do; one for each, on its own lines.

    Parameters
    ----------
    body : sequence of ast.stmt
        Of a cell after IPython's transform.

    Examples
    --------
    >>> [ast.unparse(each) for each in unfolded(ast.parse("get_ipython().run_line_magic('time', 'y = f(x)')").body)]
    ['y = f(x)']
    """
    return [_unfolded(node) for node in body]


def _unfolded(node: ast.stmt) -> ast.stmt:
    match node:
        case ast.Expr(value=ast.Call() as call) if (magic := _line_magic(call)) is not None:
            if magic in ("time", "timeit"):
                return _placed(_statement(call, magic), node) or node
        case ast.Assign(value=ast.Call() as call) if (magic := _line_magic(call)) is not None:
            run = _statement(call, magic) if magic == "time" else None
            if isinstance(run, ast.Expr):
                return _placed(ast.Assign(node.targets, run.value), node) or node
    return node


def _line_magic(call: ast.Call) -> str | None:
    match call:
        case ast.Call(
            func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr="run_line_magic"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return name
    return None


def _statement(call: ast.Call, name: str) -> ast.stmt | None:
    """The one statement in the line of a magic; None for what is none, or defines something."""
    texts = [text for owner, text in texts_of(call) if owner is call]
    try:
        found = ast.parse("\n".join(texts)).body
    except (SyntaxError, ValueError):
        return None
    if len(found) != 1 or isinstance(found[0], _DEFINING):
        return None
    # %timeit runs its line in a function of its own: what that binds is gone after it.
    return found[0] if name == "time" or isinstance(found[0], ast.Expr) else None


def _placed(statement: ast.stmt | None, where: ast.stmt) -> ast.stmt | None:
    if statement is None:
        return None
    for each in ast.walk(statement):
        if "lineno" in each._attributes:
            ast.copy_location(each, where)
    return statement
