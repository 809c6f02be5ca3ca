"""Finds comprehensions whose elements can be made apart, and loops that could be written so. Runs nothing."""

from __future__ import annotations

import ast

from nbcluster.engine.fanning import comprehension_in
from nbcluster.notebook.dataflow.graph import Graph, Statement


def fans_out(graph: Graph, number: int) -> bool:
    """Whether the elements of a node's comprehension can be made apart, in any order.

    Parameters
    ----------
    graph : Graph
    number : int
        Of the node.
    """
    if graph.stuck is not None or len(graph.nodes[number].statements) > 1:
        return False
    statement = graph.statements[graph.nodes[number].statements[0]]
    effects = statement.effects
    node = ast.parse(statement.text).body[0]
    found = comprehension_in(node)
    if found is None or effects.awaits or effects.writes or effects.states or effects.touches:
        return False
    if any(isinstance(each, ast.NamedExpr) for each in ast.walk(found)):
        return False
    if any(_calls(part) for generator in found.generators for part in generator.ifs) and effects.prints:
        return False
    parts = [found.key, found.value] if isinstance(found, ast.DictComp) else [found.elt]
    return any(map(_calls, parts)) and not _is_changed_later(graph, statement)


def _calls(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Call) for each in ast.walk(node))


def _is_changed_later(graph: Graph, statement: Statement) -> bool:
    """Whether elements may be one object, which a later statement changes."""
    if not any(link.old for link in statement.effects.links):
        return False
    return any(
        other.number > statement.number and name in other.effects.writes
        for other in graph.statements
        for name in statement.effects.binds
    )


def advice(statement: Statement) -> str:
    """Return how a loop could be written so that it fans out, "" when there is nothing to say.

    Examples
    --------
    >>> from nbcluster.notebook.dataflow.graph import graph_of
    >>> advice(graph_of("for x in xs:\\n    out.append(f(x))").statements[0])
    'out += [f(x) for x in xs]'
    """
    try:
        node = ast.parse(statement.text).body[0]
    except SyntaxError:
        return ""
    if not isinstance(node, ast.For) or node.orelse or len(node.body) != 1:
        return ""
    inner: ast.stmt = node.body[0]
    test = ""
    if isinstance(inner, ast.If) and not inner.orelse and len(inner.body) == 1:
        test = f" if {ast.unparse(inner.test)}"
        inner = inner.body[0]
    head = f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}{test}"
    match inner:
        case ast.Expr(ast.Call(func=ast.Attribute(ast.Name(id=name), "append"), args=[value])) if _calls(
            value
        ):
            return f"{name} += [{ast.unparse(value)} {head}]"
        case ast.Assign(targets=[ast.Subscript(ast.Name(id=name), key)], value=value) if _calls(value):
            return f"{name} |= {{{ast.unparse(key)}: {ast.unparse(value)} {head}}}"
        case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value) if _calls(value):
            return f"{name} += sum({ast.unparse(value)} {head})"
    return ""
