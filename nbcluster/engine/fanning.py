"""Runs a statement with a comprehension in three steps: what it goes over, its elements, the rest. Knows no graphs."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from typing import Any

from nbcluster.engine.statements import Made, Run, Script, Step, finish, mark_step, show_value

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

TAKERS = frozenset("sum min max sorted list tuple set dict any all".split())  # noqa: SIM905  # it reads better
"""Builtins to which a comprehension may be handed."""

COUNT = "elements"
"""Under which `fan_items` tells how many there are."""

_ITEMS, _VALUES = "_nbcluster_items", "_nbcluster_values"


def comprehension_in(node: ast.stmt) -> Comprehension | None:
    """Return the comprehension of a statement that stands alone in it, or is handed to one of TAKERS or str.join."""
    match node:
        case ast.Assign(targets=targets, value=value) if all(isinstance(each, ast.Name) for each in targets):
            return _comprehension(value)
        case ast.AnnAssign(target=ast.Name(), value=ast.expr() as value):
            return _comprehension(value)
        case ast.Expr(value=value):
            return _comprehension(value)
    return None


def _comprehension(value: ast.expr) -> Comprehension | None:
    match value:
        case ast.ListComp() | ast.SetComp() | ast.DictComp():
            found: Comprehension = value
        case ast.Call(
            func=ast.Name(id=name), args=[ast.GeneratorExp() | ast.ListComp() | ast.SetComp() as inner, *_]
        ):
            if name not in TAKERS:
                return None
            found = inner
        case ast.Call(
            func=ast.Attribute(ast.Constant(value=str()), "join"),
            args=[ast.GeneratorExp() | ast.ListComp() as inner],
        ):
            found = inner
        case _:
            return None
    return None if any(generator.is_async for generator in found.generators) else found


def fan_items(script: Script, given: Mapping[int, Made]) -> list[Any]:
    """Return what the comprehension of a script's only step goes over: the values of its variables for each element."""
    run, step, found = _begin(script, given)
    names: ast.expr = ast.Tuple([ast.Name(name, ast.Load()) for name in _targets(found)], ast.Load())
    mark_step(step.number)
    items: list[Any] = _value(run, ast.ListComp(names, found.generators), found)
    mark_step(None, {COUNT: str(len(items))})
    return items


def fan_elements(
    script: Script, given: Mapping[int, Made], items: Sequence[Any], start: int = 0, stop: int | None = None
) -> list[Any]:
    """Return the elements for some items, all or those of a slice: pairs for those of a dict."""
    run, step, found = _begin(script, given)
    mark_step(step.number)
    run.names[_ITEMS] = items[start:stop]
    target = ast.Tuple([ast.Name(name, ast.Store()) for name in _targets(found)], ast.Store())
    over = ast.comprehension(target, ast.Name(_ITEMS, ast.Load()), [], 0)
    element = (
        ast.Tuple([found.key, found.value], ast.Load()) if isinstance(found, ast.DictComp) else found.elt
    )
    values: list[Any] = _value(run, ast.ListComp(element, [over]), found)
    return values


def fan_join(script: Script, given: Mapping[int, Made], chunks: Sequence[Sequence[Any]]) -> Made:
    """Run the statement with the elements that were made."""
    run, step, found = _begin(script, given)
    values = [value for chunk in chunks for value in chunk]
    made: Any = values
    match found:
        case ast.SetComp():
            made = set(values)
        case ast.DictComp():
            made = dict(values)
        case ast.GeneratorExp():
            made = iter(values)
    run.names[_VALUES] = made
    statement = _Replaced(found).visit(copy.deepcopy(run.body[step.number]))
    mark_step(step.number)
    if step.shown and isinstance(statement, ast.Expr):
        show_value(_value(run, statement.value, found))
    else:
        code = compile(
            ast.fix_missing_locations(ast.Module([statement], [])), script.file, "exec", dont_inherit=True
        )
        exec(code, run.names)  # noqa: S102  # the user's own code
    run.keep(step)
    return finish(run)


def _begin(script: Script, given: Mapping[int, Made]) -> tuple[Run, Step, Comprehension]:
    run = Run(script, given)
    run.begin()
    [step] = script.steps
    run.prepare(step)
    found = comprehension_in(run.body[step.number])
    assert found is not None, "only statements with a comprehension come here"
    return run, step, found


def _targets(found: Comprehension) -> list[str]:
    names = [
        node.id
        for generator in found.generators
        for node in ast.walk(generator.target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    return list(dict.fromkeys(names))


def _value(run: Run, node: ast.expr, where: ast.AST) -> Any:
    whole = ast.Expression(ast.copy_location(node, where))
    code = compile(ast.fix_missing_locations(whole), run.script.file, "eval", dont_inherit=True)
    return eval(code, run.names)  # noqa: S307  # the user's own code


class _Replaced(ast.NodeTransformer):
    """Puts a name in place of a comprehension, which is known by where it stands."""

    def __init__(self, found: Comprehension) -> None:
        self._place = (type(found), found.lineno, found.col_offset)

    def visit(self, node: ast.AST) -> Any:
        if (type(node), getattr(node, "lineno", 0), getattr(node, "col_offset", 0)) == self._place:
            return ast.copy_location(ast.Name(_VALUES, ast.Load()), node)
        return self.generic_visit(node)
