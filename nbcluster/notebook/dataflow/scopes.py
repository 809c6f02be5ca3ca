"""Which names belong to a function, a comprehension, or the top level of a cell. Knows syntax, no values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from nbcluster.notebook.dataflow.values import Value

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass
class Scope:
    """The local names of a running function or comprehension, as far as they are known."""

    own: frozenset[str]
    parent: Scope | None = None
    globals: frozenset[str] = frozenset()
    is_comprehension: bool = False
    is_class: bool = False
    values: dict[str, Value] = field(default_factory=dict)

    def holder(self, name: str) -> Scope | None:
        """Return the scope that a name belongs to, None for the top level."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.globals:
                return None
            if name in scope.own and (scope is self or not scope.is_class):
                return scope
            scope = scope.parent
        return None


def within(nodes: list[ast.stmt] | list[ast.AST]) -> Iterator[ast.AST]:
    """Walk what runs in the same scope: not into functions, classes and lambdas, though they themselves are given."""
    pending: list[ast.AST] = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _SCOPES):
            pending += ast.iter_child_nodes(node)
        elif not isinstance(node, ast.Lambda):
            pending += node.decorator_list


def bound_in(nodes: list[ast.stmt] | list[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Give each name that statements bind or delete in their own scope, and what does it."""
    inner: set[int] = set()
    for node in within(nodes):
        if isinstance(node, COMPREHENSIONS):  # its targets are its own
            for generator in node.generators:
                inner.update(id(each) for each in ast.walk(generator.target))
    for node in within(nodes):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if id(node) not in inner:
                yield name, node
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                for alias in names:
                    yield (alias.asname or alias.name).partition(".")[0], node
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                yield name, node
            case ast.MatchMapping(rest=str(name)):
                yield name, node


def parameters(node: Function) -> list[str]:
    """Return the names of the positional parameters."""
    return [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]


def all_parameters(node: Function) -> list[str]:
    """Return the names of all parameters, those of ``*`` and ``**`` last."""
    args = node.args
    rest = [arg.arg for arg in (args.vararg, args.kwarg) if arg is not None]
    return [*parameters(node), *(arg.arg for arg in args.kwonlyargs), *rest]


def scope_of(node: Function, parent: Scope | None) -> Scope:
    """Return the scope of a call of a function."""
    if isinstance(node, ast.Lambda):
        walruses = {each.target.id for each in ast.walk(node.body) if isinstance(each, ast.NamedExpr)}
        return Scope(frozenset(all_parameters(node)) | walruses, parent)
    declared: set[str] = set()
    outer: set[str] = set()
    for each in within(list(node.body)):
        if isinstance(each, ast.Global):
            declared.update(each.names)
        elif isinstance(each, ast.Nonlocal):
            outer.update(each.names)
    bound = {name for name, _ in bound_in(list(node.body))} - declared - outer
    return Scope(frozenset(bound | set(all_parameters(node))), parent, frozenset(declared))


def is_generator(node: Function) -> bool:
    """Whether calling it gives a generator."""
    body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    return any(isinstance(each, ast.Yield | ast.YieldFrom) for each in within(body))


def global_names(tree: ast.AST) -> set[str]:
    """Return the names that functions anywhere in a tree declare as global."""
    return {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
