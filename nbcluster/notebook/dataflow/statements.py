"""Reads a statement of a cell: what it reads, writes, binds. Knows no other statement, and runs nothing."""

from __future__ import annotations

import ast
from collections.abc import Callable

from nbcluster.notebook.dataflow.effects import CannotAnalyse, Effects, Link
from nbcluster.notebook.dataflow.expressions import Reader
from nbcluster.notebook.dataflow.families import ARRAY, ATOM
from nbcluster.notebook.dataflow.scene import Scene, imported
from nbcluster.notebook.dataflow.scopes import bound_in
from nbcluster.notebook.dataflow.values import Share, Value, either, fresh, holding


def effects_of(statement: ast.stmt, scene: Scene) -> Effects:
    """Return what a top-level statement does.

    Raises
    ------
    CannotAnalyse
        When its text does not tell.
    """
    effects = Effects(statement.lineno)
    reader = Reader(scene, effects)
    _Statements(reader).run([statement])
    bound = {name: reader.top[name] for name in effects.binds if name in reader.top}
    shares: dict[Share, set[str]] = {}
    for name, value in bound.items():
        if value.family is not None:
            effects.families[name] = value.family
        if value.lazy:
            effects.lazy[name] = value.lazy
        if not value.is_atom:
            # The name itself stands for the object that it had before the statement.
            shares.setdefault(value.share.find(), set()).add(name)
    links = [Link(frozenset(names), frozenset(share.names)) for share, names in shares.items()]
    started = (reader.started[name].share for name in reader.started)
    links += [Link(frozenset(), frozenset(share.roots)) for share in started if len(share.roots) > 1]
    effects.links = list(dict.fromkeys(links))
    return effects


class _Statements:
    """Reads statements, also those of functions that are called."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        reader.execute = self.run

    def run(self, body: list[ast.stmt]) -> None:
        """Read statements in order."""
        for statement in body:
            self.reader.line = statement.lineno
            self.one(statement)

    def one(self, node: ast.stmt) -> None:
        """Read one statement."""
        reader = self.reader
        match node:
            case ast.Expr(value=value):
                reader.read(value, discarded=True)
            case ast.Assign(targets=targets, value=ast.Lambda()) if self._is_shared(targets):
                return
            case ast.Assign(targets=targets, value=value):
                given = reader.read(value)
                for target in targets:
                    reader.assign(target, given)
            case ast.AnnAssign(target=target, annotation=annotation, value=assigned):
                reader.read(annotation)
                if assigned is not None:
                    reader.assign(target, reader.read(assigned))
            case ast.AugAssign():
                self._augmented(node)
            case ast.Delete(targets=targets):
                for target in targets:
                    self._delete(target)
            case ast.Return(value=returned):
                reader.functions.returned(reader.read(returned) if returned is not None else fresh(ATOM))
            case ast.If(test=test, body=body, orelse=orelse):
                reader.read(test)
                self._branches([body, orelse])
            case ast.While(test=test, body=body, orelse=orelse):
                self._loop(lambda: reader.read(test), body, orelse)
            case (
                ast.For(target=target, iter=source, body=body, orelse=orelse)
                | ast.AsyncFor(target=target, iter=source, body=body, orelse=orelse)
            ):
                reader.effects.awaits |= isinstance(node, ast.AsyncFor)
                several = reader.read(source)
                self._loop(lambda: reader.assign(target, reader.element_of(several)), body, orelse)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                reader.effects.awaits |= isinstance(node, ast.AsyncWith)
                for item in items:
                    context = reader.read(item.context_expr)
                    reader.write(context, f"line {node.lineno} enters and leaves it")
                    if item.optional_vars is not None:
                        reader.assign(item.optional_vars, Value(share=context.share))
                self._branches([body, []])  # it may swallow an error
            case ast.Try() | ast.TryStar():
                self._try(node)
            case ast.Match(subject=subject, cases=cases):
                self._match(reader.read(subject), cases)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._define(node)
            case ast.ClassDef():
                self._class(node)
            case ast.Import() | ast.ImportFrom():
                self._import(node)
            case ast.Assert(test=test, msg=message):
                reader.read(test)
                if message is not None:
                    reader.read(message)
            case ast.Raise(exc=error, cause=cause):
                for each in (error, cause):
                    if each is not None:
                        reader.read(each)
            case ast.Pass() | ast.Break() | ast.Continue() | ast.Global() | ast.Nonlocal():
                return
            case _:
                raise CannotAnalyse(node.lineno, f"{type(node).__name__} is not known here")

    # -- simple statements --------------------------------------------------------------------

    def _is_shared(self, targets: list[ast.expr]) -> bool:
        return (
            self.reader.scope is None
            and len(targets) == 1
            and isinstance(targets[0], ast.Name)
            and targets[0].id in self.reader.scene.functions
        )

    def _augmented(self, node: ast.AugAssign) -> None:
        reader, target = self.reader, node.target
        added = reader.read(node.value)
        reason = f"line {node.lineno} changes it in place"
        if isinstance(target, ast.Name):
            before = reader.name(ast.copy_location(ast.Name(target.id, ast.Load()), target))
            if before.is_atom and added.is_atom:
                reader.bind(target.id, fresh(ATOM))
                return
            if before.family is None:
                reader.effects.unsettled |= before.share.roots
            reader.write(before, reason)
            if before.family == ARRAY:  # its numbers become others; it holds nothing of what was added
                reader.bind(target.id, before)
                return
            family = before.family if before.family == added.family else None
            reader.bind(target.id, holding([before, added], family))
            return
        inner = target.value
        base = reader.read(inner)
        if isinstance(target, ast.Subscript):
            reader.read(target.slice)
        reader.write(base, reason)
        reader.hold(base, added)

    def _delete(self, target: ast.expr) -> None:
        reader = self.reader
        match target:
            case ast.Name(id=name):
                if reader.scope is not None and reader.scope.holder(name) is not None:
                    return
                reader.top_name(name, target.lineno)
                if name in reader.scene.shared:
                    raise CannotAnalyse(target.lineno, f"deletes {name}, which other statements share")
                reader.bind(name, fresh())
                reader.effects.deletes.add(name)
            case ast.Attribute(value=inner) | ast.Subscript(value=inner):
                reader.write(reader.read(inner), f"line {target.lineno} deletes a part of it")
                if isinstance(target, ast.Subscript):
                    reader.read(target.slice)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._delete(part)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        reader = self.reader
        for name, path in imported(node).items():
            if reader.scope is None and name in reader.scene.shared:
                reader.effects.definitions.add(name)
                continue
            reader.bind(name, reader.imported(path) if "." in path else Value(path=path))

    # -- compound statements ------------------------------------------------------------------

    def _tables(self) -> list[dict[str, Value]]:
        tables = [self.reader.top]
        scope = self.reader.scope
        while scope is not None:
            tables.append(scope.values)
            scope = scope.parent
        return tables

    def _branches(self, bodies: list[list[ast.stmt]]) -> None:
        """Read bodies of which one runs, or none."""
        reader = self.reader
        tables = self._tables()
        before = [dict(table) for table in tables]
        ends: list[list[dict[str, Value]]] = []
        reader.conditional += 1
        for body in bodies:
            for table, start in zip(tables, before, strict=True):
                table.clear()
                table.update(start)
            self.run(body)
            ends.append([dict(table) for table in tables])
        reader.conditional -= 1
        for at, table in enumerate(tables):
            names = dict.fromkeys(name for end in ends for name in end[at])
            for name in names:
                values: list[Value] = []
                for end in ends:
                    value = end[at].get(name)
                    if value is not None and not any(value is other for other in values):
                        values.append(value)
                table[name] = either(values)

    def _loop(self, head: Callable[[], object], body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        reader = self.reader
        tables = self._tables()
        reader.conditional += 1
        for _ in range(2):  # what the first round binds, the second may read
            before = [dict(table) for table in tables]
            head()
            self.run(body)
            for table, start in zip(tables, before, strict=True):
                for name, value in start.items():
                    if table[name] is not value:
                        table[name] = either([value, table[name]])
        reader.conditional -= 1
        self._branches([orelse, []])

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        reader = self.reader
        bodies: list[list[ast.stmt]] = [[*node.body, *node.orelse], node.body]
        for handler in node.handlers:
            if handler.type is not None:
                reader.read(handler.type)
            bodies.append([*node.body, *handler.body])
        reader.conditional += 1
        for handler in node.handlers:
            if handler.name is not None:
                reader.bind(handler.name, Value())
        reader.conditional -= 1
        self._branches(bodies)
        self.run(node.finalbody)

    def _match(self, subject: Value, cases: list[ast.match_case]) -> None:
        reader = self.reader
        reader.conditional += 1
        for case in cases:
            for each in ast.walk(case.pattern):
                match each:
                    case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                        reader.bind(name, Value(share=subject.share))
                    case ast.MatchMapping(rest=str(name)):
                        reader.bind(name, Value(share=subject.share))
                    case ast.MatchValue(value=value) | ast.MatchClass(cls=value):
                        reader.read(value)
            if case.guard is not None:
                reader.read(case.guard)
        reader.conditional -= 1
        self._branches([*(case.body for case in cases), []])

    # -- definitions --------------------------------------------------------------------------

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        reader = self.reader
        if reader.scope is None and reader.scene.functions.get(node.name) is node:
            reader.effects.definitions.add(node.name)
            for decorator in node.decorator_list:
                reader.read(decorator)
            return
        held = [reader.read(decorator) for decorator in node.decorator_list]
        held += [reader.functions.keep(reader.read(each)) for each in node.args.defaults]
        held += [
            reader.functions.keep(reader.read(each)) for each in node.args.kw_defaults if each is not None
        ]
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg) and argument.annotation is not None:
                reader.read(argument.annotation)
        if node.returns is not None:
            reader.read(node.returns)
        made = reader.function_value(node, held)
        for applied in held[: len(node.decorator_list)]:
            if applied.function is not None:
                made = reader.functions.apply(applied.function, [made], {})
            elif not applied.path:
                reader.write(applied, f"line {node.lineno} gives it a function")
        if reader.scope is None and not reader.functions.frames:
            # Others see it as a value: what its defaults hold may be changed by each call.
            made.lazy = made.lazy or "a function that is not the same each time that it is defined"
        reader.bind(node.name, made)

    def _class(self, node: ast.ClassDef) -> None:
        reader = self.reader
        for each in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            reader.functions.keep(reader.read(each))
        outer_top = reader.scope
        names = frozenset(name for name, _ in bound_in(list(node.body)))
        reader.enter_class(names)
        for statement in node.body:
            self.one(statement)
        held = reader.leave_class(outer_top)
        for value in held:
            reader.functions.keep(value)
        made = either([holding([value for value in held if value.function is None])])
        reader.bind(node.name, Value(share=made.share))
